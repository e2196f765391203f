package debian

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"ashlar/pkgtool/build/source/apt"
)

// Line is one package of a universe as pkgtool solve reads it, a line of JSON
// (docs/formats/solver-case.md), with what it was made of.
type Line struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Release    uint32   `json:"release"`
	Arch       string   `json:"arch"`
	Repo       string   `json:"repo"`
	Requires   []string `json:"requires,omitempty"`
	Provides   []string `json:"provides,omitempty"`
	Conflicts  []string `json:"conflicts,omitempty"`
	Recommends []string `json:"recommends,omitempty"`

	Debian  string `json:"-"` // Debian's version
	Summary string `json:"-"`
	Size    int64  `json:"-"` // of the package file in bytes
}

// Convert reads a Packages index and returns its packages in the terms of our
// solver, in the index's order:
//
//   - versions become ranks (see Ranks), each with release 1;
//   - Depends and Pre-Depends become requires, alternatives and all;
//   - Conflicts and Breaks become conflicts: both forbid that the two are
//     installed together, and in neither of the two does a package conflict with itself;
//   - Provides become provides, with a version only where Debian has one;
//   - "name:any" is fulfilled only by a package that is Multi-Arch: allowed,
//     so it becomes the capability any(name), which exactly those provide;
//     "name:native" and "name:amd64" are name, and what is asked of another
//     architecture becomes a capability that nothing provides;
//   - Replaces (which only lets dpkg overwrite files), Suggests, Enhances and
//     Essential are left out: they do not decide what can be installed together.
func Convert(packages io.Reader) ([]Line, error) {
	c := &converter{ranks: NewRanks()}
	if err := apt.Stanzas(packages, c.read); err != nil {
		return nil, err
	}
	if err := c.ranks.Order(); err != nil {
		return nil, err
	}
	lines := make([]Line, len(c.stanzas))
	for i, s := range c.stanzas {
		lines[i] = c.line(s)
	}
	return lines, nil
}

// stanza is a package before versions are known.
type stanza struct {
	name, version, arch, summary              string
	size                                      int64
	any                                       bool // may fulfil name:any
	depends, conflicts, provides, recommended [][]Relation
}

type converter struct {
	ranks   *Ranks
	stanzas []stanza
}

func (c *converter) read(s apt.Stanza) error {
	p := stanza{name: s["Package"], version: s["Version"], arch: s["Architecture"], any: s["Multi-Arch"] == "allowed"}
	if p.name == "" || p.version == "" {
		return fmt.Errorf("a package without name or version")
	}
	p.summary, _, _ = strings.Cut(s["Description"], "\n")
	fmt.Sscan(s["Size"], &p.size)
	c.ranks.Add(p.name, p.version)
	for _, field := range []struct {
		names []string
		into  *[][]Relation
	}{
		{[]string{"Pre-Depends", "Depends"}, &p.depends},
		{[]string{"Conflicts", "Breaks"}, &p.conflicts},
		{[]string{"Provides"}, &p.provides},
		{[]string{"Recommends"}, &p.recommended},
	} {
		for _, name := range field.names {
			relations, err := ParseRelations(s[name])
			if err != nil {
				return fmt.Errorf("%s of %s: %w", name, p.name, err)
			}
			for _, r := range slices.Concat(relations...) {
				if r.Operator != "" {
					c.ranks.Add(r.Name, r.Version)
				}
			}
			*field.into = append(*field.into, relations...)
		}
	}
	c.stanzas = append(c.stanzas, p)
	return nil
}

func (c *converter) line(p stanza) Line {
	l := Line{Name: p.name, Version: c.ranks.Semver(p.name, p.version), Release: 1, Arch: "x86_64", Repo: "debian",
		Debian: p.version, Summary: p.summary, Size: p.size}
	if p.arch == "all" {
		l.Arch = "noarch"
	}
	l.Requires = c.texts(p.depends)
	l.Conflicts = c.texts(p.conflicts)
	l.Recommends = c.texts(p.recommended)
	for _, r := range slices.Concat(p.provides...) {
		text := r.Name
		if r.Operator == "=" {
			text += " = " + c.ranks.Semver(r.Name, r.Version)
		}
		l.Provides = append(l.Provides, text)
	}
	if p.any {
		l.Provides = append(l.Provides, "any("+p.name+") = "+l.Version)
	}
	for _, list := range []*[]string{&l.Requires, &l.Conflicts, &l.Recommends, &l.Provides} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return l
}

// texts translates relations to dependencies.
func (c *converter) texts(relations [][]Relation) []string {
	var list []string
	for _, alternatives := range relations {
		var words []string
		for _, r := range alternatives {
			words = append(words, c.capability(r)+c.ranks.constraint(r))
		}
		list = append(list, strings.Join(words, " | "))
	}
	return list
}

// capability is the name that stands for a relation's.
func (c *converter) capability(r Relation) string {
	switch r.Arch {
	case "", "native", "amd64":
		return r.Name
	case "any":
		return "any(" + r.Name + ")"
	}
	return "foreign(" + r.Name + ")"
}
