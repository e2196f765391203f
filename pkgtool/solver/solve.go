package solver

import (
	"context"
	"fmt"
)

// Solve returns the best solution of a request over a universe, which holds
// the packages of all repositories and those installed. Best means, in this
// order: holds and the request are fulfilled; fewest removals; fewest
// downgrades; the newest builds of what was asked for; the fewest changes to
// what is installed; the newest builds of the rest; the fewest extra packages.
// What new packages recommend is added where it fits.
//
// The error is an [Unsolvable] of class fault.Unsolvable when there is no
// solution, of class fault.Usage when the request names something that is not
// installed, and wraps ctx.Err() when the time is up.
func Solve(ctx context.Context, universe []*Package, request Request) (*Solution, error) {
	pl := newPool(universe, request.Arch)
	if err := request.checkNames(pl); err != nil {
		return nil, err
	}
	pl.restrict(request)
	pr := encode(pl, request)
	pr.addTiers()
	found, err := pr.optimise(ctx)
	if err == nil && !found {
		err = pr.explain(ctx, universe)
	}
	if err != nil {
		return nil, timeUp(ctx, err)
	}
	chosen, recommended, err := addRecommended(ctx, pl, request, pr.chosen())
	if err != nil {
		return nil, timeUp(ctx, err)
	}
	s := pr.solution(chosen, recommended)
	if err := Check(universe, request, s); err != nil {
		return nil, fmt.Errorf("the solver made a mistake, nothing was changed; please report it: %w", err)
	}
	return s, nil
}

func timeUp(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("find a set of packages: stopped before there was an answer: %w", ctx.Err())
	}
	return err
}
