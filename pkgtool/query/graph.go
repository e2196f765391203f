package query

import (
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/system"
	"ashlar/pkgtool/version"
)

// Relation is a kind of edge between packages, the strongest first.
type Relation string

const (
	Requires    Relation = "requires"
	Recommends  Relation = "recommends"
	Supplements Relation = "supplements" // the package is wanted where the other one is
	Conflicts   Relation = "conflicts"
)

// Node is a package in a graph, installed or on offer.
type Node struct {
	Name      string
	Version   version.Version
	Summary   string
	Repo      string
	Requested bool // installed because a person asked for it

	needs    []need
	provides []version.Provide
}

// ID is the name with the version.
func (n *Node) ID() string { return n.Name + " " + n.Version.String() }

// need is one dependency of a package.
type need struct {
	relation Relation
	on       version.Dependency
}

// Edge leads from a package to one that fulfils a dependency of it.
type Edge struct {
	From, To   *Node
	Relation   Relation
	Dependency version.Dependency
}

// Graph is a set of packages and how they depend on each other.
type Graph struct {
	Nodes     []*Node // sorted by name, then version
	providers map[string][]*Node
}

// Installed returns the graph of the installed packages.
func Installed(records []system.Record) (*Graph, error) {
	g := &Graph{providers: map[string][]*Node{}}
	for i := range records {
		r := &records[i]
		n := &Node{Name: r.Name, Version: r.Version, Summary: r.Summary, Repo: r.Repo, Requested: r.Requested}
		lists := relations{r.Requires, r.Recommends, r.Supplements, r.Conflicts, r.Provides}
		if err := g.add(n, lists); err != nil {
			return nil, fmt.Errorf("installed package %s: %w", r.Name, err)
		}
	}
	return g, nil
}

// relations are the texts of a package that make edges.
type relations struct{ requires, recommends, supplements, conflicts, provides []string }

func (g *Graph) add(n *Node, texts relations) error {
	for _, list := range []struct {
		relation Relation
		texts    []string
	}{{Requires, texts.requires}, {Recommends, texts.recommends}, {Supplements, texts.supplements}, {Conflicts, texts.conflicts}} {
		for _, text := range list.texts {
			d, err := version.ParseDependency(text)
			if err != nil {
				return err
			}
			n.needs = append(n.needs, need{list.relation, d})
		}
	}
	n.provides = append(n.provides, version.Provide{Name: n.Name, Version: &n.Version})
	for _, text := range texts.provides {
		p, err := version.ParseProvide(text)
		if err != nil {
			return err
		}
		n.provides = append(n.provides, p)
	}
	for _, p := range n.provides {
		if !slices.Contains(g.providers[p.Name], n) {
			g.providers[p.Name] = append(g.providers[p.Name], n)
		}
	}
	g.Nodes = append(g.Nodes, n)
	return nil
}

// Named returns the packages of that name, oldest first.
func (g *Graph) Named(name string) []*Node {
	var found []*Node
	for _, n := range g.providers[name] {
		if n.Name == name {
			found = append(found, n)
		}
	}
	return found
}

// Fulfilling returns the packages that fulfil a dependency, sorted by name.
func (g *Graph) Fulfilling(d version.Dependency) []*Node {
	var found []*Node
	for one := range d.Alternatives() {
		for _, n := range g.providers[one.Name] {
			if !slices.Contains(found, n) && slices.ContainsFunc(n.provides, one.SatisfiedBy) {
				found = append(found, n)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *Node) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// Out returns the edges from a package to others: what it depends on.
func (g *Graph) Out(n *Node) []Edge {
	var edges []Edge
	for _, need := range n.needs {
		if need.relation != Requires && need.relation != Recommends {
			continue // a supplement leads the other way
		}
		for _, to := range g.Fulfilling(need.on) {
			if to != n {
				edges = append(edges, Edge{n, to, need.relation, need.on})
			}
		}
	}
	return edges
}

// Missing returns the requirements of a package that nothing in the graph fulfils.
func (g *Graph) Missing(n *Node) []version.Dependency {
	var missing []version.Dependency
	for _, need := range n.needs {
		if need.relation == Requires && len(g.Fulfilling(need.on)) == 0 {
			missing = append(missing, need.on)
		}
	}
	return missing
}

// Conflicts returns the edges from a package to others that it excludes.
func (g *Graph) Conflicts(n *Node) []Edge {
	var edges []Edge
	for _, need := range n.needs {
		if need.relation != Conflicts {
			continue
		}
		for _, to := range g.Fulfilling(need.on) {
			if to.Name != n.Name {
				edges = append(edges, Edge{n, to, Conflicts, need.on})
			}
		}
	}
	return edges
}

// in returns the edges that lead to each package: why it is there. A package
// that supplements another is there because of that one.
func (g *Graph) in() map[*Node][]Edge {
	to := map[*Node][]Edge{}
	for _, n := range g.Nodes {
		for _, e := range g.Out(n) {
			to[e.To] = append(to[e.To], e)
		}
		for _, need := range n.needs {
			if need.relation != Supplements {
				continue
			}
			for _, base := range g.Fulfilling(need.on) {
				if base != n {
					to[n] = append(to[n], Edge{base, n, Supplements, need.on})
				}
			}
		}
	}
	return to
}
