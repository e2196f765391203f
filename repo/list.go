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
	v, err := r.view()
	if err != nil {
		return nil, err
	}
	var all []Listed
	for _, target := range v.indexes() {
		entries, err := v.entries(target)
		if err != nil {
			return nil, err
		}
		if err := index.Sort(entries); err != nil {
			return nil, err
		}
		channel, _, _ := parseIndexTarget(target)
		for _, e := range entries {
			published, err := v.listed(target, e.Name, e.ID())
			if err != nil {
				return nil, err
			}
			all = append(all, Listed{channel, published != nil && published.SHA256 == e.SHA256, e})
		}
	}
	return all, nil
}
