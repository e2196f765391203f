package solver

import (
	"context"
	"fmt"
	"slices"
)

// Solve is [Universe.Solve] for a universe that serves one request.
func Solve(ctx context.Context, universe []*Package, request Request) (*Solution, error) {
	return NewUniverse(universe).Solve(ctx, request)
}

// Solve returns the best solution of a request. Best means, in this order:
// holds, pins and the request are fulfilled; fewest removals; fewest downgrades;
// fewest changes of vendor; the newest builds of what was asked for; the fewest
// changes to what is installed; the newest builds of the rest; the fewest extra
// packages; earlier alternatives; packages of a name before those that provide
// it. What new packages recommend, and what supplements them, is added where it
// fits. docs/formats/solver-case.md has the details.
//
// The error is an [Unsolvable] of class fault.Unsolvable when there is no
// solution, a [Timeout] when ctx ends first, and of class fault.Usage when the
// request changes something that is not installed.
func (u *Universe) Solve(ctx context.Context, request Request) (*Solution, error) {
	if err := u.checkInstalled(); err != nil {
		return nil, err
	}
	r, err := request.parse(u)
	if err != nil {
		return nil, err
	}
	pr, found, err := u.best(ctx, r)
	defer pr.release()
	if err == nil && !found {
		return nil, pr.explain(ctx)
	}
	if err != nil {
		return nil, pr.timeUp(ctx, err)
	}
	additions, err := pr.addRecommended(ctx)
	if err != nil {
		return nil, pr.timeUp(ctx, err)
	}
	s, err := pr.solution(ctx, additions)
	if err != nil {
		return nil, pr.timeUp(ctx, err)
	}
	if err := u.Check(request, s); err != nil {
		return nil, fmt.Errorf("the solver made a mistake, nothing was changed; please report it: %w", err)
	}
	return s, nil
}

// best finds the best solution of a request: it opens packages until the best
// solution of what is encoded holds opened ones only.
func (u *Universe) best(ctx context.Context, r *parsed) (pr *problem, found bool, err error) {
	var wanted []int32
	for round := 0; ; round++ {
		pr = encode(u, r, wanted, nil, false)
		if found, err = pr.feasible(ctx); !found || err != nil {
			return pr, found, err
		}
		pr.addTiers()
		if found, err = pr.optimise(ctx); !found || err != nil {
			return pr, found, err
		}
		closed := pr.closed()
		if len(closed) == 0 {
			return pr, true, nil
		}
		wanted = pr.widen(closed, round)
		pr.release()
	}
}

// feasible opens packages until some solution holds opened ones only.
func (pr *problem) feasible(ctx context.Context) (bool, error) {
	for round := 0; ; round++ {
		found, err := pr.run(ctx)
		if !found || err != nil {
			return found, err
		}
		closed := pr.closed()
		if len(closed) == 0 {
			return true, nil
		}
		pr.open(pr.along(closed, round))
	}
}

// along adds to packages the next worse builds of their names, twice as many in
// each round: where the best build does not do, the next one often does not
// either.
func (pr *problem) along(packages []int32, round int) []int32 {
	var all []int32
	for _, i := range packages {
		builds := pr.universe.builds.of(pr.universe.name[i])
		at := slices.Index(builds, i)
		for _, j := range builds[at:min(len(builds), at+1<<min(round, 20))] {
			if pr.variables[j] != 0 {
				all = append(all, j)
			}
		}
	}
	return all
}

// widen returns the packages to open in the next round. From the third round on
// that is all that has a variable, so that there are few rounds.
func (pr *problem) widen(closed []int32, round int) []int32 {
	var wanted []int32
	for _, i := range pr.active {
		if pr.opened[i] || round >= 2 {
			wanted = append(wanted, i)
		}
	}
	wanted = append(wanted, pr.along(closed, round)...)
	slices.SortFunc(wanted, pr.universe.compareIdentity)
	return slices.Compact(wanted)
}
