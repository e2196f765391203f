package web

import (
	"cmp"
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

	shelf *shelf
	n     int
	rank  int
}

// found is the answer to a query.
type found struct {
	query
	Total int   `json:"total"`
	Hits  []hit `json:"packages"` // of this page
	Pages int   `json:"pages"`
}

// search finds packages by name, summary and what they provide. The best fit
// comes first; packages that fit equally well are in the order of their names.
func (s *state) search(q query) (*found, error) {
	all := map[string]hit{}
	for _, shelf := range s.shelves {
		if len(q.words) == 0 || q.Channel != "" && q.Channel != shelf.Channel || q.Arch != "" && q.Arch != shelf.Arch {
			continue
		}
		if !q.File {
			hits, err := shelf.Search(q.words)
			if err != nil {
				return nil, err
			}
			for _, h := range hits {
				keep(all, hit{Name: h.Name, shelf: shelf, n: h.Package, rank: h.Rank})
			}
		}
		if slices.ContainsFunc(q.words, func(w string) bool { return len(w) < shortest }) {
			continue
		}
		shelf.providing(q.words, func(n int) bool {
			keep(all, hit{Name: shelf.names[n], shelf: shelf, n: n, rank: byOffer})
			return true
		})
	}
	sorted := make([]hit, 0, len(all))
	for _, h := range all {
		sorted = append(sorted, h)
	}
	slices.SortFunc(sorted, func(a, b hit) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.Name, b.Name)) })
	f := &found{query: q, Total: len(sorted), Pages: (len(sorted) + perPage - 1) / perPage, Hits: []hit{}}
	first := min((q.Page-1)*perPage, len(sorted))
	for _, h := range sorted[first:min(first+perPage, len(sorted))] {
		if err := h.fill(q.words); err != nil {
			return nil, err
		}
		f.Hits = append(f.Hits, h)
	}
	return f, nil
}

// Turn leads to the other pages of the answer.
func (f *found) Turn() turn { return turning(f.Page, f.Pages, f.link) }

// keep remembers a hit unless a better one of that name is there: one of a
// shelf that comes earlier, or of the same shelf and newer.
func keep(all map[string]hit, h hit) {
	known, ok := all[h.Name]
	if !ok {
		all[h.Name] = h
		return
	}
	known.rank = min(known.rank, h.rank)
	if known.rank == byOffer && known.shelf == h.shelf {
		known.n = max(known.n, h.n)
	}
	all[h.Name] = known
}

const maxBecause = 3

// fill reads what is shown of a hit.
func (h *hit) fill(words []string) error {
	e, err := h.shelf.Entry(h.n)
	if err != nil {
		return err
	}
	h.Version, h.Arch, h.Channel, h.Summary = label(&e, false), e.Arch, h.shelf.Channel, line(e.Summary, maxSummary)
	if h.rank < byOffer {
		return nil
	}
	for _, text := range e.Provides {
		lower := strings.ToLower(text)
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(lower, w) }) {
			if h.Because = append(h.Because, line(text, maxText)); len(h.Because) == maxBecause {
				break
			}
		}
	}
	return nil
}
