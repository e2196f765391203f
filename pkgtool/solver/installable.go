package solver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"
)

// Uninstallable is a package that cannot be installed, even on an empty system,
// and why.
type Uninstallable struct {
	Package *Package
	Reasons []string // as in [Unsolvable]
}

// Installable returns packages, p among them, that can be installed together on
// an empty system. What is installed counts as available only. The error is an
// [Unsolvable] if there are none.
func (u *Universe) Installable(ctx context.Context, p *Package, arch string) ([]*Package, error) {
	i := u.find(p)
	if i < 0 {
		return nil, fmt.Errorf("package %s is not in the universe", p)
	}
	pr := encode(u, &parsed{Request: Request{Arch: arch}, empty: true}, nil, nil, false)
	defer pr.release()
	pr.demand(rule{}, []int32{i})
	pr.open(nil)
	found, err := pr.feasible(ctx)
	if err != nil {
		return nil, pr.timeUp(ctx, err)
	}
	if !found {
		reasons, err := u.whyNot(ctx, i, arch)
		if err != nil {
			return nil, pr.timeUp(ctx, err)
		}
		return nil, fault.Mark(&Unsolvable{Reasons: reasons, So: p.String() + " cannot be installed"}, fault.Unsolvable, "")
	}
	var packages []*Package
	for _, j := range pr.chosen() {
		packages = append(packages, u.packages[j])
	}
	return packages, nil
}

// find returns the number of a package, or of the installed one of which it is a
// copy; -1 if it is neither.
func (u *Universe) find(p *Package) int32 {
	for _, i := range u.builds.of(u.number(p.Name)) {
		if u.packages[i] == p || slices.ContainsFunc(u.copies[i], func(j int32) bool { return u.packages[j] == p }) {
			return i
		}
	}
	return -1
}

// whyNot returns why a package cannot be installed on an empty system.
func (u *Universe) whyNot(ctx context.Context, i int32, arch string) ([]string, error) {
	p := u.packages[i]
	exactly := version.Dependency{Name: p.Name, Constraint: version.Exactly(p.Version)}
	refuted, rules, err := u.refute(ctx, &parsed{Request: Request{Arch: arch}, empty: true}, func(pr *problem) {
		pr.demand(rule{kind: ruleInstall, dependency: exactly}, []int32{i})
	})
	defer refuted.release()
	if err != nil {
		return nil, err
	}
	if others := slices.DeleteFunc(slices.Clone(rules), func(r rule) bool { return r.kind == ruleInstall }); len(others) > 0 {
		rules = others
	}
	return refuted.sentences(rules), nil
}

// CheckAll returns every package that cannot be installed, even on an empty
// system, in order of name and version, with reasons. Packages for other
// machines are left out. All packages are decided over one set of clauses:
// what is learned about one serves the next, and one solution shows of many
// packages that they can be installed.
func (u *Universe) CheckAll(ctx context.Context, arch string) ([]Uninstallable, error) {
	bad, err := u.uninstallable(ctx, arch)
	if err != nil {
		return nil, err
	}
	var all []Uninstallable
	for _, i := range bad {
		reasons, err := u.whyNot(ctx, i, arch)
		if err != nil {
			return nil, err
		}
		all = append(all, Uninstallable{u.packages[i], reasons})
	}
	return all, nil
}

func (u *Universe) uninstallable(ctx context.Context, arch string) ([]int32, error) {
	pr := encode(u, &parsed{Request: Request{Arch: arch}, empty: true}, nil, nil, false)
	defer pr.release()
	for i, p := range u.packages {
		if p.fits(arch) && u.find(p) == int32(i) {
			pr.touch(int32(i))
		}
	}
	pr.open(slices.Clone(pr.active))
	var bad []int32
	installable := make([]bool, len(u.packages))
	for todo := pr.active; len(todo) > 0; {
		var postponed []int32
		pr.search.undo(0)
		told := 0 // of the trail
		for _, i := range todo {
			if installable[i] {
				continue
			}
			fits, err := pr.fill(ctx, i)
			switch {
			case err != nil:
				return nil, err
			case !fits && len(pr.search.decided) == 0:
				bad = append(bad, i)
				told = 0
			case !fits:
				postponed = append(postponed, i)
			default:
				for ; told < len(pr.search.trail); told++ {
					if l := pr.search.trail[told]; l&1 == 0 && int(l.variable()) < len(pr.owner) && pr.owner[l.variable()] >= 0 {
						installable[pr.owner[l.variable()]] = true
					}
				}
			}
		}
		todo = postponed
	}
	slices.SortFunc(bad, func(i, j int32) int { return compareNameVersion(u.packages[i], u.packages[j]) })
	return bad, nil
}

// fill adds a package and what it needs to the present assignment. If that is
// empty, false means that the package cannot be installed; else, that it does
// not fit the others.
func (pr *problem) fill(ctx context.Context, i int32) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	s := pr.search
	level := len(s.decided)
	wanted := pr.yes(i)
	at := len(s.trail)
	if s.value(wanted) == isFalse {
		return false, nil
	}
	for steps := 0; ; steps++ {
		if steps%1024 == 1023 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		if conflict := s.propagate(); conflict != noClause {
			if level > 0 {
				s.undo(level)
				return false, nil
			}
			if len(s.decided) == 0 {
				return false, errors.New("the rules exclude each other although nothing is asked for")
			}
			s.learn(conflict)
			at = 0
			continue
		}
		switch s.value(wanted) {
		case isFalse:
			s.undo(level)
			return false, nil
		case unknown:
			s.decide(wanted, 0)
			continue
		}
		choice, found := pr.unmet(&at)
		if !found {
			return true, nil
		}
		s.decide(choice, 0)
	}
}

// unmet returns the first choice for the first requirement of an assigned
// package, from a place in the trail on, that nothing fulfils yet.
func (pr *problem) unmet(at *int) (literal, bool) {
	s := pr.search
	for ; *at < len(s.trail); *at++ {
		l := s.trail[*at]
		if l&1 == 1 || int(l.variable()) >= len(pr.needs) {
			continue
		}
	requirements:
		for _, found := range pr.needs[l.variable()] {
			first := literal(-1)
			for _, j := range found {
				switch s.value(pr.yes(j)) {
				case isTrue:
					continue requirements
				case unknown:
					if first < 0 {
						first = pr.yes(j)
					}
				}
			}
			return first, true
		}
	}
	return 0, false
}
