package build

import (
	"cmp"
	"os"
	"slices"
	"time"
)

// history finds in the results of a cache why packages are as they are.
type history struct {
	cache   *Cache
	results []keptResult // the one made last comes first
}

// maxFollowed is how far a chain of packages that changed is followed.
const maxFollowed = 20

// load reads the results, once.
func (h *history) load() error {
	if h.results != nil {
		return nil
	}
	all, err := h.cache.results()
	if err != nil {
		return err
	}
	made := map[string]time.Time{}
	for _, k := range all {
		// Actions are written once; a result's own time is that of its last use.
		if info, err := os.Stat(h.cache.path("actions", k.Action+".json")); err == nil {
			made[k.key] = info.ModTime()
		}
	}
	slices.SortStableFunc(all, func(a, b keptResult) int { return cmp.Compare(made[b.key].UnixNano(), made[a.key].UnixNano()) })
	h.results = append([]keptResult{}, all...)
	return nil
}

// find returns the last result that has a package with these files.
func (h *history) find(name, digest string) *keptResult {
	for i := range h.results {
		for _, p := range h.results[i].Packages {
			if p.Name == name && p.Digest == digest {
				return &h.results[i]
			}
		}
	}
	return nil
}

// follow adds to each package that changed the recipe it is of, and why that
// gave other files.
func (h *history) follow(list []Change, depth int) []Change {
	if depth == maxFollowed || h.load() != nil { // then it explains less
		return list
	}
	for i := range list {
		c := &list[i]
		if c.Field != "package" || c.How != "changed" {
			continue
		}
		before, after := h.find(c.Name, c.From), h.find(c.Name, c.To)
		if after == nil {
			continue
		}
		c.Recipe = after.Recipe
		var old, now action
		switch {
		case before == nil || !h.cache.readJSON(&old, "actions", before.Action+".json") || !h.cache.readJSON(&now, "actions", after.Action+".json"):
			c.Because = []Change{{Field: "unknown", How: "is gone"}}
		case before.Action == after.Action:
			c.Because = []Change{{Field: "packing", How: "changed"}}
		default:
			c.Because = h.follow(changes(&old, &now), depth+1)
		}
	}
	return list
}
