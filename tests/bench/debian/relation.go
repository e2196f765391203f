package debian

import (
	"fmt"
	"strings"
)

// Relation is one alternative of a dependency, as in a control file.
type Relation struct {
	Name     string
	Arch     string // what stood behind a colon: any, native, amd64; "" if nothing
	Operator string // <<, <=, =, >=, >>; "" allows every version
	Version  string // Debian's
}

// operators are those of Debian's policy 7.1, with their obsolete spellings.
var operators = map[string]string{"<<": "<<", "<=": "<=", "=": "=", ">=": ">=", ">>": ">>", "<": "<=", ">": ">="}

// ParseRelations reads a relation field of a binary package: commas separate
// relations, bars alternatives.
func ParseRelations(field string) ([][]Relation, error) {
	var all [][]Relation
	for part := range strings.SplitSeq(field, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		var alternatives []Relation
		for text := range strings.SplitSeq(part, "|") {
			r, err := parseRelation(strings.TrimSpace(text))
			if err != nil {
				return nil, err
			}
			alternatives = append(alternatives, r)
		}
		all = append(all, alternatives)
	}
	return all, nil
}

func parseRelation(text string) (Relation, error) {
	name, condition, conditional := strings.Cut(text, "(")
	r := Relation{Name: strings.TrimSpace(name)}
	r.Name, r.Arch, _ = strings.Cut(r.Name, ":")
	if r.Name == "" || strings.ContainsAny(r.Name, " \t[]<>") {
		return r, fmt.Errorf("relation %q names no package", text)
	}
	if !conditional {
		return r, nil
	}
	condition, rest, closed := strings.Cut(condition, ")")
	condition = strings.TrimSpace(condition)
	length := len(condition) - len(strings.TrimLeft(condition, "<>="))
	r.Operator, r.Version = operators[condition[:length]], strings.TrimSpace(condition[length:])
	if !closed || strings.TrimSpace(rest) != "" || r.Operator == "" || r.Version == "" {
		return r, fmt.Errorf("relation %q has no condition such as (>= 1.2)", text)
	}
	return r, nil
}
