package client

import (
	"context"
	"errors"
	"sync"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sync/errgroup"
)

// parallelFetches is how many packages are fetched at a time: enough to hide
// the mirror's latency, and few enough to be welcome there.
const parallelFetches = 6

// FetchMetas is FetchMeta for many packages at a time, in the order of entries.
// progress, which may be nil, counts packages. If one fails, none is returned.
func (c *Client) FetchMetas(ctx context.Context, entries []Entry, progress Progress) ([]*Remote, error) {
	remotes := make([]*Remote, len(entries))
	var mu sync.Mutex
	var done int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelFetches)
	for i, e := range entries {
		group.Go(func() (err error) {
			if remotes[i], err = c.FetchMeta(ctx, e); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			done++
			if progress != nil {
				progress(done, int64(len(entries)))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		for _, r := range remotes {
			if r != nil {
				err = errors.Join(err, r.Close())
			}
		}
		return nil, err
	}
	return remotes, nil
}

// Wanted is files of a package whose content is wanted.
type Wanted struct {
	Remote *Remote
	Files  []*pkgfile.File
}

// FetchAll is Fetch for many packages at a time, with one progress over all
// their bytes, which may be nil. The first failure ends it; what has arrived
// stays in the cache.
func FetchAll(ctx context.Context, wanted []Wanted, progress Progress) error {
	var mu sync.Mutex
	var done, total int64
	expected := make([]int64, len(wanted))
	arrived := make([]int64, len(wanted))
	for i, w := range wanted {
		expected[i] = w.Remote.Download(w.Files)
		total += expected[i]
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelFetches)
	for i, w := range wanted {
		group.Go(func() error {
			return w.Remote.Fetch(ctx, w.Files, func(nowDone, nowTotal int64) {
				mu.Lock()
				defer mu.Unlock()
				done += nowDone - arrived[i]
				total += nowTotal - expected[i]
				arrived[i], expected[i] = nowDone, nowTotal
				if progress != nil {
					progress(done, total)
				}
			})
		})
	}
	return group.Wait()
}
