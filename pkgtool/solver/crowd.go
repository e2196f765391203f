package solver

import (
	"slices"

	"ashlar/pkgtool/version"
)

// crowdedFrom is the number of packages that provide a name, and of those that
// conflict with it, from which on not each pair gets a clause. It is a variable
// for tests.
var crowdedFrom = 40

// crowd says that packages conflict with what many packages are, such as a mail
// transport agent: with clauses in proportion to the packages, not to the pairs.
type crowd struct {
	dependency version.Dependency
	any        variable // some package fulfils the dependency
	others     variable // some package that does not itself conflict with it does
	ladder     variable // one of the packages so far fulfils it and conflicts with it; or none
	taken      bool     // a settled package fulfils it
	forbidden  bool     // a settled package conflicts with it
	in         map[int32]bool
}

const none variable = -1

// crowded reports whether a name is one that many provide and conflict with. Then
// its conflicts are those of crowds. Install-only packages, whose builds do not
// exclude each other, are left to pairs.
func (pr *problem) crowded(key int32) bool {
	if key < 0 {
		return false
	}
	known, ok := pr.isCrowded[key]
	if !ok {
		u := pr.universe
		providers, conflictors := u.providers.of(key), u.conflictors.of(key)
		known = len(providers) > crowdedFrom && len(conflictors) > crowdedFrom &&
			!slices.ContainsFunc(slices.Concat(providers, conflictors, u.builds.of(key)), func(i int32) bool { return u.packages[i].InstallOnly })
		if pr.isCrowded == nil {
			pr.isCrowded, pr.crowds = map[int32]bool{}, map[int32][]*crowd{}
		}
		pr.isCrowded[key] = known
		if known && pr.settled != nil {
			for _, j := range conflictors {
				if pr.settled[j] {
					pr.eachConflict(j, key, func(d version.Dependency) { pr.crowdOf(key, d).forbidden = true })
				}
			}
		}
	}
	return known
}

// eachConflict calls fn with each alternative of a package's conflicts that has a
// name.
func (pr *problem) eachConflict(i, key int32, fn func(version.Dependency)) {
	for _, d := range pr.universe.packages[i].Conflicts {
		for alternative := range d.Alternatives() {
			if pr.universe.number(alternative.Name) == key {
				fn(alternative)
			}
		}
	}
}

// crowdOf returns the crowd of a dependency; a new one takes in the packages that
// have a variable already.
func (pr *problem) crowdOf(key int32, d version.Dependency) *crowd {
	for _, c := range pr.crowds[key] {
		if compareDependency(c.dependency, d) == 0 {
			return c
		}
	}
	s, u := pr.search, pr.universe
	c := &crowd{dependency: d, any: s.newVariable(), others: s.newVariable(), ladder: none, in: map[int32]bool{}}
	pr.crowds[key] = append(pr.crowds[key], c)
	for _, i := range slices.Concat(u.builds.of(key), u.providers.of(key)) {
		if !u.packages[i].satisfies(d) {
			continue
		}
		if pr.settled != nil && pr.settled[i] {
			c.taken = true
		}
		if pr.variables[i] != 0 {
			pr.joinCrowd(c, i)
		}
	}
	return c
}

// enterCrowds notes a new package in the crowds of a name that it answers to.
func (pr *problem) enterCrowds(i, key int32) {
	for _, c := range pr.crowds[key] {
		if pr.universe.packages[i].satisfies(c.dependency) {
			pr.joinCrowd(c, i)
		}
	}
}

// joinCrowd says what follows when a package fulfils the crowd's dependency.
func (pr *problem) joinCrowd(c *crowd, i int32) {
	if c.in[i] {
		return
	}
	c.in[i] = true
	if c.forbidden {
		pr.hint(pr.no(i))
	}
	pr.hint(pr.no(i), c.any.yes())
	conflicts := false
	pr.eachConflict(i, pr.universe.number(c.dependency.Name), func(d version.Dependency) {
		conflicts = conflicts || compareDependency(d, c.dependency) == 0
	})
	if !conflicts {
		pr.hint(pr.no(i), c.others.yes())
		return
	}
	r := rule{kind: ruleConflicts, pkg: pr.universe.packages[i], dependency: c.dependency}
	pr.add(r, pr.no(i), c.others.no())
	step := pr.search.newVariable()
	pr.hint(pr.no(i), step.yes())
	if c.ladder != none {
		pr.add(r, pr.no(i), c.ladder.no())
		pr.hint(c.ladder.no(), step.yes())
	}
	c.ladder = step
}

// conflictWithCrowd says that a new package conflicts with all that fulfil d.
func (pr *problem) conflictWithCrowd(i, key int32, d version.Dependency) {
	c := pr.crowdOf(key, d)
	p := pr.universe.packages[i]
	if c.taken {
		pr.hint(pr.no(i))
	}
	if !p.satisfies(d) { // else joinCrowd has said it
		pr.add(rule{kind: ruleConflicts, pkg: p, dependency: d}, pr.no(i), c.any.no())
	}
}
