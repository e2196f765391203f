package recipe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// chooser settles the conditions of a recipe before it is decoded: what is not
// chosen is not there.
type chooser struct {
	file     string
	arch     string
	given    map[string]string // values of options that somebody chose
	values   map[string]string // what conditions can name
	problems []error
}

// edit settles every condition below root, the options first.
func (c *chooser) edit(root ast.Node) error {
	c.values = map[string]string{"arch": c.arch}
	if c.readOptions(root); len(c.problems) == 0 {
		c.node(root)
		shortPatches(root)
	}
	return joinUsage(c.problems)
}

func (c *chooser) problem(at ast.Node, format string, args ...any) {
	p := at.GetToken().Position
	c.problems = append(c.problems, &strictyaml.Error{File: c.file, Line: p.Line, Column: p.Column, Message: fmt.Sprintf(format, args...)})
}

// readOptions finds the value of every option of the recipe.
func (c *chooser) readOptions(root ast.Node) {
	node, at := child(root, "options")
	declared := map[string]Option{}
	if node != nil {
		// What is wrong with their form is told when the recipe is decoded.
		if err := yaml.NodeToValue(node, &declared); err != nil {
			return
		}
	}
	for name, option := range declared {
		value, err := option.value(c.given[name])
		if err != nil {
			where := at
			if _, key := child(node, name); key != nil {
				where = key
			}
			c.problem(where, "option %s: %v", name, err)
			continue
		}
		c.values["options."+name] = value
	}
	for name := range c.given {
		if _, ok := declared[name]; !ok {
			c.problems = append(c.problems, fmt.Errorf("%s has no option %q%s", c.file, name, didYouMean(name, declared)))
		}
	}
}

// options are the values of the recipe's options by name.
func (c *chooser) options() map[string]string {
	values := map[string]string{}
	for name, value := range c.values {
		if option, ok := strings.CutPrefix(name, "options."); ok {
			values[option] = value
		}
	}
	return values
}

// checkChosen reports options that were chosen for recipes that are not there.
func (t *Tree) checkChosen() {
	for _, name := range slices.Sorted(maps.Keys(t.chosen)) {
		if t.recipes[name] == nil && t.broken[name] == nil {
			known := map[string]bool{}
			for _, n := range t.Names() {
				known[n] = true
			}
			t.problems = append(t.problems, fault.Errorf(fault.Usage, "options were chosen for %q, which is no recipe%s", name, didYouMean(name, known)))
		}
	}
}

// value is the chosen value, or the default where none was.
func (o *Option) value(chosen string) (string, error) {
	values := o.Values
	switch {
	case o.Type == "bool" && len(values) > 0:
		return "", fmt.Errorf("values belong to an enum; a bool is true or false")
	case o.Type == "bool":
		values = []string{"false", "true"}
	case o.Type != "enum":
		return "", fmt.Errorf("%q is neither bool nor enum", o.Type)
	case len(values) == 0:
		return "", fmt.Errorf("an enum needs its values")
	}
	if chosen == "" {
		if o.Default == nil {
			return values[0], nil
		}
		chosen = fmt.Sprint(o.Default)
	}
	if !slices.Contains(values, chosen) {
		return "", fmt.Errorf("%q is none of its values %v", chosen, values)
	}
	return chosen, nil
}

// node settles the conditions in lists below n.
func (c *chooser) node(n ast.Node) {
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			c.node(v.Value)
		}
	case *ast.MappingValueNode:
		c.node(n.Value)
	case *ast.SequenceNode:
		chosen := make([]ast.Node, 0, len(n.Values))
		for _, element := range n.Values {
			chosen = append(chosen, c.element(element)...)
		}
		n.Values = chosen
		for _, element := range chosen {
			c.node(element)
		}
	}
}

// element returns what stays of an element of a list.
func (c *chooser) element(n ast.Node) []ast.Node {
	if single, ok := n.(*ast.MappingValueNode); ok {
		n = ast.Mapping(single.GetToken(), false, single)
	}
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return []ast.Node{n}
	}
	text, at := child(m, "if")
	if text == nil {
		return []ast.Node{n}
	}
	holds, err := evaluate(text.GetToken().Value, c.values)
	if err != nil {
		c.problem(at, "%v", err)
		return nil
	}
	then, _ := child(m, "then")
	if then == nil {
		if !holds {
			return nil
		}
		m.Values = slices.DeleteFunc(slices.Clone(m.Values), func(v *ast.MappingValueNode) bool { return v.Key.GetToken().Value == "if" })
		if len(m.Values) == 0 {
			c.problem(at, "if needs then, or further keys that it decides on")
			return nil
		}
		return []ast.Node{m}
	}
	for _, v := range m.Values {
		if key := v.Key.GetToken().Value; !slices.Contains([]string{"if", "then", "else"}, key) {
			c.problem(v.Key, "unknown key %q beside if and then; known keys: else", key)
		}
	}
	branch := then
	if !holds {
		if branch, _ = child(m, "else"); branch == nil {
			return nil
		}
	}
	if list, ok := branch.(*ast.SequenceNode); ok {
		var all []ast.Node
		for _, element := range list.Values {
			all = append(all, c.element(element)...)
		}
		return all
	}
	return c.element(branch)
}

// shortPatches turns a patch that is only a file name into its mapping.
func shortPatches(root ast.Node) {
	list, _ := child(root, "patches")
	sequence, ok := list.(*ast.SequenceNode)
	if !ok {
		return
	}
	for i, n := range sequence.Values {
		name, ok := n.(ast.ScalarNode)
		if !ok {
			continue
		}
		at := n.GetToken()
		key := token.New("file", "file", at.Position)
		colon := token.New(":", ":", at.Position)
		sequence.Values[i] = ast.Mapping(at, false, ast.MappingValue(colon, ast.String(key), name))
	}
}
