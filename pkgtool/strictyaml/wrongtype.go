package strictyaml

import (
	"regexp"
	"strings"
)

// goType is how the YAML library says that a value has another kind than the
// Go type it is for.
var goType = regexp.MustCompile(`^cannot unmarshal (\S+) into Go (?:struct field (?:\S+\.)?(\S+)|value) of type (\S+)`)

// notMapping is how it says that there is no mapping.
var notMapping = regexp.MustCompile(`^(\S+) was used where (mapping|sequence) is expected`)

// kinds are the words of YAML for what the library calls something else.
var kinds = map[string]string{
	"string": "text", "[]interface": "a list", "[]interface{}": "a list", "sequence": "a list", "map[string]interface": "a mapping", "map[string]interface{}": "a mapping",
	"mapping": "a mapping", "bool": "true or false", "uint64": "a number", "int64": "a number", "float64": "a number", "null": "nothing",
}

// wrongType says in the words of YAML what is wrong with a value's type. Other
// messages come out as they are.
func wrongType(message string) string {
	if m := goType.FindStringSubmatch(message); m != nil {
		return "it is " + kindOf(m[1]) + ", and must be " + kindOf(m[3])
	}
	if m := notMapping.FindStringSubmatch(message); m != nil {
		return "it is " + kindOf(m[1]) + ", and must be " + kindOf(m[2])
	}
	return message
}

// kindOf is the word for a Go type.
func kindOf(name string) string {
	if word := kinds[name]; word != "" {
		return word
	}
	switch name = strings.TrimPrefix(name, "*"); {
	case strings.HasPrefix(name, "[]"):
		return "a list"
	case strings.HasPrefix(name, "map["):
		return "a mapping"
	case strings.HasPrefix(name, "uint"), strings.HasPrefix(name, "int"), strings.HasPrefix(name, "float"):
		return "a number"
	case name == "bool", name == "string":
		return kinds[name]
	}
	return "a mapping"
}
