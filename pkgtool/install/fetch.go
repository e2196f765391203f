package install

import (
	"context"
	"sync"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system"

	"golang.org/x/sync/errgroup"
)

// parallelFetches bounds how many packages are fetched at a time.
const parallelFetches = 4

// fetchAll gets and verifies every package of the plan.
func (p *Plan) fetchAll(ctx context.Context, progress Progress) error {
	packages := make([]*pkgfile.Package, len(p.fetch))
	var mu sync.Mutex
	arrived := make([]int64, len(p.fetch))
	var sum int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelFetches)
	for i, item := range p.fetch {
		if f := p.universe.files[item.chosen]; f != nil {
			packages[i] = f.Package
			continue
		}
		group.Go(func() error {
			pkg, err := p.session.client.Fetch(ctx, p.universe.entries[item.chosen], func(done, _ int64) {
				mu.Lock()
				defer mu.Unlock()
				sum += done - arrived[i]
				arrived[i] = done
				progress("fetch", sum, p.Download)
			})
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			packages[i] = pkg
			p.opened = append(p.opened, pkg)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, item := range p.fetch {
		repo := item.chosen.Repo
		if f := p.universe.files[item.chosen]; f != nil {
			repo = f.repo
		}
		p.change.Add = append(p.change.Add, system.Addition{Package: packages[i], Repo: repo, Requested: item.requested})
	}
	return nil
}
