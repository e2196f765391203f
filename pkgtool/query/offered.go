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
	Providers(capability string) []client.Entry
}

// Offered returns the graph of a package on offer and what it may need, down
// to depth levels (0 means all). Of each name it has the best entry only.
func Offered(offers Offers, name string, depth int) (*Graph, error) {
	g := &Graph{providers: map[string][]*Node{}}
	known := map[string]bool{}
	level := []string{name}
	for d := 0; len(level) > 0 && (depth == 0 || d <= depth); d++ {
		var next []string
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
			for _, need := range n.needs {
				if need.relation != Requires && need.relation != Recommends {
					continue
				}
				for one := range need.on.Alternatives() {
					for _, p := range offers.Providers(one.Name) {
						next = append(next, p.Name)
					}
				}
			}
		}
		slices.Sort(next)
		level = slices.Compact(next)
	}
	g.sort()
	return g, nil
}

// AllOffered returns the graph of everything on offer, the best entry of each name.
func AllOffered(entries []client.Entry) (*Graph, error) {
	byName := map[string][]client.Entry{}
	for _, e := range entries {
		byName[e.Name] = append(byName[e.Name], e)
	}
	g := &Graph{providers: map[string][]*Node{}}
	for _, same := range byName {
		e, _ := Best(same)
		if _, err := g.addEntry(&e); err != nil {
			return nil, err
		}
	}
	g.sort()
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

func (g *Graph) sort() {
	slices.SortFunc(g.Nodes, func(a, b *Node) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return a.Version.Compare(b.Version)
	})
}
