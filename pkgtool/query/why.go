package query

import (
	"slices"
)

// Why are the reasons for which a package is installed.
type Why struct {
	Name      string  `json:"name"`
	Version   string  `json:"version"`
	Requested bool    `json:"requested"` // a person asked for it
	Chains    []Chain `json:"chains"`    // from packages that a person asked for; shortest first
}

// Chain leads from a package that a person asked for to the package in question.
type Chain []Link

// Link is one step of a chain.
type Link struct {
	From       string   `json:"from"`
	Relation   Relation `json:"relation"`
	Dependency string   `json:"dependency"`
	To         string   `json:"to"`
}

// maxChains bounds how many chains Why returns.
const maxChains = 10

// Why returns why a package is installed: one shortest chain for each package
// that a person asked for and that leads to it, at most 10. Requirements count
// before recommendations.
func (g *Graph) Why(n *Node) Why {
	why := Why{Name: n.Name, Version: n.Version.String(), Requested: n.Requested, Chains: []Chain{}}
	in := g.in()
	for _, allowed := range [][]Relation{{Requires}, {Requires, Recommends, Supplements}} {
		next := map[*Node]Edge{} // the first step from a package towards n
		queue := []*Node{n}
		seen := map[*Node]bool{n: true}
		for len(queue) > 0 && len(why.Chains) < maxChains {
			at := queue[0]
			queue = queue[1:]
			if at.Requested && at != n {
				why.Chains = append(why.Chains, chain(next, at, n))
				continue // what leads to this one leads on by it
			}
			for _, e := range in[at] {
				if !seen[e.From] && slices.Contains(allowed, e.Relation) {
					seen[e.From] = true
					next[e.From] = e
					queue = append(queue, e.From)
				}
			}
		}
		if len(why.Chains) > 0 {
			break
		}
	}
	return why
}

func chain(next map[*Node]Edge, from, to *Node) Chain {
	var c Chain
	for at := from; at != to; {
		e := next[at]
		c = append(c, Link{From: e.From.Name, Relation: e.Relation, Dependency: e.Dependency.String(), To: e.To.Name})
		at = e.To
	}
	return c
}

// Orphans returns the packages that nobody asked for and that no package that
// somebody asked for leads to, by requirement, recommendation or supplement.
func (g *Graph) Orphans() []*Node {
	in := g.in()
	out := map[*Node][]*Node{}
	for to, edges := range in {
		for _, e := range edges {
			out[e.From] = append(out[e.From], to)
		}
	}
	wanted := map[*Node]bool{}
	var mark func(*Node)
	mark = func(n *Node) {
		if wanted[n] {
			return
		}
		wanted[n] = true
		for _, to := range out[n] {
			mark(to)
		}
	}
	for _, n := range g.Nodes {
		if n.Requested {
			mark(n)
		}
	}
	var orphans []*Node
	for _, n := range g.Nodes {
		if !wanted[n] {
			orphans = append(orphans, n)
		}
	}
	return orphans
}
