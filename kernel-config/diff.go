package kernelconfig

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
)

// Change is one symbol that two configurations have different values for.
type Change struct {
	Symbol string `json:"symbol"`
	Old    string `json:"old"` // n also where the file does not name it
	New    string `json:"new"`
	From   string `json:"from,omitempty"` // fragment of the new flavour that asks for it, or the old one's
}

// Diff is how two configurations, or what two flavours ask for, differ.
type Diff struct {
	Schema  int      `json:"schema"` // 1
	Old     string   `json:"old"`
	New     string   `json:"new"`
	Same    int      `json:"same"` // symbols set in both to the same value
	Changes []Change `json:"changes"`
}

// Settings is what a .config says or a flavour asks for.
type Settings struct {
	Name   string // of the file or flavour
	values map[string]string
	from   map[string]string
}

// Settings returns what the configuration says; name stands for it in a [Diff].
func (c *Config) Settings(name string) Settings { return Settings{Name: name, values: c.values} }

// Settings returns what the flavour asks for.
func (f *Flavour) Settings() Settings {
	s := Settings{Name: f.Name, values: map[string]string{}, from: map[string]string{}}
	for _, a := range f.asks() {
		s.values[a.symbol], s.from[a.symbol] = a.value, a.fragment
	}
	return s
}

// Compare lists the symbols that differ, sorted by name. A symbol that is not
// named counts as n.
func Compare(before, after Settings) *Diff {
	d := &Diff{Schema: 1, Old: before.Name, New: after.Name, Changes: []Change{}}
	names := map[string]bool{}
	for s := range maps.Keys(before.values) {
		names[s] = true
	}
	for s := range maps.Keys(after.values) {
		names[s] = true
	}
	value := func(s Settings, name string) string {
		if v, ok := s.values[name]; ok {
			return v
		}
		return "n"
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, b := value(before, name), value(after, name)
		switch {
		case a != b:
			from := after.from[name]
			if from == "" {
				from = before.from[name]
			}
			d.Changes = append(d.Changes, Change{name, a, b, from})
		case a != "n":
			d.Same++
		}
	}
	return d
}

// Write prints the difference for a person: what came, what went, what changed.
func (d *Diff) Write(w io.Writer) {
	groups := []struct {
		sign  string
		holds func(Change) bool
	}{
		{"+", func(c Change) bool { return c.Old == "n" }},
		{"-", func(c Change) bool { return c.New == "n" }},
		{"~", func(c Change) bool { return c.Old != "n" && c.New != "n" }},
	}
	var counts []int
	for _, g := range groups {
		n := 0
		list := slices.DeleteFunc(slices.Clone(d.Changes), func(c Change) bool { return !g.holds(c) })
		sort.SliceStable(list, func(i, j int) bool { return list[i].From < list[j].From })
		for _, c := range list {
			n++
			text := c.New
			if g.sign == "-" {
				text = c.Old
			} else if g.sign == "~" {
				text = c.Old + " -> " + c.New
			}
			if c.From != "" {
				text += "  (" + c.From + ")"
			}
			fmt.Fprintf(w, "%s %s=%s\n", g.sign, c.Symbol, text)
		}
		counts = append(counts, n)
	}
	fmt.Fprintf(w, "%s to %s: %d came, %d went, %d changed, %d stayed\n", d.Old, d.New, counts[0], counts[1], counts[2], d.Same)
}
