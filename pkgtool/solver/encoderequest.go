package solver

import (
	"ashlar/pkgtool/version"
)

// encodeRequest makes clauses of the request. The best of what it names is opened.
func (pr *problem) encodeRequest() {
	u := pr.universe
	for _, d := range pr.request.Install {
		pr.demand(rule{kind: ruleInstall, dependency: d}, u.named(d))
	}
	for _, d := range pr.request.remove {
		for _, i := range pr.fitting(u.builds.of(u.number(d.Name))) {
			if d.Constraint.Allows(u.packages[i].Version) {
				pr.add(rule{kind: ruleRemove, pkg: u.packages[i], name: d.String()}, pr.no(i))
			}
		}
	}
	for _, d := range pr.request.downgrade {
		pr.demand(rule{kind: ruleDowngrade, dependency: d}, pr.older(d))
	}
	for _, name := range pr.request.Reinstall {
		for _, i := range u.installedBuilds(name) {
			p := u.packages[i]
			pr.demand(rule{kind: ruleReinstall, pkg: p, name: name}, pr.again(p))
		}
	}
	for _, d := range pr.request.Pins {
		for _, i := range pr.fitting(u.builds.of(u.number(d.Name))) {
			if !d.Constraint.Allows(u.packages[i].Version) {
				pr.add(rule{kind: rulePin, pkg: u.packages[i], name: d.Name, dependency: d}, pr.no(i))
			}
		}
	}
	for _, name := range pr.request.Hold {
		pr.encodeHold(name)
	}
	for _, target := range pr.request.targets(u) {
		pr.waiting = append(pr.waiting, pr.fitting(pr.replacersOf(target))...)
		if builds := pr.fitting(u.builds.of(u.number(target.Name))); len(builds) > 0 {
			pr.waiting = append(pr.waiting, builds[0])
		}
	}
}

// demand says that one of some packages must be installed.
func (pr *problem) demand(r rule, candidates []int32) {
	candidates = pr.fitting(candidates)
	pr.add(r, pr.anyOf(candidates)...)
	if len(candidates) > 0 {
		pr.waiting = append(pr.waiting, candidates[0])
	}
	// Before there are tiers, the search tries builds of a name, the best first.
	for _, i := range candidates {
		if p := pr.universe.packages[i]; !p.InstallOnly && p.Name == pr.universe.packages[candidates[0]].Name {
			pr.search.wishes = append(pr.search.wishes, pr.yes(i))
		}
	}
}

// encodeHold says that the installed builds of a name stay and no other comes.
func (pr *problem) encodeHold(name string) {
	u := pr.universe
	held := u.installedBuilds(name)
	for _, i := range held {
		pr.add(rule{kind: ruleHold, pkg: u.packages[i], name: name}, pr.yes(i))
	}
	for _, i := range pr.fitting(u.builds.of(u.number(name))) {
		p := u.packages[i]
		switch {
		case len(held) == 0:
			pr.add(rule{kind: ruleHold, name: name}, pr.no(i))
		case !p.Installed && p.InstallOnly: // elsewhere the held build excludes it
			pr.add(rule{kind: ruleHold, pkg: u.packages[held[0]], name: name}, pr.no(i))
		}
	}
}

// older returns the builds that a downgrade to d can lead to.
func (pr *problem) older(d version.Dependency) []int32 {
	u := pr.universe
	installed := u.newestInstalled(d.Name)
	var older []int32
	for _, i := range u.builds.of(u.number(d.Name)) {
		if p := u.packages[i]; p.fits(pr.request.Arch) && p.Version.Compare(installed.Version) < 0 && d.Constraint.Allows(p.Version) {
			older = append(older, i)
		}
	}
	return older
}

// again returns what installing an installed build again can mean: itself if a
// repository has it, else another build of the same version.
func (pr *problem) again(p *Package) []int32 {
	u := pr.universe
	var found []int32
	for _, i := range u.builds.of(u.number(p.Name)) {
		q := u.packages[i]
		if q == p && len(u.copiesOf(i)) > 0 {
			return []int32{i}
		}
		if !q.Installed && q.fits(pr.request.Arch) && q.Arch == p.Arch && q.Version.Compare(p.Version) == 0 {
			found = append(found, i)
		}
	}
	return found
}

// copiesOf returns where the build of an installed package can be had again.
func (u *Universe) copiesOf(i int32) []int32 {
	if found := u.copies[i]; len(found) > 0 {
		return found
	}
	if u.packages[i].Repo != "" {
		return []int32{i}
	}
	return nil
}
