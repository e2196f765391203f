package web

import (
	"context"
	"slices"

	"ashlar/pkgtool/client/catalogue"
	"ashlar/pkgtool/version"
	"ashlar/repo/index"
)

// Limits of what a page of a package looks up and shows. A page with more of
// something says how much is left out.
const (
	maxNeeds     = 500 // of requires, recommends, provides...
	maxProviders = 6   // of one need
	maxTried     = 24  // candidates that are read to find them
	maxNeeded    = 200 // packages that need this one
)

// need is a dependency, and the packages that fulfil it.
type need struct {
	Text string   `json:"dependency"`
	By   []string `json:"provided_by"`
	More bool     `json:"more,omitempty"` // others do, too
	Link string   `json:"-"`              // to all of them; "" where nobody searches
}

// reader reads packages for one page, each at most once.
type reader struct {
	near    []*shelf
	entries map[place]*index.Entry
}

func (r *reader) entry(shelf *shelf, n int) (*index.Entry, error) {
	at := place{shelf: shelf, n: n}
	if e := r.entries[at]; e != nil {
		return e, nil
	}
	e, err := shelf.Entry(n)
	if err != nil {
		return nil, err
	}
	r.entries[at] = &e
	return &e, nil
}

// needs finds who fulfils dependencies. It stops, without a word, when ctx ends.
func (r *reader) needs(ctx context.Context, texts []string) ([]need, error) {
	var all []need
	for _, text := range texts[:min(len(texts), maxNeeds)] {
		n := need{Text: line(text, maxText), By: []string{}}
		if d, err := version.ParseDependency(text); err == nil && ctx.Err() == nil {
			if err := r.fulfil(&n, d); err != nil {
				return nil, err
			}
		}
		all = append(all, n)
	}
	return all, nil
}

func (r *reader) fulfil(n *need, d version.Dependency) error {
	tried := 0
	for one := range d.Alternatives() {
		for _, shelf := range r.near {
			numbers, err := shelf.Candidates(one.Name, catalogue.Name, catalogue.Provides)
			if err != nil {
				return err
			}
			for _, number := range slices.Backward(numbers) { // the newest first
				if slices.Contains(n.By, shelf.names[number]) {
					continue
				}
				if tried++; tried > maxTried || len(n.By) == maxProviders {
					n.More = true
					return nil
				}
				e, err := r.entry(shelf, number)
				if err != nil {
					return err
				}
				if fulfils(e, one) {
					n.By = append(n.By, e.Name)
				}
			}
		}
	}
	return nil
}

// fulfils reports whether a package does, by its name or what it provides.
func fulfils(e *index.Entry, d version.Dependency) bool {
	if e.Name == d.Name {
		v, err := e.EVR()
		return err == nil && d.Constraint.Allows(v)
	}
	for _, text := range e.Provides {
		if len(text) < len(d.Name) || text[:len(d.Name)] != d.Name {
			continue
		}
		if p, err := version.ParseProvide(text); err == nil && d.SatisfiedBy(p) {
			return true
		}
	}
	return false
}

// neededBy lists the packages that require e or something that it provides, by
// name, and how many there are.
func (r *reader) neededBy(ctx context.Context, e *index.Entry) (names []string, total int, err error) {
	answers := []string{e.Name}
	for _, text := range e.Provides[:min(len(e.Provides), 4*maxNeeds)] {
		answers = append(answers, version.Names(text)...)
	}
	seen := map[string]bool{e.Name: true}
	for _, name := range answers {
		if ctx.Err() != nil {
			break
		}
		for _, shelf := range r.near {
			numbers, err := shelf.Candidates(name, catalogue.Requires)
			if err != nil {
				return nil, 0, err
			}
			for _, n := range numbers {
				if needs := shelf.names[n]; !seen[needs] {
					seen[needs] = true
					names = append(names, needs)
				}
			}
		}
	}
	slices.Sort(names)
	return names[:min(len(names), maxNeeded)], len(names), nil
}
