package solver

import (
	"context"
	"errors"
	"slices"

	"ashlar/pkgtool/version"
)

// addRecommended adds to the chosen packages what the new ones among them
// recommend, each if it fits without changing anything chosen so far. What
// recommended packages recommend in turn is not added: a server should hold
// what was asked for. It also returns who recommended each added package.
func addRecommended(ctx context.Context, pl *pool, request Request, chosen []*Package) ([]*Package, map[*Package]string, error) {
	by := map[*Package]string{}
	if request.NoRecommends {
		return chosen, by, nil
	}
	pr := encode(pl, request)
	pr.search.wishes = slices.Concat(pr.avoidOldBuilds(), pr.avoidStandIns(), pr.avoidExtras(), pr.avoidTheRest())
	for _, p := range pl.packages {
		if p.Installed && !slices.Contains(chosen, p) {
			pr.search.add(rule{}, pr.no(p))
		}
	}
	pr.settle(chosen)
	for _, p := range chosen {
		if pl.installed[p.Name] != nil {
			continue
		}
		for _, d := range p.Recommends {
			added, err := pr.tryToAdd(ctx, d, chosen)
			if err != nil {
				return nil, nil, err
			}
			for _, q := range added {
				by[q] = p.Name
			}
			chosen = append(chosen[:len(chosen):len(chosen)], added...)
		}
	}
	slices.SortFunc(chosen, pl.compareIdentity)
	return chosen, by, nil
}

// tryToAdd returns the packages to add so that d is fulfilled; none if it is
// already, or cannot be.
func (pr *problem) tryToAdd(ctx context.Context, d version.Dependency, chosen []*Package) ([]*Package, error) {
	if slices.ContainsFunc(chosen, func(q *Package) bool { return q.satisfies(d) }) {
		return nil, nil
	}
	wanted := pr.search.newVariable()
	pr.search.add(rule{}, append(pr.anyOf(pr.pool.satisfying(d)), wanted.no())...)
	fits, err := pr.search.run(ctx, improveBudget, wanted.yes())
	if errors.Is(err, errBudget) || err == nil && !fits {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	with := pr.chosen()
	pr.settle(with)
	return slices.DeleteFunc(with, func(q *Package) bool { return slices.Contains(chosen, q) }), nil
}

// settle makes the choice of packages final and leaves the others open.
func (pr *problem) settle(packages []*Package) {
	for _, p := range packages {
		pr.search.add(rule{}, pr.yes(p))
	}
}
