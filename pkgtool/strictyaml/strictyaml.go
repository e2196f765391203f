// Package strictyaml reads the YAML files people write for Ashlar: recipes,
// image definitions, answer files, client configuration.
//
// It is strict where YAML is lenient: an unknown key, a duplicate key, a second
// document or a wrong type is an error that names file, line, column and, for
// an unknown key, the nearest key that exists. The Go types are the schema;
// [Schema] publishes them as JSON Schema for editors.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"sort"
	"strings"

	"ashlar/pkgtool/fault"

	"github.com/agext/levenshtein"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/invopop/jsonschema"
)

// MaxSize bounds a file's size in bytes. Nothing a person writes comes near.
const MaxSize = 4 << 20

// maxDepth bounds nesting, so that a hostile file cannot exhaust the stack.
const maxDepth = 100

// Error is a mistake in a file, with its position.
type Error struct {
	File         string
	Line, Column int
	Message      string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// ReadFile is Decode for a file. Its errors are of class fault.Usage.
func ReadFile(path string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return Decode(path, data, into)
}

// Decode reads exactly one document from data into the struct that into points
// to, matching keys by `yaml` tags. name stands for the file in errors.
func Decode(name string, data []byte, into any) error {
	_, err := DecodeEdited(name, data, into, nil)
	return err
}

// DecodeEdited is Decode of what edit makes of the document: it may change the
// nodes below root, which keep their positions. The result is the document as it
// was decoded.
func DecodeEdited(name string, data []byte, into any, edit func(root ast.Node) error) (ast.Node, error) {
	root, err := parse(name, data)
	if err == nil && edit != nil {
		err = edit(root)
	}
	if err == nil {
		err = decode(name, root, into)
	}
	return root, fault.Mark(err, fault.Usage, "")
}

// parse returns the one document in data.
func parse(name string, data []byte) (ast.Node, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%s: larger than %d bytes, which no such file needs", name, MaxSize)
	}
	if err := checkDepth(name, data); err != nil {
		return nil, err
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, positioned(name, err)
	}
	if len(file.Docs) > 1 && file.Docs[1].Body != nil {
		line := file.Docs[1].Body.GetToken().Position.Line
		return nil, &Error{name, line, 1, "a second document; one file holds one document"}
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil, &Error{name, 1, 1, "the file is empty"}
	}
	return file.Docs[0].Body, nil
}

func decode(name string, root ast.Node, into any) error {
	var problems []error
	checkKeys(name, root, reflect.TypeOf(into), "", &problems)
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	if err := yaml.NodeToValue(root, into, yaml.Strict()); err != nil {
		return positioned(name, err)
	}
	return nil
}

// checkDepth counts indentation and brackets without parsing: the parser
// itself recurses.
func checkDepth(name string, data []byte) error {
	flow := 0
	for i, line := range bytes.Split(data, []byte("\n")) {
		indent := len(line) - len(bytes.TrimLeft(line, " "))
		dashes := bytes.Count(line[:min(len(line), indent+2*maxDepth)], []byte("- "))
		for _, c := range line {
			switch c {
			case '[', '{':
				flow++
			case ']', '}':
				flow = max(0, flow-1)
			}
		}
		if indent > 10*maxDepth || dashes > maxDepth || flow > 50*maxDepth {
			return &Error{name, i + 1, 1, "nested deeper than any such file needs"}
		}
	}
	return nil
}

func positioned(name string, err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		p := y.GetToken().Position
		return &Error{name, p.Line, p.Column, wrongType(y.GetMessage())}
	}
	return fmt.Errorf("%s: %w", name, err)
}

// checkKeys walks the syntax tree beside the type and collects every key that
// the type does not have.
func checkKeys(name string, node ast.Node, t reflect.Type, path string, problems *[]error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n := node.(type) {
	case *ast.AnchorNode, *ast.AliasNode:
		p := node.GetToken().Position
		*problems = append(*problems, &Error{name, p.Line, p.Column, "anchors and aliases are not allowed; write the value out"})
	case *ast.MappingNode:
		if t.Kind() == reflect.Map {
			for _, v := range n.Values {
				checkKeys(name, v.Value, t.Elem(), path+"."+v.Key.String(), problems)
			}
			return
		}
		if t.Kind() != reflect.Struct || customDecoder(t) {
			return
		}
		fields := keysOf(t)
		seen := map[string]bool{}
		for _, v := range n.Values {
			key := v.Key.GetToken().Value
			p := v.Key.GetToken().Position
			if seen[key] {
				*problems = append(*problems, &Error{name, p.Line, p.Column, fmt.Sprintf("key %q stands twice", key)})
				continue
			}
			seen[key] = true
			field, ok := fields[key]
			if !ok {
				*problems = append(*problems, &Error{name, p.Line, p.Column, unknownKey(key, path, fields)})
				continue
			}
			checkKeys(name, v.Value, field, strings.TrimPrefix(path+"."+key, "."), problems)
		}
	case *ast.MappingValueNode:
		checkKeys(name, &ast.MappingNode{BaseNode: &ast.BaseNode{}, Values: []*ast.MappingValueNode{n}}, t, path, problems)
	case *ast.SequenceNode:
		if t.Kind() == reflect.Slice && !customDecoder(t) {
			for _, v := range n.Values {
				checkKeys(name, v, t.Elem(), path, problems)
			}
		}
	}
}

// customDecoder reports whether the type reads itself from YAML; such a type
// checks its own keys (with [Decode] on the bytes, or Keys).
func customDecoder(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[yaml.BytesUnmarshaler]()) ||
		p.Implements(reflect.TypeFor[yaml.InterfaceUnmarshaler]()) ||
		p.Implements(reflect.TypeFor[yaml.NodeUnmarshaler]())
}

func keysOf(t reflect.Type) map[string]reflect.Type {
	keys := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		tag, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case tag == "-":
		case strings.Contains(options, "inline"):
			for k, v := range keysOf(f.Type) {
				keys[k] = v
			}
		case tag == "":
			keys[strings.ToLower(f.Name)] = f.Type
		default:
			keys[tag] = f.Type
		}
	}
	return keys
}

func unknownKey(key, path string, fields map[string]reflect.Type) string {
	known := make([]string, 0, len(fields))
	for k := range fields {
		known = append(known, k)
	}
	sort.Strings(known)
	where := ""
	if path != "" {
		where = " in " + path
	}
	if near := Nearest(key, known); near != "" {
		return fmt.Sprintf("unknown key %q%s; did you mean %q?", key, where, near)
	}
	return fmt.Sprintf("unknown key %q%s; known keys: %s", key, where, strings.Join(known, ", "))
}

// Nearest returns the candidate most like word, or "" when none is near.
func Nearest(word string, candidates []string) string {
	best, bestDistance := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if d := levenshtein.Distance(word, c, nil); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// Schema returns the JSON Schema (draft 2020-12) of the type that example
// points to, indented, with a final newline. Field descriptions come from
// `jsonschema_description` tags. Edits change the schema before it is written.
func Schema(example any, title string, edits ...func(*jsonschema.Schema)) ([]byte, error) {
	r := &jsonschema.Reflector{FieldNameTag: "yaml", ExpandedStruct: true, Anonymous: true}
	s := r.Reflect(example)
	s.Title = title
	for _, edit := range edits {
		edit(s)
	}
	raw, err := s.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("make the schema of %s: %w", title, err)
	}
	var out bytes.Buffer
	if err := indentJSON(&out, raw); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
