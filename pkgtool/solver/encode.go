package solver

import (
	"slices"

	"ashlar/pkgtool/version"
)

// problem is a request turned into clauses and wishes.
//
// Only what matters becomes clauses. A package gets a variable when something
// names it, and its requirements become clauses when it is opened: because a
// solution wants it. Until then it counts as a package without requirements. So
// a solution, or the best solution, that holds opened packages only is one of
// the whole universe, and a problem that has no solution has none there either.
type problem struct {
	universe *Universe
	request  *parsed
	search   *search
	rules    []rule // while tracking

	*scratch
	active  []int32     // packages with a variable, in the order that they got it
	owner   []int32     // by variable: its package, or -1
	waiting []int32     // packages to open
	needs   [][][]int32 // by opened package's variable: what fulfils each requirement
	settled []bool      // by package: installed afterwards whatever happens; nil is none

	isCrowded map[int32]bool // by name
	crowds    map[int32][]*crowd

	tiers []tier
	best  []truth // the last assignment found, by variable
	exact bool    // whether the best solution is proved to be the best
}

// encode makes the clauses of the rules that a solution must keep, with the
// packages in wanted opened. The settled packages, if given, are installed and
// nothing can be done about it.
func encode(u *Universe, request *parsed, wanted []int32, settled []bool, tracking bool) *problem {
	pr := &problem{universe: u, request: request, search: newSearch(), scratch: u.scratch(), settled: settled, exact: true}
	pr.search.tracking = tracking
	if settled == nil && !request.empty {
		for _, i := range u.installed {
			pr.touch(i)
			pr.waiting = append(pr.waiting, i)
			pr.search.wishes = append(pr.search.wishes, pr.yes(i))
			for _, j := range u.replacers.of(u.name[i]) { // what goes had better be replaced
				if u.packages[j].fits(request.Arch) && u.packages[j].replaces(u.packages[i]) {
					pr.touch(j)
				}
			}
		}
		pr.encodeRequest()
	}
	for _, i := range wanted {
		pr.touch(i)
	}
	pr.open(wanted)
	return pr
}

func (pr *problem) yes(i int32) literal { return (pr.variables[i] - 1).yes() }
func (pr *problem) no(i int32) literal  { return (pr.variables[i] - 1).no() }

// add adds a clause with its rule.
func (pr *problem) add(r rule, literals ...literal) {
	if !pr.search.tracking {
		pr.hint(literals...)
		return
	}
	pr.rules = append(pr.rules, r)
	pr.search.add(int32(len(pr.rules)-1), literals...)
}

// hint adds a clause that no explanation needs.
func (pr *problem) hint(literals ...literal) { pr.search.add(noRule, literals...) }

// fitting returns those packages that the machine can take, with variables.
func (pr *problem) fitting(packages []int32) []int32 {
	var fitting []int32
	for _, i := range packages {
		if pr.universe.packages[i].fits(pr.request.Arch) {
			pr.touch(i)
			fitting = append(fitting, i)
		}
	}
	return fitting
}

// anyOf returns the literals of which one must be true for d to be fulfilled.
func (pr *problem) anyOf(packages []int32) []literal {
	literals := make([]literal, 0, len(packages)+1)
	for _, i := range packages {
		literals = append(literals, pr.yes(i))
	}
	return literals
}

// touch gives a package and the other builds of its name variables, and what
// excludes them clauses.
func (pr *problem) touch(i int32) {
	key := pr.universe.name[i]
	if pr.named[key] {
		return
	}
	pr.named[key] = true
	var builds []int32
	for _, j := range pr.universe.builds.of(key) {
		if pr.universe.packages[j].fits(pr.request.Arch) {
			builds = append(builds, j)
			v := pr.search.newVariable()
			pr.search.main = append(pr.search.main, v)
			pr.variables[j] = v + 1
			for len(pr.needs) <= int(v) {
				pr.needs, pr.owner = append(pr.needs, nil), append(pr.owner, -1)
			}
			pr.owner[v] = j
			pr.active = append(pr.active, j)
			if pr.settled != nil && (pr.request.leavesOut(pr.universe.packages[j]) || len(pr.universe.installedBuilds(pr.universe.packages[j].Name)) > 0) {
				pr.hint(pr.no(j))
			}
		}
	}
	pr.encodeOneVersion(builds)
	for _, j := range builds {
		pr.encodeExclusions(j)
	}
}

// encodeOneVersion says that builds of one name exclude each other. From a few
// on it takes the ladder encoding: a step is true from the first installed build
// on.
func (pr *problem) encodeOneVersion(builds []int32) {
	if len(builds) < 2 {
		return
	}
	packages := pr.universe.packages
	r := rule{kind: ruleOneVersion, pkg: packages[builds[0]], name: packages[builds[0]].Name}
	installOnly := slices.ContainsFunc(builds, func(i int32) bool { return packages[i].InstallOnly })
	if len(builds) <= 6 || installOnly {
		for n, i := range builds {
			for _, j := range builds[:n] {
				if packages[i].excludes(packages[j]) {
					pr.add(r, pr.no(i), pr.no(j))
				}
			}
		}
		return
	}
	before := pr.search.newVariable()
	pr.add(r, pr.no(builds[0]), before.yes())
	for _, i := range builds[1:] {
		step := pr.search.newVariable()
		pr.add(r, pr.no(i), before.no())
		pr.add(r, pr.no(i), step.yes())
		pr.add(r, before.no(), step.yes())
		before = step
	}
}

// encodeExclusions says what a package excludes, and what excludes it, among
// those that have a variable or are settled.
func (pr *problem) encodeExclusions(i int32) {
	u := pr.universe
	p := u.packages[i]
	for _, d := range p.Conflicts {
		for alternative := range d.Alternatives() {
			if key := u.number(alternative.Name); pr.crowded(key) {
				pr.conflictWithCrowd(i, key, alternative)
				continue
			}
			for _, j := range u.satisfying(alternative) {
				if p.conflictsWith(alternative, u.packages[j]) {
					pr.exclude(rule{kind: ruleConflicts, pkg: p, other: u.packages[j], dependency: alternative}, i, j)
				}
			}
		}
	}
	for _, d := range p.Replaces {
		for alternative := range d.Alternatives() {
			for _, j := range u.builds.of(u.number(alternative.Name)) {
				if p.replacesBy(alternative, u.packages[j]) {
					pr.exclude(rule{kind: ruleReplaces, pkg: p, other: u.packages[j], dependency: alternative}, i, j)
				}
			}
		}
	}
	pr.excludedBy(i, u.name[i])
	for n, provide := range p.Provides {
		if provide.Name != p.Name && !slices.ContainsFunc(p.Provides[:n], func(o version.Provide) bool { return o.Name == provide.Name }) {
			pr.excludedBy(i, u.number(provide.Name))
		}
	}
	if pr.settled != nil {
		for _, j := range u.builds.of(u.name[i]) {
			if j != i && pr.settled[j] && p.excludes(u.packages[j]) {
				pr.hint(pr.no(i))
			}
		}
	}
}

// excludedBy says which packages that talk about a name exclude package i.
func (pr *problem) excludedBy(i, key int32) {
	u := pr.universe
	p := u.packages[i]
	if pr.crowded(key) {
		pr.enterCrowds(i, key)
	} else {
		for _, j := range u.conflictors.of(key) {
			q := u.packages[j]
			pr.eachConflict(j, key, func(d version.Dependency) {
				if q.conflictsWith(d, p) {
					pr.exclude(rule{kind: ruleConflicts, pkg: q, other: p, dependency: d}, j, i)
				}
			})
		}
	}
	if key != u.name[i] {
		return
	}
	for _, j := range u.replacers.of(key) {
		q := u.packages[j]
		for _, d := range q.Replaces {
			if q.replacesBy(d, p) {
				pr.exclude(rule{kind: ruleReplaces, pkg: q, other: p, dependency: d}, j, i)
			}
		}
	}
}

// exclude says that i and j are not installed together.
func (pr *problem) exclude(r rule, i, j int32) {
	switch {
	case pr.settled != nil && pr.settled[i] && pr.variables[j] != 0:
		pr.hint(pr.no(j))
	case pr.settled != nil && pr.settled[j] && pr.variables[i] != 0:
		pr.hint(pr.no(i))
	case pr.variables[i] != 0 && pr.variables[j] != 0:
		pr.add(r, pr.no(i), pr.no(j))
	}
}

// open makes clauses of the requirements of packages, and of those that are the
// first choice to fulfil them.
func (pr *problem) open(packages []int32) {
	pr.waiting = append(pr.waiting, packages...)
	for len(pr.waiting) > 0 {
		i := pr.waiting[0]
		pr.waiting = pr.waiting[1:]
		if !pr.opened[i] {
			pr.opened[i] = true
			pr.encodeRequires(i)
		}
	}
}

func (pr *problem) encodeRequires(i int32) {
	p := pr.universe.packages[i]
	for _, d := range p.Requires {
		found := pr.universe.satisfying(d)
		if slices.Contains(found, i) || pr.settled != nil && slices.ContainsFunc(found, func(j int32) bool { return pr.settled[j] }) {
			continue
		}
		found = pr.fitting(found)
		pr.add(rule{kind: ruleRequires, pkg: p, dependency: d}, append(pr.anyOf(found), pr.no(i))...)
		v := pr.variables[i] - 1
		pr.needs[v] = append(pr.needs[v], found)
		if len(found) > 0 && !slices.ContainsFunc(found, func(j int32) bool { return pr.opened[j] || pr.universe.packages[j].Installed }) {
			pr.waiting = append(pr.waiting, found[0])
		}
	}
}

// replacersOf returns the packages that replace the newest build of an
// installed package. Those that replaced only older builds do not count: the
// name has come back since.
func (pr *problem) replacersOf(old *Package) []int32 {
	u := pr.universe
	key := u.number(old.Name)
	newest := old
	for _, i := range u.builds.of(key) {
		if p := u.packages[i]; p.fits(pr.request.Arch) && p.Version.Compare(newest.Version) > 0 {
			newest = p
		}
	}
	var found []int32
	for _, i := range u.replacers.of(key) {
		if u.packages[i].fits(pr.request.Arch) && u.packages[i].replaces(newest) {
			found = append(found, i)
		}
	}
	return found
}
