package solver

import (
	"errors"
	"fmt"
	"testing"

	"ashlar/pkgtool/version"

	sat "github.com/crillab/gophersat/solver"
	"pgregory.net/rapid"
)

// genGraph draws a universe too large to try every subset: up to 60 names with up
// to so many builds, alternatives, conflicts, capabilities.
func genGraph(t *rapid.T, builds int) []*Package {
	n := rapid.IntRange(5, 60).Draw(t, "names")
	capabilities := rapid.IntRange(1, n/2).Draw(t, "capabilities")
	crowded := rapid.IntRange(1, 8).Draw(t, "crowded") // the smaller, the more conflicts
	name := func(label string) string {
		if rapid.IntRange(0, 3).Draw(t, label+" kind") == 0 {
			return fmt.Sprintf("cap(%d)", rapid.IntRange(0, capabilities-1).Draw(t, label))
		}
		return fmt.Sprintf("p%02d", rapid.IntRange(0, n-1).Draw(t, label))
	}
	dependency := func(label string, most int) version.Dependency {
		text := name(label)
		for range rapid.IntRange(0, most).Draw(t, "or") {
			text += " | " + name(label)
		}
		if builds > 1 && rapid.IntRange(0, 3).Draw(t, "constrained") == 0 {
			text += rapid.SampledFrom([]string{" =1", " >=2", " <2"}).Draw(t, "constraint")
		}
		d, err := version.ParseDependency(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	var universe []*Package
	for i := range n {
		for build := range rapid.IntRange(1, builds).Draw(t, "builds") {
			p := parsePackage(t, fmt.Sprintf("p%02d %d.0.0-1", i, build+1))
			p.Repo = "main"
			for range rapid.IntRange(0, 3).Draw(t, "requires") {
				p.Requires = append(p.Requires, dependency("requires", 2))
			}
			if rapid.IntRange(0, crowded).Draw(t, "conflicts") == 0 {
				p.Conflicts = append(p.Conflicts, dependency("conflicts", 0))
			}
			for range rapid.IntRange(0, 1).Draw(t, "provides") {
				p.Provides = append(p.Provides, version.Provide{Name: fmt.Sprintf("cap(%d)", rapid.IntRange(0, capabilities-1).Draw(t, "provide"))})
			}
			universe = append(universe, p)
		}
	}
	return universe
}

// clauses says in a SAT solver's terms what can be installed on an empty system.
// Package i is variable i+1.
func clauses(universe []*Package, install version.Dependency) [][]int {
	fulfil := func(d version.Dependency) []int {
		var literals []int
		for i, p := range universe {
			if p.satisfies(d) {
				literals = append(literals, i+1)
			}
		}
		return literals
	}
	all := [][]int{fulfil(install)}
	for i, p := range universe {
		for _, d := range p.Requires {
			all = append(all, append(fulfil(d), -(i+1)))
		}
		for j, q := range universe {
			for _, d := range p.Conflicts {
				if p.Name != q.Name && q.satisfies(d) {
					all = append(all, []int{-(i + 1), -(j + 1)})
				}
			}
			if i < j && p.Name == q.Name {
				all = append(all, []int{-(i + 1), -(j + 1)})
			}
		}
	}
	return all
}

// A SAT library must come to the same verdict.
func TestAgreesWithSAT(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		universe := genGraph(t, 3)
		u := NewUniverse(universe)
		for _, p := range universe {
			exactly, err := version.ParseDependency(fmt.Sprintf("%s =%s", p.Name, p.Version))
			if err != nil {
				t.Fatal(err)
			}
			possible := false
			if cnf := clauses(universe, exactly); len(cnf[0]) > 0 {
				possible = sat.New(sat.ParseSliceNb(cnf, len(universe))).Solve() == sat.Sat
			}
			_, err = u.Solve(t.Context(), Request{Install: []version.Dependency{exactly}})
			var unsolvable *Unsolvable
			if err != nil && !errors.As(err, &unsolvable) {
				t.Fatal(err)
			}
			if (err == nil) != possible {
				t.Fatalf("%s: a SAT library says %v, but: %v", p, possible, err)
			}
			if packages, err := u.Installable(t.Context(), p, ""); (err == nil) != possible || err == nil && u.Check(Request{}, &Solution{Install: steps(packages)}) != nil {
				t.Fatalf("%s: a SAT library says %v, but: %v, %v", p, possible, packages, err)
			}
		}
	})
}

// The same with all conflicts told by crowds instead of pairs.
func TestCrowdsAgreeWithSAT(t *testing.T) {
	defer func(before int) { crowdedFrom = before }(crowdedFrom)
	crowdedFrom = 0
	TestAgreesWithSAT(t)
	TestAgreesWithBruteForce(t)
	TestRecommendsOnlyAdd(t)
	TestOrderDoesNotMatter(t)
}

func steps(packages []*Package) []Step {
	var steps []Step
	for _, p := range packages {
		steps = append(steps, Step{Package: p})
	}
	return steps
}

// Deciding all packages at once must come to the verdicts of deciding each.
func TestCheckAllAgreesWithEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		universe := genGraph(t, 3)
		u := NewUniverse(universe)
		bad, err := u.CheckAll(t.Context(), "x86_64")
		if err != nil {
			t.Fatal(err)
		}
		reasons := map[*Package][]string{}
		for _, b := range bad {
			reasons[b.Package] = b.Reasons
		}
		for _, p := range universe {
			_, err := u.Installable(t.Context(), p, "x86_64")
			if (err == nil) != (reasons[p] == nil) {
				t.Fatalf("%s: %v, but all at once: %q", p, err, reasons[p])
			}
		}
	})
}

// Where every name has one build, the preferences come to the fewest packages. A
// pseudo-Boolean optimiser must find as few.
func TestFewestExtrasAgreeWithOptimiser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		universe := genGraph(t, 1)
		d := version.Dependency{Name: universe[0].Name}
		problem := sat.ParseSliceNb(clauses(universe, d), len(universe))
		literals, ones := make([]sat.Lit, len(universe)), make([]int, len(universe))
		for i := range literals {
			literals[i], ones[i] = sat.IntToLit(int32(i+1)), 1
		}
		problem.SetCostFunc(literals, ones)
		fewest := sat.New(problem).Minimize()
		s, err := Solve(t.Context(), universe, Request{Install: []version.Dependency{d}})
		switch {
		case err != nil && fewest >= 0:
			t.Fatalf("there is a solution of %d packages, but: %v", fewest, err)
		case err == nil && (len(s.Install) != fewest || !s.Exact):
			t.Fatalf("%d packages will do, not %d: %s", fewest, len(s.Install), describe(s, nil))
		}
	})
}
