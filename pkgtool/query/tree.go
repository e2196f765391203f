package query

import (
	"slices"
	"strings"
)

// Branch is a package in a tree of dependencies, with what hangs from it.
type Branch struct {
	Name       string    `json:"name"`
	Version    string    `json:"version"`
	Relation   Relation  `json:"relation,omitempty"`   // how the one above is related to it
	Dependency string    `json:"dependency,omitempty"` // the words of that relation
	Repeated   bool      `json:"repeated,omitempty"`   // shown in full elsewhere in the tree
	Branches   []*Branch `json:"branches,omitempty"`
	Missing    []string  `json:"missing,omitempty"` // requirements that nothing fulfils
}

// TreeOptions say what a tree shows.
type TreeOptions struct {
	Depth      int  // levels below the top; 0 means all
	Reverse    bool // what depends on the package instead of what it depends on
	Recommends bool // follow recommendations and supplements too
}

// Tree returns the dependencies of a package. A package that occurs again is
// shown without what hangs from it, so a tree is finite.
func (g *Graph) Tree(n *Node, opts TreeOptions) *Branch {
	t := &growing{graph: g, opts: opts, shown: map[*Node]bool{}}
	if opts.Reverse {
		t.in = g.in()
	}
	return t.grow(n, Edge{}, 0)
}

type growing struct {
	graph *Graph
	opts  TreeOptions
	in    map[*Node][]Edge
	shown map[*Node]bool
}

func (t *growing) grow(n *Node, by Edge, level int) *Branch {
	b := &Branch{Name: n.Name, Version: n.Version.String(), Relation: by.Relation}
	if by.From != nil {
		b.Dependency = by.Dependency.String()
	}
	if t.shown[n] {
		b.Repeated = true
		return b
	}
	t.shown[n] = true
	if !t.opts.Reverse {
		for _, d := range t.graph.Missing(n) {
			b.Missing = append(b.Missing, d.String())
		}
	}
	if t.opts.Depth > 0 && level >= t.opts.Depth {
		return b
	}
	var below []*Node
	for _, e := range t.edges(n) {
		other := e.To
		if t.opts.Reverse {
			other = e.From
		}
		if e.Relation != Requires && !t.opts.Recommends || slices.Contains(below, other) {
			continue
		}
		below = append(below, other)
		b.Branches = append(b.Branches, t.grow(other, e, level+1))
	}
	return b
}

func (t *growing) edges(n *Node) []Edge {
	if !t.opts.Reverse {
		return t.graph.Out(n)
	}
	edges := slices.Clone(t.in[n])
	slices.SortStableFunc(edges, func(a, b Edge) int { return strings.Compare(a.From.Name, b.From.Name) })
	return edges
}
