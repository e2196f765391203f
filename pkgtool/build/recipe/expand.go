package recipe

import (
	"fmt"
	"reflect"
	"sort"
	"strings"

	"ashlar/pkgtool/strictyaml"
)

// scope are the values that ${...} can name. A name that starts with a prefix
// in later is left as it stands, for a later expansion.
type scope struct {
	values map[string]string
	later  []string
}

// scopeOf are the variables of a recipe, without ${vars.X}.
func scopeOf(r *Recipe, arch string) scope {
	v := map[string]string{
		"name": r.Name, "version": r.Version, "upstream": r.UpstreamVersion(),
		"release": fmt.Sprint(r.Release), "arch": arch, "triplet": arch + "-ashlar-linux-gnu",
	}
	for _, key := range []string{"version", "upstream"} {
		parts := strings.Split(v[key], ".")
		v[key+".major"] = parts[0]
		v[key+".major_minor"] = strings.Join(parts[:min(2, len(parts))], ".")
		v[key+".underscore"] = strings.ReplaceAll(v[key], ".", "_")
	}
	return scope{values: v}
}

// expand replaces every ${NAME} in text; $${ stands for a literal ${.
func (s scope) expand(text string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			out.WriteString(text)
			return out.String(), nil
		}
		if escaped, ok := strings.CutSuffix(before, "$"); ok {
			out.WriteString(escaped + "${")
			text = rest
			continue
		}
		out.WriteString(before)
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", fmt.Errorf("${%.20s is not closed; write $${ for a literal ${", rest)
		}
		value, err := s.value(name)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		text = after
	}
}

func (s scope) value(name string) (string, error) {
	if value, ok := s.values[name]; ok {
		return value, nil
	}
	for _, prefix := range s.later {
		if strings.HasPrefix(name, prefix) {
			return "${" + name + "}", nil
		}
	}
	known := make([]string, 0, len(s.values))
	for k := range s.values {
		known = append(known, k)
	}
	sort.Strings(known)
	if near := strictyaml.Nearest(name, known); near != "" {
		return "", fmt.Errorf("${%s} is not known; did you mean ${%s}?", name, near)
	}
	return "", fmt.Errorf("${%s} is not known; known: %s", name, strings.Join(known, ", "))
}

// expandAll expands every string below v in place, except fields tagged
// expand:"-", and reports failures at their place in the file. In a step's
// exec, dir and env, ${env.X} waits for the run.
func (s scope) expandAll(v reflect.Value, at path, p *problems) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			s.expandAll(v.Elem(), at, p)
		}
	case reflect.Struct:
		inner := s
		if v.Type() == reflect.TypeFor[Step]() {
			inner.later = append([]string{"env."}, s.later...)
		}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || field.Tag.Get("expand") == "-" {
				continue
			}
			key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			inner.expandAll(v.Field(i), at.with(key), p)
		}
	case reflect.Slice:
		for i := range v.Len() {
			s.expandAll(v.Index(i), at.with(i), p)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			s.expandAll(value, at.with(key.String()), p)
			v.SetMapIndex(key, value)
		}
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		value := reflect.New(v.Elem().Type()).Elem()
		value.Set(v.Elem())
		s.expandAll(value, at, p)
		v.Set(value)
	case reflect.String:
		expanded, err := s.expand(v.String())
		if err != nil {
			p.add(at, "%v", err)
			return
		}
		v.SetString(expanded)
	}
}
