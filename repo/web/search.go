package web

import (
	"slices"
	"strings"
)

const (
	perPage  = 50
	byOffer  = 100 // rank of packages of which only what they provide has the words
	shortest = 3   // characters of words that are looked for in provides
)

// hit is a package that a search found.
type hit struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Arch    string   `json:"arch"`
	Channel string   `json:"channel"`
	Summary string   `json:"summary"`
	Because []string `json:"provides,omitempty"` // what it provides that has the words
}

// found is the answer to a query.
type found struct {
	query
	Total int   `json:"total"`
	Hits  []hit `json:"packages"` // of this page
	Pages int   `json:"pages"`
}

// match says that a package of a shelf fits, and how well: lower ranks are better.
type match struct {
	shelf   *shelf
	n, rank int
}

func (m match) name() string { return m.shelf.names[m.n] }

// search finds packages by name, summary and what they provide. The best fit
// comes first; packages that fit equally well are in the order of their names.
func (s *state) search(q query) (*found, error) {
	var all []match // in the order of names, each once
	for _, shelf := range s.shelves {
		if len(q.words) == 0 || q.Channel != "" && q.Channel != shelf.Channel || q.Arch != "" && q.Arch != shelf.Arch {
			continue
		}
		matches, err := shelf.matches(q)
		if err != nil {
			return nil, err
		}
		all = merge(all, matches)
	}
	var ranked [byOffer + 1][]match
	for _, m := range all {
		ranked[m.rank] = append(ranked[m.rank], m)
	}
	all = slices.Concat(ranked[:]...)
	f := &found{query: q, Total: len(all), Pages: (len(all) + perPage - 1) / perPage, Hits: []hit{}}
	first := min((q.Page-1)*perPage, len(all))
	for _, m := range all[first:min(first+perPage, len(all))] {
		h, err := m.hit(q.words)
		if err != nil {
			return nil, err
		}
		f.Hits = append(f.Hits, h)
	}
	return f, nil
}

// matches returns the packages of a shelf that fit, of each name one.
func (s *shelf) matches(q query) (matches []match, err error) {
	if !q.File {
		hits, err := s.Search(q.words)
		if err != nil {
			return nil, err
		}
		matches = make([]match, 0, len(hits))
		for _, h := range hits {
			matches = append(matches, match{s, h.Package, min(h.Rank, byOffer-1)})
		}
	}
	if slices.ContainsFunc(q.words, func(w string) bool { return len(w) < shortest }) {
		return matches, nil
	}
	var offers []match
	for n := range s.providing(q.words) {
		if last := len(offers) - 1; last >= 0 && offers[last].name() == s.names[n] {
			offers[last].n = n // newer
			continue
		}
		offers = append(offers, match{s, n, byOffer})
	}
	return merge(matches, offers), nil
}

// merge joins two lists in the order of names. Of a name that both have it takes
// the package of the first, and the better rank.
func merge(a, b []match) []match {
	if len(a) == 0 {
		return b
	}
	all := make([]match, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := strings.Compare(a[0].name(), b[0].name()); {
		case c < 0:
			all, a = append(all, a[0]), a[1:]
		case c > 0:
			all, b = append(all, b[0]), b[1:]
		default:
			a[0].rank = min(a[0].rank, b[0].rank)
			b = b[1:]
		}
	}
	return append(append(all, a...), b...)
}

// Turn leads to the other pages of the answer.
func (f *found) Turn() turn { return turning(f.Page, f.Pages, f.link) }

const maxBecause = 3

// hit reads what is shown of a match.
func (m match) hit(words []string) (hit, error) {
	e, err := m.shelf.Entry(m.n)
	if err != nil {
		return hit{}, err
	}
	h := hit{Name: e.Name, Version: label(&e, false), Arch: e.Arch, Channel: m.shelf.Channel, Summary: line(e.Summary, maxSummary)}
	if m.rank < byOffer {
		return h, nil
	}
	for _, text := range e.Provides {
		lower := strings.ToLower(text)
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(lower, w) }) {
			if h.Because = append(h.Because, line(text, maxText)); len(h.Because) == maxBecause {
				break
			}
		}
	}
	return h, nil
}
