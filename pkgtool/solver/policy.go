package solver

import (
	"cmp"
	"slices"

	"ashlar/pkgtool/version"
)

// tier is one preference. In a counted tier as few wishes as possible go
// unfulfilled, whichever; in an ordered one they weigh in their order.
type tier struct {
	wishes  []literal
	counted bool
}

// The tiers, weightiest first. Holds and the request itself are rules, not
// preferences. The order within a counted tier decides between solutions with
// the same number. Together the tiers mention every package, so that exactly
// one solution is the best.
func (pr *problem) addTiers() {
	removals, downgrades := pr.avoidRemovals(), pr.avoidDowngrades()
	kept, extras := pr.keepInstalled(), pr.avoidExtras()
	pr.tiers = []tier{
		{removals, true},
		{downgrades, true},
		{removals, false},
		{downgrades, false},
		{pr.preferNewest(), false},
		{kept, true},
		{kept, false},
		{pr.avoidOldBuilds(), false},
		{pr.avoidStandIns(), false},
		{extras, true},
		{extras, false},
		{pr.avoidTheRest(), false},
	}
	for _, t := range pr.tiers {
		if !t.counted {
			pr.search.wishes = append(pr.search.wishes, t.wishes...)
		}
	}
}

// avoidRemovals wishes for every installed name that it stays in some version
// or is replaced; those that a person asked for count first.
func (pr *problem) avoidRemovals() []literal {
	var requested, others []literal
	for _, p := range pr.pool.packages {
		if !p.Installed || slices.Contains(pr.request.Remove, p.Name) {
			continue
		}
		stays := pr.search.newVariable()
		literals := append(pr.anyOf(pr.pool.byName[p.Name]), stays.no())
		for _, q := range pr.pool.replacers[p.Name] {
			if q.replaces(p) {
				literals = append(literals, pr.yes(q))
			}
		}
		pr.search.add(rule{}, literals...)
		if p.Requested {
			requested = append(requested, stays.yes())
		} else {
			others = append(others, stays.yes())
		}
	}
	return append(requested, others...)
}

func (pr *problem) avoidDowngrades() []literal {
	var wishes []literal
	for _, p := range pr.pool.packages {
		if old := pr.pool.installed[p.Name]; old != nil && p.Version.Compare(old.Version) < 0 {
			wishes = append(wishes, pr.no(p))
		}
	}
	return wishes
}

// preferNewest avoids, for all that the request installs or upgrades, every
// build but the best, the worst first.
func (pr *problem) preferNewest() []literal {
	var wishes []literal
	avoid := func(candidates []*Package) {
		for i := len(candidates) - 1; i > 0; i-- {
			wishes = append(wishes, pr.no(candidates[i]))
		}
	}
	install := slices.Clone(pr.request.Install)
	slices.SortFunc(install, func(a, b version.Dependency) int { return cmp.Compare(a.String(), b.String()) })
	for _, d := range install {
		avoid(pr.pool.named(d))
	}
	for _, p := range pr.request.targets(pr.pool) {
		avoid(slices.Concat(pr.pool.replacersOf(p), pr.pool.byName[p.Name]))
	}
	return wishes
}

func (pr *problem) keepInstalled() []literal {
	var wishes []literal
	for _, p := range pr.pool.packages {
		if p.Installed {
			wishes = append(wishes, pr.yes(p))
		}
	}
	return wishes
}

// avoidOldBuilds avoids builds that have a better one of the same name; near
// the request it matters more.
func (pr *problem) avoidOldBuilds() []literal {
	var old []*Package
	for _, p := range pr.pool.packages {
		if !p.Installed && pr.pool.byName[p.Name][0] != p {
			old = append(old, p)
		}
	}
	slices.SortStableFunc(old, func(p, q *Package) int {
		return cmp.Or(cmp.Compare(pr.pool.distance[p], pr.pool.distance[q]), cmp.Compare(p.Name, q.Name), -pr.pool.comparePreference(p, q))
	})
	return pr.none(old)
}

// avoidStandIns avoids packages that provide the name of another package: who
// needs a name gets the package of that name if it can be had.
func (pr *problem) avoidStandIns() []literal {
	var standIns []*Package
	for _, p := range pr.pool.packages {
		if !p.Installed && slices.ContainsFunc(p.Provides, func(provide version.Provide) bool {
			return provide.Name != p.Name && len(pr.pool.byName[provide.Name]) > 0
		}) {
			standIns = append(standIns, p)
		}
	}
	slices.Reverse(standIns)
	return pr.none(standIns)
}

// avoidExtras avoids packages that nobody asked for.
func (pr *problem) avoidExtras() []literal {
	var extra []*Package
	for _, p := range pr.pool.packages {
		if pr.pool.installed[p.Name] == nil && !pr.asked(p) {
			extra = append(extra, p)
		}
	}
	slices.SortStableFunc(extra, func(p, q *Package) int { // of two equals, the last is avoided first
		return -cmp.Or(cmp.Compare(pr.pool.priority[q], pr.pool.priority[p]), pr.pool.compareIdentity(p, q))
	})
	return pr.none(extra)
}

// avoidTheRest settles what no other preference does.
func (pr *problem) avoidTheRest() []literal {
	rest := slices.Clone(pr.pool.packages)
	slices.Reverse(rest)
	return pr.none(rest)
}

func (pr *problem) none(packages []*Package) []literal {
	var literals []literal
	for _, p := range packages {
		literals = append(literals, pr.no(p))
	}
	return literals
}
