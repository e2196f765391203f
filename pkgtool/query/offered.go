package query

import (
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/version"
)

// Offers is what repositories have; a client.Client is one.
type Offers interface {
	ByName(name string) []client.Entry
	Providers(capability string) []client.Entry // by name or by what they provide
	Requirers(capability string) []client.Entry
}

// Offered returns the graph of a package on offer and of what it may need, down
// to depth levels (0 means all). Of each name it has the best entry only.
func Offered(offers Offers, name string, depth int) (*Graph, error) {
	return offered(offers, name, depth, func(n *Node) (names []string) {
		for _, need := range n.needs {
			if need.relation != Requires && need.relation != Recommends {
				continue
			}
			for one := range need.on.Alternatives() {
				for _, e := range offers.Providers(one.Name) {
					names = append(names, e.Name)
				}
			}
		}
		return names
	})
}

// OfferedUsers returns the graph of a package on offer and of what depends on it,
// down to depth levels (0 means all). Of each name it has the best entry only.
func OfferedUsers(offers Offers, name string, depth int) (*Graph, error) {
	return offered(offers, name, depth, func(n *Node) (names []string) {
		for _, p := range n.provides {
			for _, e := range offers.Requirers(p.Name) {
				names = append(names, e.Name)
			}
		}
		return names
	})
}

// offered walks from a package to those that next names.
func offered(offers Offers, name string, depth int, next func(*Node) []string) (*Graph, error) {
	g := &Graph{providers: map[string][]*Node{}}
	known := map[string]bool{}
	level := []string{name}
	for d := 0; len(level) > 0 && (depth == 0 || d <= depth); d++ {
		var below []string
		for _, name := range level {
			if known[name] {
				continue
			}
			known[name] = true
			e, ok := Best(offers.ByName(name))
			if !ok {
				continue
			}
			n, err := g.addEntry(&e)
			if err != nil {
				return nil, err
			}
			below = append(below, next(n)...)
		}
		slices.Sort(below)
		level = slices.Compact(below)
	}
	slices.SortFunc(g.Nodes, func(a, b *Node) int { return strings.Compare(a.Name, b.Name) })
	return g, nil
}

// Best returns the entry that would be preferred among those of one name: of
// the repository with the highest priority, the newest.
func Best(entries []client.Entry) (best client.Entry, ok bool) {
	var newest version.Version
	for _, e := range entries {
		v, err := e.EVR()
		if err != nil {
			continue
		}
		if !ok || e.Priority > best.Priority || e.Priority == best.Priority && v.Compare(newest) > 0 {
			best, newest, ok = e, v, true
		}
	}
	return best, ok
}

func (g *Graph) addEntry(e *client.Entry) (*Node, error) {
	v, err := e.EVR()
	if err != nil {
		return nil, fmt.Errorf("%s of repository %s: %w", e.Name, e.Repo, err)
	}
	n := &Node{Name: e.Name, Version: v, Summary: e.Summary, Repo: e.Repo}
	if err := g.add(n, relations{e.Requires, e.Recommends, e.Supplements, e.Conflicts, e.Provides}); err != nil {
		return nil, fmt.Errorf("%s of repository %s: %w", n.ID(), e.Repo, err)
	}
	return n, nil
}
