package query

import (
	"slices"
	"strings"

	"ashlar/pkgtool/system"
	"ashlar/pkgtool/version"
)

// Provider is a package that fulfils a dependency.
type Provider struct {
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Installed bool     `json:"installed"`
	Repo      string   `json:"repo,omitempty"` // that has it on offer
	As        []string `json:"as"`             // what of it fulfils the dependency: its name, or provides
}

// Providers returns the packages, installed or on offer, that fulfil a
// dependency: the installed ones first, then by name and version.
func Providers(d version.Dependency, records []system.Record, offers Offers) ([]Provider, error) {
	installed, err := Installed(records)
	if err != nil {
		return nil, err
	}
	all := []Provider{}
	for _, n := range installed.Fulfilling(d) {
		all = append(all, Provider{Name: n.Name, Version: n.Version.String(), Installed: true, As: n.as(d)})
	}
	onOffer := &Graph{providers: map[string][]*Node{}}
	seen := map[string]bool{}
	for one := range d.Alternatives() {
		for _, e := range offers.Providers(one.Name) {
			if seen[e.Repo+" "+e.ID()] {
				continue
			}
			seen[e.Repo+" "+e.ID()] = true
			if _, err := onOffer.addEntry(&e); err != nil {
				return nil, err
			}
		}
	}
	found := onOffer.Fulfilling(d)
	slices.SortStableFunc(found, func(a, b *Node) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return -a.Version.Compare(b.Version)
	})
	for _, n := range found {
		all = append(all, Provider{Name: n.Name, Version: n.Version.String(), Repo: n.Repo, As: n.as(d)})
	}
	return all, nil
}

// as lists what of a package fulfils a dependency.
func (n *Node) as(d version.Dependency) []string {
	var texts []string
	for _, p := range n.provides {
		if d.SatisfiedBy(p) {
			texts = append(texts, p.String())
		}
	}
	return texts
}
