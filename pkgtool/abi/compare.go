package abi

import "slices"

// Change is what differs between two builds of a library, as its users see it.
type Change struct {
	Soname  *Values  `json:"soname,omitempty"`
	Needed  Lists    `json:"needed"`
	Sets    Lists    `json:"sets"`
	Added   []Symbol `json:"added,omitempty"`
	Removed []Symbol `json:"removed,omitempty"`
	Changed []Pair   `json:"changed,omitempty"`
}

// Values are a value before and after.
type Values struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Lists are elements that came and went.
type Lists struct {
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// Pair is a symbol that became another kind of thing or another size.
type Pair struct {
	From Symbol `json:"from"`
	To   Symbol `json:"to"`
}

// Empty reports whether users see no difference.
func (c *Change) Empty() bool {
	return c.Soname == nil && len(c.Needed.Added)+len(c.Needed.Removed)+len(c.Sets.Added)+len(c.Sets.Removed) == 0 &&
		len(c.Added)+len(c.Removed)+len(c.Changed) == 0
}

// Breaks reports whether programs linked with the old build may not work with
// the new one: another soname, or symbols that are gone or became something
// else. A symbol that got weak or an old version breaks none.
func (c *Change) Breaks() bool {
	return c.Soname != nil || len(c.Removed) > 0 || slices.ContainsFunc(c.Changed, func(p Pair) bool {
		return p.From.Size != p.To.Size || p.From.Kind != p.To.Kind && !(callable(p.From) && callable(p.To))
	})
}

// callable reports whether a symbol is a function for its callers.
func callable(s Symbol) bool { return s.Kind == "function" || s.Kind == "resolver" }

// Compare returns what differs for users of a library.
func Compare(from, to *Library) *Change {
	c := &Change{Needed: lists(from.Needed, to.Needed), Sets: lists(from.Sets, to.Sets)}
	if from.Soname != to.Soname {
		c.Soname = &Values{from.Soname, to.Soname}
	}
	type name struct{ name, version string }
	before := map[name]Symbol{}
	for _, s := range from.Symbols {
		before[name{s.Name, s.Version}] = s
	}
	for _, s := range to.Symbols {
		key := name{s.Name, s.Version}
		old, known := before[key]
		switch {
		case !known:
			c.Added = append(c.Added, s)
		case old != s:
			c.Changed = append(c.Changed, Pair{old, s})
		}
		delete(before, key)
	}
	for _, s := range from.Symbols {
		if _, gone := before[name{s.Name, s.Version}]; gone {
			c.Removed = append(c.Removed, s)
		}
	}
	return c
}

// lists compares two lists without order.
func lists(from, to []string) Lists {
	var l Lists
	for _, text := range to {
		if !slices.Contains(from, text) {
			l.Added = append(l.Added, text)
		}
	}
	for _, text := range from {
		if !slices.Contains(to, text) {
			l.Removed = append(l.Removed, text)
		}
	}
	return l
}
