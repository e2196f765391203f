package solver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/version"
)

// reasons tells why packages are in a solution.
type reasons struct {
	*problem
	chosen   []int32 // without additions
	more     *additions
	neededBy map[int32]int32 // by new package: who needs it, the nearest to the request
	targets  []*Package
}

func (pr *problem) newReasons(more *additions) *reasons {
	r := &reasons{problem: pr, chosen: pr.chosen(), more: more, neededBy: map[int32]int32{}, targets: pr.request.targets(pr.universe)}
	distance := pr.distances()
	u := pr.universe
	for _, i := range r.chosen {
		for _, found := range pr.needs[pr.variables[i]-1] {
			// What the old build fulfils too is no reason for a new one.
			if slices.ContainsFunc(found, func(j int32) bool {
				return u.packages[j].Installed && u.packages[j].Name != u.packages[i].Name && r.in(j)
			}) {
				continue
			}
			for _, j := range found {
				old := u.newestInstalled(u.packages[j].Name)
				if old != nil && slices.ContainsFunc(found, func(k int32) bool { return u.packages[k] == old }) {
					continue
				}
				by, known := r.neededBy[j]
				if j != i && (!known || distance[pr.variables[i]-1] < distance[pr.variables[by]-1]) {
					r.neededBy[j] = i
				}
			}
		}
	}
	return r
}

// in reports whether a package is in the best solution.
func (pr *problem) in(i int32) bool {
	return pr.variables[i] != 0 && valueIn(pr.best, pr.yes(i)) == isTrue
}

// why says in three words why a new package was chosen.
func (r *reasons) why(i int32) string {
	u := r.universe
	p := u.packages[i]
	if why := r.more.why[i]; why != "" {
		return why
	}
	for _, d := range r.request.Install {
		if p.satisfies(d) {
			return "requested"
		}
	}
	if slices.Contains(namesOf(r.request.downgrade), p.Name) || slices.Contains(r.request.Reinstall, p.Name) {
		return "requested"
	}
	for _, target := range r.targets {
		if target.Name == p.Name {
			return "newer"
		}
		if p.replaces(target) {
			return "replaces " + target.Name
		}
	}
	if by, ok := r.neededBy[i]; ok {
		return "needed by " + u.packages[by].Name
	}
	for _, j := range u.installed {
		if p.replaces(u.packages[j]) {
			return "replaces " + u.packages[j].Name
		}
	}
	if old := u.newestInstalled(p.Name); old != nil {
		if d, lost := r.lostRequirement(old); lost {
			return fmt.Sprintf("%s needs %s", old.Version, d)
		}
		if q := r.conflicting(old); q != nil {
			return fmt.Sprintf("%s conflicts with %s", old.Version, q.Name)
		}
	}
	return "fits the rest"
}

// conflicting returns a package of the solution that conflicts with p or that p
// conflicts with, or nil.
func (r *reasons) conflicting(p *Package) *Package {
	for _, j := range r.chosen {
		q := r.universe.packages[j]
		if slices.ContainsFunc(p.Conflicts, func(d version.Dependency) bool { return p.conflictsWith(d, q) }) ||
			slices.ContainsFunc(q.Conflicts, func(d version.Dependency) bool { return q.conflictsWith(d, p) }) {
			return q
		}
	}
	return nil
}

// lostRequirement returns a requirement of p that the solution does not fulfil.
func (r *reasons) lostRequirement(p *Package) (version.Dependency, bool) {
	for _, d := range p.Requires {
		if !slices.ContainsFunc(r.universe.satisfying(d), r.in) {
			return d, true
		}
	}
	return version.Dependency{}, false
}

func (r *reasons) whyRemoved(i int32) string {
	u := r.universe
	p := u.packages[i]
	if r.request.removes(p) {
		return "requested"
	}
	for _, j := range u.replacers.of(u.name[i]) {
		if r.in(j) && u.packages[j].replaces(p) {
			return "replaced by " + u.packages[j].Name
		}
	}
	if d, lost := r.lostRequirement(p); lost {
		return fmt.Sprintf("it needs %s", d)
	}
	if q := r.conflicting(p); q != nil {
		return "it conflicts with " + q.Name
	}
	if slices.ContainsFunc(u.builds.of(u.name[i]), r.in) {
		return "another build takes its place"
	}
	return "it does not fit the rest"
}

// whyHeld says why an upgrade does not take p: what it would take is tried, with
// all that is installed staying in some version.
func (pr *problem) whyHeld(ctx context.Context, p, old *Package) (string, error) {
	switch {
	case slices.Contains(pr.request.Hold, p.Name):
		return "you hold " + p.Name, nil
	case !pr.request.AllowVendorChange && p.Vendor != "" && old.Vendor != "" && p.Vendor != old.Vendor:
		return fmt.Sprintf("its vendor is %s, not %s", p.Vendor, old.Vendor), nil
	}
	u := pr.universe
	exactly := version.Dependency{Name: p.Name, Constraint: version.Exactly(p.Version)}
	refuted, rules, err := u.refute(ctx, pr.request, func(again *problem) {
		again.demand(rule{kind: ruleInstall, dependency: exactly}, u.named(exactly))
		for _, i := range u.installed {
			if q := u.packages[i]; !pr.request.removes(q) {
				again.add(rule{kind: ruleStays, pkg: q, name: q.Name}, again.stays(i))
			}
		}
	})
	defer refuted.release()
	if err != nil {
		return "", err
	}
	rules = slices.DeleteFunc(rules, func(r rule) bool {
		return r.kind == ruleInstall && compareDependency(r.dependency, exactly) == 0 || r.kind == ruleOneVersion && r.name == p.Name
	})
	if others := slices.DeleteFunc(slices.Clone(rules), func(r rule) bool { return r.kind == ruleStays }); len(others) > 0 {
		rules = others
	}
	if texts := refuted.sentences(rules); len(texts) > 0 {
		return strings.Join(texts, ", and "), nil
	}
	for _, i := range u.builds.of(u.number(p.Name)) {
		if q := u.packages[i]; pr.in(i) && u.priority[i] > p.Priority {
			return fmt.Sprintf("the repository of %s has a higher priority", q.Version), nil
		}
	}
	return "it fits only at the expense of other packages", nil
}
