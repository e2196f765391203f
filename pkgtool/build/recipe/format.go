package recipe

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
)

// headKeys stand together at the top, without empty lines between them.
var headKeys = []string{"schema", "name", "version", "upstream", "release", "epoch", "date", "summary", "description", "license", "homepage", "vendor", "origin", "arches"}

// keyOrder is the order of the keys of a recipe: that of the Go type, options
// right behind what it is.
func keyOrder() []string {
	order := slices.Clone(headKeys)
	t := reflect.TypeFor[Recipe]()
	for i := range t.NumField() {
		if key, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); key != "" && !slices.Contains(order, key) {
			order = append(order, key)
		}
	}
	return order
}

// section is a key of a recipe with all its lines, the comments above it
// included.
type section struct {
	key   string
	lines []string
}

// Format returns a recipe in the canonical layout: keys in their order, one
// empty line between sections and none among the first few, no white space at
// the ends of lines, a new line at the end. Comments and the layout inside a
// section stay. It is an error where the text is no recipe, and never another
// recipe than before.
func Format(name string, data []byte) ([]byte, error) {
	var before Recipe
	if err := decodeRaw(name, data, &before); err != nil {
		return nil, err
	}
	head, sections := divide(string(data))
	order := keyOrder()
	slices.SortStableFunc(sections, func(a, b section) int { return slices.Index(order, a.key) - slices.Index(order, b.key) })
	var out bytes.Buffer
	for _, line := range head {
		fmt.Fprintln(&out, line)
	}
	for i, s := range sections {
		last := i > 0 && slices.Contains(headKeys, sections[i-1].key) && slices.Contains(headKeys, s.key)
		if i > 0 && !last || i == 0 && len(head) > 0 && head[len(head)-1] != "" && !strings.HasPrefix(head[len(head)-1], "# yaml-language-server") {
			fmt.Fprintln(&out)
		}
		for _, line := range s.lines {
			fmt.Fprintln(&out, line)
		}
	}
	var after Recipe
	if err := decodeRaw(name, out.Bytes(), &after); err != nil || !reflect.DeepEqual(before, after) {
		return nil, fault.Errorf(fault.Usage, "%s: its layout is too unusual to be changed without changing what it says", name)
	}
	return out.Bytes(), nil
}

// decodeRaw decodes without settling conditions: every list is compared as it
// stands.
func decodeRaw(name string, data []byte, into *Recipe) error {
	choose := &chooser{file: name, arch: "x86_64"}
	_, err := strictyaml.DecodeEdited(name, data, into, choose.edit)
	return err
}

// divide cuts a recipe at its top keys. head are the comments at the very top,
// which belong to the file.
func divide(text string) (head []string, sections []section) {
	var comments []string
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		line = strings.TrimRight(line, " \t\r")
		switch {
		case line == "---" && len(sections) == 0:
		case strings.HasPrefix(line, "#"):
			comments = append(comments, line)
		case line == "" && len(sections) == 0:
			head = append(head, comments...)
			comments = nil
		case line != "" && line[0] != ' ' && line[0] != '-' && line[0] != '}' && line[0] != ']':
			key, _, _ := strings.Cut(line, ":")
			sections = append(sections, section{strings.Trim(strings.TrimSpace(key), `"'`), append(comments, line)})
			comments = nil
		case len(sections) > 0:
			s := &sections[len(sections)-1]
			s.lines = append(s.lines, append(comments, line)...)
			comments = nil
		}
	}
	if len(sections) > 0 {
		s := &sections[len(sections)-1]
		s.lines = append(s.lines, comments...)
	}
	if len(sections) > 0 && len(sections[0].lines) > 1 && strings.HasPrefix(sections[0].lines[0], "# yaml-language-server") {
		head = append(head, sections[0].lines[0])
		sections[0].lines = sections[0].lines[1:]
	}
	for i := range sections {
		s := &sections[i]
		for len(s.lines) > 0 && s.lines[len(s.lines)-1] == "" {
			s.lines = s.lines[:len(s.lines)-1]
		}
	}
	return head, sections
}
