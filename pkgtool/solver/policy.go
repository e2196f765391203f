package solver

import (
	"cmp"
	"slices"

	"ashlar/pkgtool/version"
)

// tier is one preference. In a counted tier as few wishes as possible go
// unfulfilled, whichever; in an ordered one they weigh in their order.
type tier struct {
	name    string
	wishes  []literal
	counted bool
}

// addTiers notes the preferences, weightiest first. Holds, pins and the request
// itself are rules, not preferences. Most preferences are a counted tier, and
// the same wishes in an order that decides between solutions with the same
// number. Together the tiers mention every package, so that exactly one solution
// is the best.
func (pr *problem) addTiers() {
	order := slices.Clone(pr.active)
	slices.SortFunc(order, pr.universe.compareIdentity)
	both := func(name string, wishes []literal) {
		pr.tiers = append(pr.tiers, tier{name, wishes, true}, tier{name, wishes, false})
	}
	if pr.settled != nil {
		both("old builds", pr.avoidOldBuilds(order))
		pr.addLastTiers(order, pr.avoidExtras(order))
		return
	}
	removals, downgrades := pr.avoidRemovals(), pr.avoidDowngrades(order)
	pr.tiers = []tier{{"removals", removals, true}, {"downgrades", downgrades, true}, {"removals", removals, false}, {"downgrades", downgrades, false}}
	both("changes of vendor", pr.avoidVendors(order))
	newest, ranks := pr.preferNewest()
	pr.tiers = append(pr.tiers, tier{"packages not at their newest", newest, true}, tier{"", ranks, false})
	both("changes to what is installed", pr.keepInstalled())
	both("old builds", pr.avoidOldBuilds(order))
	pr.addLastTiers(order, pr.avoidExtras(order))
}

func (pr *problem) addLastTiers(order []int32, extras []literal) {
	pr.search.wishes = nil
	pr.tiers = append(pr.tiers, tier{"extra packages", extras, true},
		tier{"", pr.avoidSecondChoices(order), false}, tier{"", extras, false}, tier{"", pr.avoidTheRest(order), false})
	for _, t := range pr.tiers {
		if !t.counted {
			pr.search.wishes = append(pr.search.wishes, t.wishes...)
		}
	}
}

// avoidRemovals wishes for every installed name that it stays in some version
// or is replaced; those that a person asked for count first. Of an install-only
// package every build shall stay.
func (pr *problem) avoidRemovals() []literal {
	u := pr.universe
	var requested, others []literal
	for _, i := range u.installed {
		p := u.packages[i]
		if pr.request.removes(p) {
			continue
		}
		wish := pr.stays(i)
		if p.Requested {
			requested = append(requested, wish)
		} else {
			others = append(others, wish)
		}
	}
	return append(requested, others...)
}

// stays returns a literal that implies that an installed package stays, in some
// version, or is replaced.
func (pr *problem) stays(i int32) literal {
	u := pr.universe
	p := u.packages[i]
	var ways []literal
	for _, j := range u.builds.of(u.name[i]) {
		if pr.variables[j] != 0 && (i == j || p.excludes(u.packages[j])) {
			ways = append(ways, pr.yes(j))
		}
	}
	for _, j := range u.replacers.of(u.name[i]) {
		if pr.variables[j] != 0 && u.packages[j].replaces(p) {
			ways = append(ways, pr.yes(j))
		}
	}
	stays := pr.search.newVariable()
	pr.hint(append(ways, stays.no())...)
	return stays.yes()
}

// avoidDowngrades avoids builds that take the place of a newer installed one,
// the oldest first.
func (pr *problem) avoidDowngrades(order []int32) []literal {
	var wishes []literal
	for _, i := range slices.Backward(order) {
		p := pr.universe.packages[i]
		old := pr.universe.newestInstalled(p.Name)
		if old != nil && p.Version.Compare(old.Version) < 0 && p.excludes(old) {
			wishes = append(wishes, pr.no(i))
		}
	}
	return wishes
}

// avoidVendors avoids, for what is installed, builds of another vendor; except
// where the administrator gives a repository with such a build a higher
// priority than all that have the package of the present vendor.
func (pr *problem) avoidVendors(order []int32) []literal {
	u := pr.universe
	var wishes []literal
	if pr.request.AllowVendorChange {
		return nil
	}
	for _, i := range slices.Backward(order) {
		p := u.packages[i]
		old := u.newestInstalled(p.Name)
		if p.Installed || old == nil || p.Vendor == "" || old.Vendor == "" || p.Vendor == old.Vendor {
			continue
		}
		present, found := 0, false
		for _, j := range u.builds.of(u.name[i]) {
			if q := u.packages[j]; q.Vendor == old.Vendor && (!q.Installed || len(u.copies[j]) > 0) {
				present, found = max(present, u.priority[j]), true
			}
		}
		if !found || u.priority[i] <= present {
			wishes = append(wishes, pr.no(i))
		}
	}
	return wishes
}

// preferNewest wishes, for each name that the request installs, upgrades or
// makes older, that its best build is chosen, or one of the packages that replace
// it; and in the order of ranks, that one of the best so many is.
func (pr *problem) preferNewest() (newest, ranks []literal) {
	u := pr.universe
	prefer := func(replacers, builds []int32) {
		builds = pr.fitting(builds)
		so := pr.anyOf(pr.fitting(replacers)) // as good as this, or better
		if len(so) == 0 && len(builds) > 0 {
			so, builds = pr.anyOf(builds[:1]), builds[1:]
		}
		for n, i := range builds {
			rank := pr.search.newVariable()
			pr.hint(append(so, rank.no())...)
			if n == 0 {
				newest = append(newest, rank.yes())
			}
			ranks = append(ranks, rank.yes())
			so = []literal{rank.yes(), pr.yes(i)}
		}
	}
	for _, d := range pr.request.Install {
		if len(d.Or) == 0 && len(u.builds.of(u.number(d.Name))) > 0 {
			prefer(nil, u.named(d))
		}
	}
	for _, d := range pr.request.downgrade {
		prefer(nil, pr.older(d))
	}
	for _, p := range pr.request.targets(u) {
		prefer(pr.replacersOf(p), u.builds.of(u.number(p.Name)))
	}
	return newest, ranks
}

func (pr *problem) keepInstalled() []literal {
	var wishes []literal
	for _, i := range pr.universe.installed {
		if pr.variables[i] != 0 {
			wishes = append(wishes, pr.yes(i))
		}
	}
	return wishes
}

// avoidOldBuilds avoids builds that have a better one of the same name; near
// the request it matters more.
func (pr *problem) avoidOldBuilds(order []int32) []literal {
	u := pr.universe
	var old []int32
	for _, i := range order {
		best := pr.bestBuild(u.name[i])
		if !u.packages[i].Installed && best != i {
			old = append(old, i)
		}
	}
	if len(old) == 0 {
		return nil
	}
	distance := pr.distances()
	slices.SortStableFunc(old, func(i, j int32) int {
		switch order := cmp.Compare(distance[pr.variables[i]-1], distance[pr.variables[j]-1]); {
		case order != 0:
			return order
		case u.name[i] == u.name[j]:
			return u.comparePreference(j, i)
		default:
			return u.compareIdentity(i, j)
		}
	})
	return pr.none(old)
}

// bestBuild returns the best build of a name that fits the machine.
func (pr *problem) bestBuild(name int32) int32 {
	for _, i := range pr.universe.builds.of(name) {
		if pr.variables[i] != 0 {
			return i
		}
	}
	return -1
}

// distances returns how many steps of requires it takes from the request to
// each package, by variable.
func (pr *problem) distances() []int {
	const far = 1 << 30
	u := pr.universe
	distance := make([]int, len(pr.needs))
	for v := range distance {
		distance[v] = far
	}
	var queue []int32
	reach := func(steps int, packages []int32) {
		for _, i := range packages {
			if v := pr.variables[i] - 1; v >= 0 && distance[v] == far {
				distance[v] = steps
				queue = append(queue, i)
			}
		}
	}
	for _, d := range pr.request.Install {
		reach(0, u.named(d))
	}
	for _, target := range pr.request.targets(u) {
		reach(0, slices.Concat(u.builds.of(u.number(target.Name)), pr.replacersOf(target)))
	}
	for _, i := range u.installed {
		reach(1, u.builds.of(u.name[i]))
	}
	for ; len(queue) > 0; queue = queue[1:] {
		v := pr.variables[queue[0]] - 1
		for _, found := range pr.needs[v] {
			reach(distance[v]+1, found)
		}
	}
	return distance
}

// avoidExtras avoids packages that nobody asked for.
func (pr *problem) avoidExtras(order []int32) []literal {
	u := pr.universe
	asked := map[int32]bool{}
	for _, d := range pr.request.Install {
		for _, i := range u.named(d) {
			asked[i] = true
		}
	}
	var extra []int32
	for _, i := range order {
		if p := u.packages[i]; !p.Installed && !asked[i] && (p.InstallOnly || len(u.installedBuilds(p.Name)) == 0) {
			extra = append(extra, i)
		}
	}
	slices.SortStableFunc(extra, func(i, j int32) int { // of two equals, the last is avoided first
		if order := cmp.Compare(u.priority[i], u.priority[j]); order != 0 {
			return order
		}
		return u.compareIdentity(j, i)
	})
	return pr.none(extra)
}

// avoidSecondChoices avoids packages that fulfil a dependency only as a later
// alternative, the latest first, and then those that provide the name of
// another package: who needs a name gets the package of that name.
func (pr *problem) avoidSecondChoices(order []int32) []literal {
	u := pr.universe
	place := map[int32]int{} // by package: the latest place in which it is an alternative
	for _, i := range pr.active {
		if !pr.opened[i] {
			continue
		}
		for _, d := range u.packages[i].Requires {
			n := 0
			for alternative := range d.Alternatives() {
				if n > 0 {
					for _, j := range u.builds.of(u.number(alternative.Name)) {
						place[j] = max(place[j], n)
					}
				}
				n++
			}
		}
	}
	var second []int32
	for _, i := range order {
		p := u.packages[i]
		standIn := slices.ContainsFunc(p.Provides, func(provide version.Provide) bool {
			return provide.Name != p.Name && len(u.builds.of(u.number(provide.Name))) > 0
		})
		if !p.Installed && (place[i] > 0 || standIn) {
			second = append(second, i)
		}
	}
	slices.SortStableFunc(second, func(i, j int32) int {
		if order := cmp.Compare(place[j], place[i]); order != 0 {
			return order
		}
		return u.compareIdentity(j, i)
	})
	return pr.none(second)
}

// avoidTheRest settles what no other preference does.
func (pr *problem) avoidTheRest(order []int32) []literal {
	rest := slices.Clone(order)
	slices.Reverse(rest)
	return pr.none(rest)
}

func (pr *problem) none(packages []int32) []literal {
	literals := make([]literal, 0, len(packages))
	for _, i := range packages {
		literals = append(literals, pr.no(i))
	}
	return literals
}
