package kconfig

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// maxReasons bounds how many links of a chain of causes are told.
const maxReasons = 8

// Explain says in plain lines why symbol does not have the wanted value, given
// today's values: the dependency that is not met with the values in it, and
// then the same for each symbol in the way; or, for a symbol that should be
// off, who selects it. It never returns an empty list.
func (t *Tree) Explain(symbol, wanted string, values Values) []string {
	e := explainer{tree: t, values: values, told: map[string]bool{}}
	if wanted == "n" {
		e.forced(symbol)
	} else {
		e.missing(symbol, wanted)
	}
	return e.lines
}

type explainer struct {
	tree   *Tree
	values Values
	told   map[string]bool
	lines  []string
}

func (e *explainer) say(format string, args ...any) {
	e.lines = append(e.lines, fmt.Sprintf(format, args...))
}

// missing explains why symbol is below wanted.
func (e *explainer) missing(symbol, wanted string) {
	if e.told[symbol] || len(e.told) >= maxReasons {
		return
	}
	e.told[symbol] = true
	s := e.tree.Lookup(symbol)
	if s == nil {
		e.unknown(symbol)
		return
	}
	level := Yes
	if wanted == "m" {
		level = Module
	}
	d := e.nearest(s, level)
	unmet := d.DependsOn.Unmet(e.values, level)
	if len(unmet) > 0 {
		e.say("%s (%s:%d) depends on %s", symbol, d.File, d.Line, d.DependsOn)
		for _, part := range unmet {
			e.say("not met: %s  [%s]", part, e.today(part))
		}
		for _, part := range unmet {
			e.follow(part)
		}
		return
	}
	e.unreachable(symbol, s, d, level)
}

// unreachable explains a symbol whose dependencies are met and that still is
// not set.
func (e *explainer) unreachable(symbol string, s *Symbol, d *Definition, level Tristate) {
	if d.Choice != nil {
		for _, member := range d.Choice.Members {
			if member != symbol && e.values(member) == "y" {
				e.say("%s (%s:%d) is a member of the choice %q, and %s is taken", symbol, d.File, d.Line, d.Choice.Prompt, member)
				return
			}
		}
	}
	if d.Prompt == "" {
		if len(s.SelectedBy) == 0 && len(d.Defaults) > 0 {
			e.say("%s (%s:%d) has no prompt: its default decides: %s", symbol, d.File, d.Line, defaultsText(d.Defaults))
			for _, def := range d.Defaults {
				e.follow(def.If)
			}
			return
		}
		e.say("%s (%s:%d) has no prompt: only a select sets it: %s", symbol, d.File, d.Line, e.reverseText(s.SelectedBy))
		return
	}
	if unmet := d.Visible.Unmet(e.values, Module); len(unmet) > 0 {
		e.say("%s (%s:%d) can be asked for only if %s", symbol, d.File, d.Line, d.Visible)
		for _, part := range unmet {
			e.say("not met: %s  [%s]", part, e.today(part))
			e.follow(part)
		}
		return
	}
	if d.DependsOn.Evaluate(e.values) == Unknown || d.Visible.Evaluate(e.values) == Unknown {
		e.say("%s (%s:%d) depends on %s, which asks the compiler", symbol, d.File, d.Line, And(d.DependsOn, d.Visible))
		return
	}
	e.say("%s (%s:%d) has all it depends on (%s): nothing asks for it", symbol, d.File, d.Line, d.DependsOn)
}

// follow goes on to the symbols that an unmet condition needs set.
func (e *explainer) follow(part *Expression) {
	if part == nil {
		return
	}
	switch part.Op {
	case "":
		if !part.Macro && !part.Quoted && isSymbol(part.Leaf) {
			e.missing(part.Leaf, "y")
		}
	case "!":
		if part.Left.Op == "" && isSymbol(part.Left.Leaf) && !e.told[part.Left.Leaf] {
			e.told[part.Left.Leaf] = true
			e.forced(part.Left.Leaf)
		}
	case "&&":
		e.follow(part.Left)
		e.follow(part.Right)
	}
}

// forced explains why symbol is set.
func (e *explainer) forced(symbol string) {
	s := e.tree.Lookup(symbol)
	if s == nil {
		e.unknown(symbol)
		return
	}
	said := false
	for _, r := range s.SelectedBy {
		if e.values(r.By) != "n" && r.If.Evaluate(e.values) != No {
			e.say("%s=%s selects %s%s", r.By, e.values(r.By), symbol, ifText(r.If))
			said = true
		}
	}
	for _, r := range s.ImpliedBy {
		if e.values(r.By) != "n" && r.If.Evaluate(e.values) != No {
			e.say("%s=%s implies %s%s", r.By, e.values(r.By), symbol, ifText(r.If))
			said = true
		}
	}
	for _, d := range s.Definitions {
		if said {
			break
		}
		prompt := "it can be turned off"
		if d.Prompt == "" {
			prompt = "it has no prompt"
		} else if d.Visible.Evaluate(e.values) == No {
			prompt = "it can be turned off only if " + d.Visible.String()
		}
		e.say("%s (%s:%d): default %s; %s", symbol, d.File, d.Line, defaultsText(d.Defaults), prompt)
	}
}

func (e *explainer) unknown(symbol string) {
	e.say("%s does not exist in this kernel", symbol)
	if s := e.tree.Symbols[symbol]; s != nil && len(s.SelectedBy) > 0 {
		e.say("(%s selects it, and nothing defines it for this architecture)", s.SelectedBy[0].By)
	}
	if near := e.tree.near(symbol); len(near) > 0 {
		e.say("names that hold it: %s", strings.Join(near, ", "))
	}
}

// near returns symbols whose names contain this one or are contained in it.
func (t *Tree) near(symbol string) []string {
	var names []string
	for name, s := range t.Symbols {
		if len(s.Definitions) == 0 || len(name) < 4 {
			continue
		}
		if strings.HasSuffix(name, "_"+symbol) || strings.HasSuffix(symbol, "_"+name) ||
			strings.HasPrefix(name, symbol+"_") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names[:min(len(names), 6)]
}

// nearest picks the definition that is closest to being reachable.
func (e *explainer) nearest(s *Symbol, level Tristate) *Definition {
	return slices.MinFunc(s.Definitions, func(a, b *Definition) int {
		return len(a.DependsOn.Unmet(e.values, level)) - len(b.DependsOn.Unmet(e.values, level))
	})
}

// today lists the values of the symbols in a condition.
func (e *explainer) today(part *Expression) string {
	var out []string
	for _, name := range part.Symbols() {
		out = append(out, name+"="+e.values(name))
	}
	if len(out) == 0 {
		return "asks the compiler"
	}
	return strings.Join(out, " ")
}

func (e *explainer) reverseText(list []Reverse) string {
	const shown = 8
	var out []string
	for _, r := range list {
		if len(out) == shown {
			out = append(out, fmt.Sprintf("and %d more", len(list)-shown))
			break
		}
		out = append(out, r.By+"="+e.values(r.By)+ifText(r.If))
	}
	if len(out) == 0 {
		return "nothing does"
	}
	return strings.Join(out, ", ")
}

func defaultsText(list []Default) string {
	var out []string
	for _, d := range list {
		out = append(out, d.Value.String()+ifText(d.If))
	}
	if len(out) == 0 {
		return "n"
	}
	return strings.Join(out, ", ")
}

func ifText(e *Expression) string {
	if e == nil {
		return ""
	}
	return " if " + e.String()
}
