package recipe

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"

	"github.com/goccy/go-yaml/ast"
)

// positions finds the place of a key in a YAML file, for messages.
type positions struct {
	file string
	root ast.Node
}

// at returns line and column of the value under keys (names and list
// indexes); where the path ends early, those of the nearest parent.
func (p *positions) at(keys []any) (line, column int) {
	node, line, column := p.root, 1, 1
	for _, key := range keys {
		next, at := child(node, key)
		if next == nil {
			break
		}
		if t := at.GetToken(); t != nil {
			line, column = t.Position.Line, t.Position.Column
		}
		node = next
	}
	return line, column
}

// child returns the value under key and the node whose place stands for it.
func child(node ast.Node, key any) (value, at ast.Node) {
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			if v.Key.GetToken().Value == key {
				return v.Value, v.Key
			}
		}
	case *ast.MappingValueNode:
		if n.Key.GetToken().Value == key {
			return n.Value, n.Key
		}
	case *ast.SequenceNode:
		if i, ok := key.(int); ok && i < len(n.Values) {
			first := n.Values[i]
			if m, ok := first.(*ast.MappingNode); ok && len(m.Values) > 0 {
				return first, m.Values[0].Key
			}
			return first, first
		}
	}
	return nil, nil
}

// problems collects everything wrong with one file.
type problems struct {
	pos  *positions
	list []error
}

type path []any

func (p *problems) add(at path, format string, args ...any) {
	line, column := p.pos.at(at)
	p.list = append(p.list, &strictyaml.Error{File: p.pos.file, Line: line, Column: column, Message: fmt.Sprintf(format, args...)})
}

// err returns the problems in the order of the file.
func (p *problems) err() error {
	place := func(err error) (line, column int, message string) {
		if e := (*strictyaml.Error)(nil); errors.As(err, &e) {
			return e.Line, e.Column, e.Message
		}
		return 0, 0, ""
	}
	slices.SortStableFunc(p.list, func(a, b error) int {
		la, ca, ma := place(a)
		lb, cb, mb := place(b)
		return cmp.Or(cmp.Compare(la, lb), cmp.Compare(ca, cb), cmp.Compare(ma, mb))
	})
	return fault.Mark(errors.Join(p.list...), fault.Usage, "")
}

func (at path) with(more ...any) path {
	return append(at[:len(at):len(at)], more...)
}
