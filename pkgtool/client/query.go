package client

import (
	"cmp"
	"errors"
	"slices"

	"ashlar/pkgtool/client/catalogue"
	"ashlar/repo/index"
)

// The questions below are answered by repository in the order of priority, and
// then by name and version. They cost little: nothing is read that no answer
// needs. A repository whose catalogue turns out damaged beyond repair gives no
// answer; Err says so.

// Packages lists everything on offer.
func (c *Client) Packages() []Entry {
	return c.entries(func(k *catalogue.Catalogue) ([]index.Entry, error) { return k.All() })
}

// Len is the number of packages on offer.
func (c *Client) Len() (n int) {
	for _, o := range c.offers() {
		o.ask(func(k *catalogue.Catalogue) error { n += k.Len(); return nil })
	}
	return n
}

// ByName returns the packages of a name.
func (c *Client) ByName(name string) []Entry {
	return c.related(name, catalogue.Name)
}

// Providers returns the packages that have a name or provide it, in whatever
// version.
func (c *Client) Providers(name string) []Entry {
	return c.related(name, catalogue.Name, catalogue.Provides)
}

// Requirers returns the packages that require a name, if only as an alternative.
func (c *Client) Requirers(name string) []Entry {
	return c.related(name, catalogue.Requires)
}

// Replacers returns the packages that replace a name.
func (c *Client) Replacers(name string) []Entry {
	return c.related(name, catalogue.Replaces)
}

// Supplementers returns the packages that supplement a name.
func (c *Client) Supplementers(name string) []Entry {
	return c.related(name, catalogue.Supplements)
}

// Names lists the names of packages that begin with prefix, each once, in order.
// limit bounds how many; 0 does not.
func (c *Client) Names(prefix string, limit int) []string {
	var all []string
	for _, o := range c.offers() {
		o.ask(func(k *catalogue.Catalogue) error {
			names, err := k.Names(prefix, limit)
			if err == nil {
				all = append(all, names...)
			}
			return err
		})
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all
}

// Search finds packages whose name or summary has all the words, whatever their
// case: the newest of each name in the repository of the highest priority that
// has it. Names that are a word come first, then those that begin with one,
// those that contain one, and those whose summary does.
func (c *Client) Search(words ...string) []Entry {
	type found struct {
		catalogue.Hit
		offer *offer
	}
	var all []found
	seen := map[string]bool{}
	for _, o := range c.offers() {
		var hits []found
		o.ask(func(k *catalogue.Catalogue) error {
			some, err := k.Search(words)
			hits = hits[:0]
			for _, h := range some {
				hits = append(hits, found{h, o})
			}
			return err
		})
		for _, h := range hits {
			if !seen[h.Name] {
				all = append(all, h)
			}
		}
		for _, h := range hits {
			seen[h.Name] = true
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Name, b.Name)) })
	entries := make([]Entry, 0, len(all))
	for _, h := range all {
		h.offer.ask(func(k *catalogue.Catalogue) error {
			e, err := k.Entry(h.Package)
			if err == nil {
				entries = append(entries, h.offer.repository.entry(e))
			}
			return err
		})
	}
	return entries
}

// Err is what kept a repository from answering since Load or Refresh; nil if
// all answers were complete.
func (c *Client) Err() error {
	var failures []error
	for _, o := range c.offers() {
		o.mu.Lock()
		failures = append(failures, o.failure)
		o.mu.Unlock()
	}
	return errors.Join(failures...)
}

func (c *Client) related(name string, relations ...catalogue.Relation) []Entry {
	return c.entries(func(k *catalogue.Catalogue) ([]index.Entry, error) { return k.Related(name, relations...) })
}

// entries joins the answers of all repositories.
func (c *Client) entries(question func(*catalogue.Catalogue) ([]index.Entry, error)) []Entry {
	var all []Entry
	for _, o := range c.offers() {
		var some []index.Entry
		if err := o.ask(func(k *catalogue.Catalogue) (err error) { some, err = question(k); return err }); err != nil {
			continue
		}
		all = slices.Grow(all, len(some))
		for _, e := range some {
			all = append(all, o.repository.entry(e))
		}
	}
	return all
}

// offers lists what the loaded repositories offer.
func (c *Client) offers() []*offer {
	var all []*offer
	for _, r := range c.repositories {
		r.mu.Lock()
		if r.offer != nil {
			all = append(all, r.offer)
		}
		r.mu.Unlock()
	}
	return all
}

func (r *repository) entry(e index.Entry) Entry {
	return Entry{e, r.config.Name, r.config.Priority}
}
