package install

import (
	"context"
	"sync"

	"ashlar/pkgtool/system"

	"golang.org/x/sync/errgroup"
)

// parallelPackages bounds how many whole packages are fetched at a time.
const parallelPackages = 4

// FetchWhole gets and verifies every package of the plan as a whole without
// installing any, for who installs them somewhere else. The packages stay open
// until the plan is closed.
func (p *Plan) FetchWhole(ctx context.Context, progress Progress) ([]system.Addition, error) {
	additions := make([]system.Addition, len(p.fetch))
	arrived := make([]int64, len(p.fetch))
	tell := progress.of("fetch")
	var mu sync.Mutex
	var sum int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelPackages)
	for i, item := range p.fetch {
		additions[i] = system.Addition{Repo: item.chosen.Repo, Requested: item.requested, Beside: item.beside}
		if f := p.universe.files[item.chosen]; f != nil {
			additions[i].Package, additions[i].Repo = f.Package, f.repo
			continue
		}
		group.Go(func() error {
			pkg, err := p.session.client.Fetch(ctx, p.universe.entries[item.chosen], func(done, _ int64) {
				mu.Lock()
				defer mu.Unlock()
				sum += done - arrived[i]
				arrived[i] = done
				tell(sum, p.Packages)
			})
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			additions[i].Package = pkg
			p.opened = append(p.opened, pkg)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return additions, nil
}
