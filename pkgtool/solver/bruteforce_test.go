package solver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ashlar/pkgtool/version"

	"pgregory.net/rapid"
)

// genCase draws a universe small enough to try every subset.
func genCase(t *rapid.T) testCase {
	names := []string{"a", "b", "c", "d", "e"}
	constraint := rapid.SampledFrom([]string{"", "", "", " =1", " =2", " >=2", " <2"})
	dependency := func(label string) version.Dependency {
		name := rapid.SampledFrom(append(names, "x", "y")).Draw(t, label)
		d, err := version.ParseDependency(name + constraint.Draw(t, label+" constraint"))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	dependencies := func(label string, odds int) []version.Dependency {
		var list []version.Dependency
		for rapid.IntRange(0, odds).Draw(t, label) == 0 && len(list) < 2 {
			list = append(list, dependency(label))
		}
		return list
	}
	var c testCase
	for _, name := range names {
		for major := 1; major <= 2; major++ {
			if rapid.IntRange(0, 4).Draw(t, "exists") == 0 {
				continue
			}
			v, err := version.New(0, fmt.Sprintf("%d.0.0", major), 1)
			if err != nil {
				t.Fatal(err)
			}
			p := &Package{Name: name, Version: v, Arch: "x86_64", Repo: "main"}
			p.Requires = dependencies("requires", 1)
			p.Conflicts = dependencies("conflicts", 4)
			p.Replaces = dependencies("replaces", 8)
			if rapid.IntRange(0, 3).Draw(t, "provides") == 0 {
				p.Provides = []version.Provide{{Name: rapid.SampledFrom([]string{"x", "y", "a", "b"}).Draw(t, "provide")}}
			}
			c.universe = append(c.universe, p)
		}
	}
	installed := map[string]bool{}
	for _, p := range c.universe {
		if !installed[p.Name] && rapid.IntRange(0, 3).Draw(t, "installed") == 0 {
			installed[p.Name] = true
			p.Installed, p.Repo = true, ""
			p.Requested = rapid.Bool().Draw(t, "requested")
		}
	}
	for rapid.IntRange(0, 1).Draw(t, "more") == 0 && len(c.request.Install) < 2 {
		c.request.Install = append(c.request.Install, dependency("install"))
	}
	for _, name := range names {
		if !installed[name] {
			continue
		}
		switch rapid.IntRange(0, 7).Draw(t, "what with "+name) {
		case 0:
			c.request.Remove = append(c.request.Remove, name)
		case 1:
			c.request.Upgrade = append(c.request.Upgrade, name)
		case 2:
			c.request.Hold = append(c.request.Hold, name)
		}
	}
	return c
}

// solutionOf accounts for a set of packages as Solve would.
func solutionOf(universe, chosen []*Package) *Solution {
	s := &Solution{}
	old, now := map[string]*Package{}, map[string]*Package{}
	for _, p := range chosen {
		now[p.Name] = p
	}
	for _, p := range universe {
		if p.Installed {
			old[p.Name] = p
			if now[p.Name] == nil {
				s.Remove = append(s.Remove, Step{Package: p})
			}
		}
	}
	for _, p := range chosen {
		switch {
		case p.Installed:
			s.Keep = append(s.Keep, p)
		case old[p.Name] != nil:
			s.Upgrade = append(s.Upgrade, Step{Package: p, From: old[p.Name]})
		default:
			s.Install = append(s.Install, Step{Package: p})
		}
	}
	return s
}

// cost counts removals and downgrades, independently of the search. A package
// that nothing leads to does not come in only because it replaces another.
func cost(c testCase, chosen []*Package) [2]int {
	pl := newPool(c.universe, "")
	pl.restrict(c.request)
	now := map[string]*Package{}
	for _, p := range chosen {
		now[p.Name] = p
	}
	var cost [2]int
	for _, p := range c.universe {
		if !p.Installed {
			continue
		}
		replaced := slices.ContainsFunc(chosen, func(q *Package) bool {
			_, reached := pl.distance[q]
			return reached && q.replaces(p)
		})
		switch q := now[p.Name]; {
		case q == nil && !replaced && !slices.Contains(c.request.Remove, p.Name):
			cost[0]++
		case q != nil && q.Version.Compare(p.Version) < 0:
			cost[1]++
		}
	}
	return cost
}

func TestAgreesWithBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := genCase(t)
		var best *[2]int
		for set := range 1 << len(c.universe) {
			var chosen []*Package
			for i, p := range c.universe {
				if set>>i&1 == 1 {
					chosen = append(chosen, p)
				}
			}
			// Requests mean the package of the name if there is one.
			if !requestMeant(c, chosen) || Check(c.universe, c.request, solutionOf(c.universe, chosen)) != nil {
				continue
			}
			k := cost(c, chosen)
			if best == nil || slices.Compare(k[:], best[:]) < 0 {
				best = &k
			}
		}
		s, err := Solve(t.Context(), c.universe, c.request)
		var unsolvable *Unsolvable
		switch {
		case err != nil && !errors.As(err, &unsolvable):
			t.Fatal(err)
		case err != nil && best != nil:
			t.Fatalf("there is a solution, but: %v", err)
		case err == nil && best == nil:
			t.Fatalf("there is no solution, but: %s", describe(s, nil))
		case err != nil:
			if len(unsolvable.Reasons) == 0 {
				t.Fatal("a refusal without reasons")
			}
		default:
			got := cost(c, s.Installed())
			if slices.Compare(got[:], best[:]) != 0 {
				t.Fatalf("removals, downgrades are %v, could be %v: %s", got, *best, describe(s, nil))
			}
		}
	})
}

func requestMeant(c testCase, chosen []*Package) bool {
	for _, d := range c.request.Install {
		exists := slices.ContainsFunc(c.universe, func(p *Package) bool { return p.Name == d.Name })
		if !slices.ContainsFunc(chosen, func(p *Package) bool {
			return p.satisfies(d) && (!exists || p.Name == d.Name && d.Constraint.Allows(p.Version))
		}) {
			return false
		}
	}
	return true
}

// Where a package stands in the universe, and packages nothing leads to, must
// not matter.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := genCase(t)
		want := describe(Solve(t.Context(), c.universe, c.request))
		shuffled := rapid.Permutation(c.universe).Draw(t, "order")
		if got := describe(Solve(t.Context(), shuffled, c.request)); got != want {
			t.Fatalf("got\n%swant\n%s", got, want)
		}
		unrelated := append(slices.Clone(c.universe), parsePackage(t, "zzz-unrelated 1.0.0-1"))
		if got := describe(Solve(t.Context(), unrelated, c.request)); got != want && !strings.Contains(got, "did you mean") {
			t.Fatalf("with an unrelated package: got\n%swant\n%s", got, want)
		}
	})
}

// The solution in the tiers' order is exactly the best one: for every subset
// that keeps the rules, the wishes of the solution compare at least as well.
func TestSolutionIsTheBestOfItsTiers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := genCase(t)
		c.request.NoRecommends = true
		s, err := Solve(t.Context(), c.universe, c.request)
		if err != nil {
			return
		}
		pl := newPool(c.universe, "")
		pl.restrict(c.request)
		pr := encode(pl, c.request)
		pr.addTiers()
		got := pr.grade(s.Installed())
		for set := range 1 << len(pl.packages) {
			var chosen []*Package
			for i, p := range pl.packages {
				if set>>i&1 == 1 {
					chosen = append(chosen, p)
				}
			}
			if requestMeant(c, chosen) && Check(c.universe, c.request, solutionOf(c.universe, chosen)) == nil {
				if k := pr.grade(chosen); slices.Compare(k, got) < 0 {
					t.Fatalf("%v beats %v: %s", chosen, s.Installed(), describe(s, nil))
				}
			}
		}
	})
}

// grade lists the costs of a set in the order of the tiers: for a counted tier
// the number of unfulfilled wishes, for an ordered one 1 for each such wish.
func (pr *problem) grade(chosen []*Package) []int {
	truths := map[variable]bool{}
	for _, p := range chosen {
		truths[pr.variable[p]] = true
	}
	for _, c := range pr.search.clauses { // "stays" follows from its definition
		last := c.literals[len(c.literals)-1]
		for _, l := range c.literals {
			if int(l.variable()) >= len(pr.variable) {
				last = l
			}
		}
		if c.rule.kind == ruleInternal {
			for _, l := range c.literals {
				if l&1 == 0 && truths[l.variable()] {
					truths[last.variable()] = true
				}
			}
		}
	}
	var grade []int
	for _, t := range pr.tiers {
		var each []int
		sum := 0
		for _, l := range t.wishes {
			unfulfilled := 1
			if truths[l.variable()] == (l&1 == 0) {
				unfulfilled = 0
			}
			sum += unfulfilled
			each = append(each, unfulfilled)
		}
		if t.counted {
			each = []int{sum}
		}
		grade = append(grade, each...)
	}
	return grade
}
