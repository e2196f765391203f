package solver

import (
	"context"
	"slices"

	"ashlar/pkgtool/version"
)

// additions are packages that come along although nothing requires them.
type additions struct {
	packages []int32
	why      map[int32]string
}

// addRecommended adds to the best solution what the new packages in it
// recommend, and what supplements them, each if it fits without changing anything
// chosen so far. What such packages recommend in turn is not added: a server
// should hold what was asked for.
func (pr *problem) addRecommended(ctx context.Context) (*additions, error) {
	u := pr.universe
	more := &additions{why: map[int32]string{}}
	if pr.request.NoRecommends {
		return more, nil
	}
	chosen := pr.chosen()
	settled := make([]bool, len(u.packages))
	for _, i := range chosen {
		settled[i] = true
	}
	try := func(candidates []int32, why, along string) error {
		added, err := u.fit(ctx, pr.request, candidates, settled)
		for _, j := range added {
			settled[j] = true
			more.packages = append(more.packages, j)
			more.why[j] = along
			if slices.Contains(candidates, j) {
				more.why[j] = why
			}
		}
		return err
	}
	for _, i := range chosen {
		p := u.packages[i]
		if len(u.installedBuilds(p.Name)) > 0 {
			continue
		}
		for _, d := range p.Recommends {
			why := "recommended by " + p.Name
			if err := try(u.satisfying(d), why, why); err != nil {
				return nil, err
			}
		}
		for _, candidates := range u.supplementsOf(p) {
			if err := try(candidates, "supplements "+p.Name, "needed by what supplements "+p.Name); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(more.packages, u.compareIdentity)
	return more, nil
}

// supplementsOf returns, name by name, the builds that supplement a package,
// and supplemented nothing that was installed before.
func (u *Universe) supplementsOf(p *Package) [][]int32 {
	keys := []int32{u.number(p.Name)}
	for _, provide := range p.Provides {
		keys = append(keys, u.number(provide.Name))
	}
	var found []int32
	for _, key := range keys {
		for _, i := range u.supplementers.of(key) {
			q := u.packages[i]
			if q.Name != p.Name && len(u.installedBuilds(q.Name)) == 0 && u.supplements(q, p) {
				found = append(found, i)
			}
		}
	}
	slices.SortFunc(found, u.compareIdentity)
	found = slices.Compact(found)
	var groups [][]int32
	for n, i := range found {
		if n == 0 || u.name[found[n-1]] != u.name[i] {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], i)
	}
	return groups
}

// supplements reports whether q supplements p by something that no installed
// package fulfils.
func (u *Universe) supplements(q, p *Package) bool {
	return slices.ContainsFunc(q.Supplements, func(d version.Dependency) bool {
		return p.satisfies(d) && !slices.ContainsFunc(u.satisfying(d), func(i int32) bool { return u.packages[i].Installed })
	})
}

// fit returns the fewest packages to add to the settled ones so that one of the
// candidates is there; none if one is already, or none can be.
func (u *Universe) fit(ctx context.Context, request *parsed, candidates []int32, settled []bool) ([]int32, error) {
	if slices.ContainsFunc(candidates, func(i int32) bool { return settled[i] }) {
		return nil, nil
	}
	var wanted []int32
	for round := 0; ; round++ {
		pr := encode(u, request, wanted, settled, false)
		added, closed, err := pr.tryOne(ctx, candidates)
		if err == nil && len(closed) > 0 {
			wanted = pr.widen(closed, round)
		}
		pr.release()
		if err != nil || len(closed) == 0 {
			return added, err
		}
	}
}

// tryOne returns the best packages to add so that one of the candidates is
// there, and which of them are not opened yet.
func (pr *problem) tryOne(ctx context.Context, candidates []int32) (added, closed []int32, err error) {
	fitting := pr.fitting(candidates)
	if len(fitting) == 0 {
		return nil, nil, nil
	}
	pr.hint(pr.anyOf(fitting)...)
	pr.open(fitting[:1])
	if found, err := pr.feasible(ctx); !found || err != nil {
		return nil, nil, err
	}
	pr.addTiers()
	if found, err := pr.optimise(ctx); !found || err != nil {
		return nil, nil, err
	}
	return pr.chosen(), pr.closed(), nil
}
