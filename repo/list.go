package repo

import (
	"ashlar/repo/index"
)

// Listed is a package of a channel.
type Listed struct {
	Channel   string `json:"channel"`
	Published bool   `json:"published"` // false: clients see it with the next Publish
	index.Entry
}

// List returns the packages of all channels, those added but not yet published
// included, by channel, arch and name.
func (r *Repository) List() ([]Listed, error) {
	published, err := readState(r.dir)
	if err != nil {
		return nil, err
	}
	names, err := r.wantedIndexes(published)
	if err != nil {
		return nil, err
	}
	var all []Listed
	for _, name := range names {
		visible, err := published.entries(r.dir, name)
		if err != nil {
			return nil, err
		}
		sums := map[string]bool{}
		for _, e := range visible {
			sums[e.SHA256] = true
		}
		entries, err := r.wanted(published, name)
		if err != nil {
			return nil, err
		}
		channel, _, _ := parseIndexTarget(name)
		for _, e := range entries {
			all = append(all, Listed{channel, sums[e.SHA256], e})
		}
	}
	return all, nil
}
