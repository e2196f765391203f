package repo

import (
	"context"

	"ashlar/repo/index"
)

// Remove takes packages out of a channel: those that specs name, as NAME,
// NAME@VERSION or NAME@VERSION-RELEASE. Clients see it with the next Publish; the
// files stay in the pool, and can be found there by a lock file, until Prune
// finds that nobody needs them.
func (r *Repository) Remove(ctx context.Context, channel string, specs ...string) ([]index.Entry, error) {
	if err := checkChannel(channel); err != nil {
		return nil, err
	}
	v, unlock, err := r.lockedView(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	entries, err := v.channel(channel)
	if err != nil {
		return nil, err
	}
	gone, err := pick(entries, specs, channel)
	if err != nil {
		return nil, err
	}
	for _, e := range gone {
		if err := v.drop(channel, e); err != nil {
			return nil, err
		}
	}
	if err := index.Sort(gone); err != nil {
		return nil, err
	}
	return gone, v.save()
}
