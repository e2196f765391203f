package solver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"

	"pgregory.net/rapid"
)

// genCase draws a universe small enough to try every subset, with everything
// that a package and a request can state.
func genCase(t *rapid.T) testCase {
	names := []string{"a", "b", "c", "d"}
	oneIn := func(n int, label string) bool { return rapid.IntRange(0, n-1).Draw(t, label) == 0 }
	constraint := rapid.SampledFrom([]string{"", "", "", " =1", " =2", " >=2", " <2", " =1.0.0-1"})
	text := func(label string) string {
		return rapid.SampledFrom(append(names, "x", "y")).Draw(t, label) + constraint.Draw(t, label+" constraint")
	}
	dependency := func(label string) version.Dependency {
		words := text(label)
		for oneIn(4, "or") {
			words += " | " + text(label)
		}
		d, err := version.ParseDependency(words)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	dependencies := func(label string, odds int) []version.Dependency {
		var list []version.Dependency
		for oneIn(odds, label) && len(list) < 2 {
			list = append(list, dependency(label))
		}
		return list
	}
	var c testCase
	installOnly := oneIn(3, "install-only")
	for _, name := range names {
		for n := range 3 {
			if len(c.universe) == 9 || rapid.IntRange(0, 2).Draw(t, "exists") == 0 {
				continue
			}
			v := fmt.Sprintf("%d.0.0-%d", 1+n/2+n%2*rapid.IntRange(0, 1).Draw(t, "major"), rapid.IntRange(1, 2).Draw(t, "release"))
			p := parsePackage(t, name+" "+v)
			p.Repo = rapid.SampledFrom([]string{"main", "extra"}).Draw(t, "repo")
			p.Priority = map[string]int{"main": 0, "extra": rapid.SampledFrom([]int{0, 0, 10}).Draw(t, "priority")}[p.Repo]
			p.Requires = dependencies("requires", 2)
			p.Conflicts = dependencies("conflicts", 5)
			p.Replaces = dependencies("replaces", 9)
			p.Recommends = dependencies("recommends", 9)
			p.Supplements = dependencies("supplements", 9)
			p.InstallOnly = installOnly && name == "a"
			p.Vendor = rapid.SampledFrom([]string{"", "", "v", "w"}).Draw(t, "vendor")
			p.Arch = rapid.SampledFrom([]string{"x86_64", "x86_64", "x86_64", "noarch", "arm64"}).Draw(t, "arch")
			if oneIn(4, "provides") {
				provide, err := version.ParseProvide(rapid.SampledFrom([]string{"x", "y", "x = 1", "x = 2", "a", "b = 2"}).Draw(t, "provide"))
				if err != nil {
					t.Fatal(err)
				}
				p.Provides = []version.Provide{provide}
			}
			c.universe = append(c.universe, p)
		}
	}
	installed := map[string]bool{}
	for _, p := range c.universe {
		if (!installed[p.Name] || p.InstallOnly) && oneIn(4, "installed") {
			if slices.ContainsFunc(c.universe, func(q *Package) bool { return q.Installed && q.Name == p.Name && q.excludes(p) }) {
				continue
			}
			installed[p.Name] = true
			p.Installed = true
			p.Requested = rapid.Bool().Draw(t, "requested")
			if rapid.Bool().Draw(t, "no repo") {
				p.Repo, p.Priority = "", 0
			}
		}
	}
	c.request.Arch = "x86_64"
	c.request.UpgradeAll = oneIn(6, "upgrade all")
	for oneIn(2, "more") && len(c.request.Install) < 2 {
		c.request.Install = append(c.request.Install, dependency("install"))
	}
	for _, name := range names {
		what := rapid.IntRange(0, 9).Draw(t, "what with "+name)
		switch {
		case what == 0:
			c.request.Hold = append(c.request.Hold, name)
		case what == 1:
			if d := dependency("pin"); len(d.Or) == 0 {
				c.request.Pins = append(c.request.Pins, d)
			}
		case !installed[name]:
		case what == 2:
			c.request.Remove = append(c.request.Remove, name+rapid.SampledFrom([]string{"", "", " =1", "@2"}).Draw(t, "build"))
		case what == 3:
			c.request.Upgrade = append(c.request.Upgrade, name)
		case what == 4:
			c.request.Downgrade = append(c.request.Downgrade, name)
		case what == 5:
			c.request.Reinstall = append(c.request.Reinstall, name)
		}
	}
	return c
}

// judge tries every subset of a universe, without the search. It knows the rules
// from Check and counts what the preferences are about by itself.
type judge struct {
	testCase
	u        *Universe
	packages []*Package // without copies of installed ones and foreign ones
}

func newJudge(c testCase) *judge {
	j := &judge{testCase: c, u: NewUniverse(c.universe)}
	for _, p := range c.universe {
		foreign := !p.Installed && p.Arch == "arm64"
		if j.u.find(p) >= 0 && j.u.packages[j.u.find(p)] == p && !foreign {
			j.packages = append(j.packages, p)
		}
	}
	slices.SortFunc(j.packages, func(p, q *Package) int { return j.u.compareIdentity(j.u.find(p), j.u.find(q)) })
	return j
}

// subsets yields every set of packages that keeps the rules.
func (j *judge) subsets(yield func([]*Package) bool) {
	for set := range 1 << len(j.packages) {
		var chosen []*Package
		for i, p := range j.packages {
			if set>>i&1 == 1 {
				chosen = append(chosen, p)
			}
		}
		if j.meant(chosen) && j.u.Check(j.request, j.account(chosen)) == nil && !yield(chosen) {
			return
		}
	}
}

// meant reports whether every request is fulfilled by a package of the name, if
// there is one of that name.
func (j *judge) meant(chosen []*Package) bool {
	for _, d := range j.request.Install {
		fulfilled := false
		for alternative := range d.Alternatives() {
			exists := slices.ContainsFunc(j.universe, func(p *Package) bool { return p.Name == alternative.Name })
			fulfilled = fulfilled || slices.ContainsFunc(chosen, func(p *Package) bool {
				return p.satisfies(alternative) && (!exists || p.Name == alternative.Name && alternative.Constraint.Allows(p.Version))
			})
		}
		if !fulfilled {
			return false
		}
	}
	return true
}

func (j *judge) old(name string) []*Package {
	var old []*Package
	for _, p := range j.packages {
		if p.Installed && p.Name == name {
			old = append(old, p)
		}
	}
	return old
}

// account lists a set of packages as Solve would.
func (j *judge) account(chosen []*Package) *Solution {
	s := &Solution{}
	taken := map[*Package]bool{}
	for _, p := range chosen {
		if p.Installed {
			s.Keep = append(s.Keep, p)
			if slices.Contains(j.request.Reinstall, p.Name) && len(j.u.copiesOf(j.u.find(p))) > 0 {
				s.Reinstall = append(s.Reinstall, Step{Package: p, From: p})
			}
			continue
		}
		step := Step{Package: p}
		for _, q := range j.old(p.Name) {
			if !slices.Contains(chosen, q) && q.excludes(p) && step.From == nil {
				step.From = q
				taken[q] = true
			}
		}
		if step.From != nil {
			s.Upgrade = append(s.Upgrade, step)
		} else {
			s.Install = append(s.Install, step)
		}
	}
	for _, p := range j.packages {
		if p.Installed && !taken[p] && !slices.Contains(chosen, p) {
			s.Remove = append(s.Remove, Step{Package: p})
		}
	}
	return s
}

// newest returns the newest installed build of a name, or nil.
func (j *judge) newest(name string) *Package {
	var newest *Package
	for _, p := range j.old(name) {
		if newest == nil || p.Version.Compare(newest.Version) > 0 {
			newest = p
		}
	}
	return newest
}

// grade is how a set does by the documented preferences, weightiest first: the
// smaller the better. Flags tell which wishes of a counted preference go
// unfulfilled, in the order in which they weigh.
type grade struct {
	removals, downgrades, vendors, notNewest, changes, oldBuilds, extras int

	removalFlags, downgradeFlags, vendorFlags, ranks, changeFlags []int
}

func (g *grade) list() []int {
	list := slices.Concat([]int{g.removals, g.downgrades}, g.removalFlags, g.downgradeFlags,
		[]int{g.vendors}, g.vendorFlags, []int{g.notNewest}, g.ranks, []int{g.changes}, g.changeFlags, []int{g.oldBuilds})
	if g.oldBuilds == 0 { // else their order comes first
		list = append(list, g.extras)
	}
	return list
}

// whatever returns the counts that do not depend on what packages are called.
func (g *grade) whatever() []int {
	list := []int{g.removals, g.downgrades}
	for _, n := range []int{g.vendors, g.notNewest, g.changes, g.oldBuilds, g.extras} {
		if !slices.ContainsFunc(list, func(n int) bool { return n > 0 }) {
			list = append(list, n)
		}
	}
	return list
}

// grade judges a set that keeps the rules.
func (j *judge) grade(chosen []*Package) *grade {
	g := &grade{}
	count := func(sum *int, flags *[]int, unfulfilled bool) {
		flag := 0
		if unfulfilled {
			flag = 1
		}
		*sum += flag
		*flags = append(*flags, flag)
	}
	for _, requested := range []bool{true, false} {
		for _, p := range j.packages {
			if p.Installed && p.Requested == requested && !j.removed(p) {
				stays := slices.ContainsFunc(chosen, func(q *Package) bool { return p == q || p.Name == q.Name && p.excludes(q) || q.replaces(p) })
				count(&g.removals, &g.removalFlags, !stays)
			}
		}
	}
	for _, p := range j.packages {
		if p.Installed {
			count(&g.changes, &g.changeFlags, !slices.Contains(chosen, p))
		}
	}
	for _, p := range slices.Backward(j.packages) { // the worst build of a name first
		in := slices.Contains(chosen, p)
		if p.Installed {
			continue
		}
		if old := j.newest(p.Name); old != nil {
			count(&g.downgrades, &g.downgradeFlags, in && p.Version.Compare(old.Version) < 0 && !(p.InstallOnly && old.InstallOnly))
			count(&g.vendors, &g.vendorFlags, in && p.Vendor != "" && old.Vendor != "" && p.Vendor != old.Vendor && !j.preferredVendor(p, old))
		}
		asked := slices.ContainsFunc(j.request.Install, func(d version.Dependency) bool {
			return slices.ContainsFunc(j.u.named(d), func(i int32) bool { return j.u.packages[i] == p })
		})
		if in && j.builds(p.Name)[0] != p {
			g.oldBuilds++
		}
		if in && !asked && (p.InstallOnly || len(j.old(p.Name)) == 0) {
			g.extras++
		}
	}
	for _, group := range j.groups() {
		if len(group) > 1 {
			rank := slices.IndexFunc(group, func(ways []*Package) bool {
				return slices.ContainsFunc(ways, func(p *Package) bool { return slices.Contains(chosen, p) })
			})
			if rank < 0 || rank == len(group)-1 {
				rank = len(group) - 1
			}
			g.ranks = append(g.ranks, rank)
			if rank > 0 {
				g.notNewest++
			}
		}
	}
	return g
}

// removed reports whether the request removes p.
func (j *judge) removed(p *Package) bool {
	return slices.ContainsFunc(j.request.Remove, func(text string) bool {
		d, err := parseBuilds(text)
		return err == nil && d.Name == p.Name && d.Constraint.Allows(p.Version)
	})
}

// preferredVendor reports whether p's repository outranks all that have the
// package of the installed one's vendor.
func (j *judge) preferredVendor(p, old *Package) bool {
	found := false
	for _, q := range j.universe {
		available := !q.Installed || slices.ContainsFunc(j.universe, func(c *Package) bool {
			return !c.Installed && c.Name == q.Name && c.Arch == q.Arch && c.Version.Compare(q.Version) == 0
		})
		if q.Name == old.Name && q.Vendor == old.Vendor && available && j.u.find(q) >= 0 && j.u.packages[j.u.find(q)] == q {
			found = true
			if j.u.priority[j.u.find(q)] >= p.Priority {
				return false
			}
		}
	}
	return found
}

// builds returns the builds of a name, the best first.
func (j *judge) builds(name string) []*Package {
	var builds []*Package
	for _, p := range j.packages {
		if p.Name == name {
			builds = append(builds, p)
		}
	}
	return builds
}

// groups returns, for each name that shall be at its newest, the ways to that,
// best first; ways that are as good stand together.
func (j *judge) groups() [][][]*Package {
	var groups [][][]*Package
	add := func(replacers, builds []*Package) {
		var group [][]*Package
		if len(replacers) > 0 {
			group = append(group, replacers)
		}
		for _, p := range builds {
			group = append(group, []*Package{p})
		}
		groups = append(groups, group)
	}
	install := slices.Clone(j.request.Install)
	slices.SortFunc(install, compareDependency)
	for _, d := range slices.CompactFunc(install, func(a, b version.Dependency) bool { return a.String() == b.String() }) {
		if len(d.Or) == 0 && len(j.builds(d.Name)) > 0 {
			add(nil, slices.DeleteFunc(j.builds(d.Name), func(p *Package) bool { return !d.Constraint.Allows(p.Version) }))
		}
	}
	for _, name := range j.request.Downgrade {
		old := j.newest(name)
		add(nil, slices.DeleteFunc(j.builds(name), func(p *Package) bool { return p.Version.Compare(old.Version) >= 0 }))
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		old := j.newest(name)
		if old == nil || j.removed(old) || !j.request.UpgradeAll && !slices.Contains(j.request.Upgrade, name) ||
			slices.Contains(j.request.Reinstall, name) || slices.Contains(j.request.Downgrade, name) {
			continue
		}
		newest := old
		for _, p := range j.builds(name) {
			if p.Version.Compare(newest.Version) > 0 {
				newest = p
			}
		}
		add(slices.DeleteFunc(slices.Clone(j.packages), func(p *Package) bool { return !p.replaces(newest) }), j.builds(name))
	}
	return groups
}

// There is a solution exactly if some subset keeps the rules; and no subset is
// better in what the documented preferences count.
func TestAgreesWithBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := genCase(t)
		c.request.NoRecommends = true
		j := newJudge(c)
		var best []int
		var example []*Package
		for chosen := range j.subsets {
			if k := j.grade(chosen).list(); best == nil || slices.Compare(k, best) < 0 {
				best, example = k, chosen
			}
		}
		s, err := Solve(t.Context(), c.universe, c.request)
		var unsolvable *Unsolvable
		switch {
		case fault.ClassOf(err) == fault.Usage: // something to change is not installed
		case err != nil && !errors.As(err, &unsolvable):
			t.Fatal(err)
		case err != nil && best != nil:
			t.Fatalf("%v is a solution, but: %v", example, err)
		case err == nil && best == nil:
			t.Fatalf("there is no solution, but: %s", describe(s, nil))
		case err != nil:
			if len(unsolvable.Reasons) == 0 {
				t.Fatal("a refusal without reasons")
			}
		default:
			if got := j.grade(s.Installed()).list(); slices.Compare(got, best) != 0 || !s.Exact {
				t.Fatalf("graded %v, but %v is graded %v: %s", got, example, best, describe(s, nil))
			}
		}
	})
}

// Recommended packages are added, and nothing else changes by them.
func TestRecommendsOnlyAdd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := genCase(t)
		with, err := Solve(t.Context(), c.universe, c.request)
		c.request.NoRecommends = true
		without, errWithout := Solve(t.Context(), c.universe, c.request)
		if (err == nil) != (errWithout == nil) {
			t.Fatalf("recommends decide whether there is a solution: %v, %v", err, errWithout)
		}
		if err != nil {
			return
		}
		for _, p := range without.Installed() {
			if !slices.Contains(with.Installed(), p) {
				t.Fatalf("%s is missing with recommends: %s", p, describe(with, nil))
			}
		}
		for _, step := range with.Install {
			if strings.Contains(step.Why, "recommended") || strings.Contains(step.Why, "supplements") {
				return
			}
		}
		if len(with.Installed()) != len(without.Installed()) {
			t.Fatalf("something came without a reason: %s", describe(with, nil))
		}
	})
}

// Where a package stands in the universe, and packages nothing leads to, must
// not matter; nor what packages are called, as long as their order is the same.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := genCase(t)
		want := describe(Solve(t.Context(), c.universe, c.request))
		shuffled := rapid.Permutation(c.universe).Draw(t, "order")
		if got := describe(Solve(t.Context(), shuffled, c.request)); got != want {
			t.Fatalf("got\n%swant\n%s", got, want)
		}
		unrelated := append(slices.Clone(c.universe), parsePackage(t, "zzz-unrelated 1.0.0-1"), parsePackage(t, "zzz-other 2.0.0-1 requires zzz-unrelated"))
		if got := describe(Solve(t.Context(), unrelated, c.request)); got != want && !strings.Contains(got, "did you mean") {
			t.Fatalf("with an unrelated package: got\n%swant\n%s", got, want)
		}
		renamed := rename(t, c, func(name string) string { return name + "-new" })
		got := describe(Solve(t.Context(), renamed.universe, renamed.request))
		if strings.ReplaceAll(got, "-new", "") != want && !strings.Contains(got, "did you mean") {
			t.Fatalf("with other names: got\n%swant\n%s", got, want)
		}
	})
}

// With names in another order, another one of equally good solutions may be
// chosen, but not a better or a worse one.
func TestNamesDoNotMatter(t *testing.T) {
	turned := strings.NewReplacer("a", "z", "b", "w", "c", "v", "d", "u", "x", "t", "y", "s")
	rapid.Check(t, func(t *rapid.T) {
		c := genCase(t)
		c.request.NoRecommends = true
		for i, p := range c.universe {
			p.ID = fmt.Sprint(i) // or the names in them would decide between equal builds
		}
		renamed := rename(t, c, turned.Replace)
		s, err := Solve(t.Context(), c.universe, c.request)
		other, otherErr := Solve(t.Context(), renamed.universe, renamed.request)
		if (err == nil) != (otherErr == nil) {
			t.Fatalf("%v, but with other names %v", err, otherErr)
		}
		if err != nil {
			return
		}
		back := map[*Package]*Package{}
		for i, p := range renamed.universe {
			back[p] = c.universe[i]
		}
		var again []*Package
		for _, p := range other.Installed() {
			again = append(again, back[p])
		}
		j := newJudge(c)
		if got, want := j.grade(again).whatever(), j.grade(s.Installed()).whatever(); !slices.Equal(got, want) {
			t.Fatalf("graded %v, with other names %v: %s\n%s\n%+v\n%+v", want, got, describe(s, nil), describe(other, nil), c.request, dump(c.universe))
		}
	})
}

// rename gives every package and capability another name.
func rename(t *rapid.T, c testCase, to func(string) string) testCase {
	dependencies := func(list []version.Dependency) []version.Dependency {
		var renamed []version.Dependency
		for _, d := range list {
			var r []version.Dependency
			for alternative := range d.Alternatives() {
				alternative.Name = to(alternative.Name)
				r = append(r, alternative)
			}
			r[0].Or = r[1:]
			renamed = append(renamed, r[0])
		}
		return renamed
	}
	names := func(list []string) []string {
		var renamed []string
		for _, text := range list {
			end := strings.IndexAny(text+" ", " @")
			renamed = append(renamed, to(text[:end])+text[end:])
		}
		return renamed
	}
	r := testCase{request: c.request}
	for _, p := range c.universe {
		q := *p
		q.Name = to(p.Name)
		q.Requires, q.Conflicts, q.Replaces = dependencies(p.Requires), dependencies(p.Conflicts), dependencies(p.Replaces)
		q.Recommends, q.Supplements = dependencies(p.Recommends), dependencies(p.Supplements)
		q.Provides = nil
		for _, provide := range p.Provides {
			q.Provides = append(q.Provides, version.Provide{Name: to(provide.Name), Version: provide.Version})
		}
		r.universe = append(r.universe, &q)
	}
	r.request.Install, r.request.Pins = dependencies(c.request.Install), dependencies(c.request.Pins)
	for _, list := range []*[]string{&r.request.Remove, &r.request.Upgrade, &r.request.Downgrade, &r.request.Reinstall, &r.request.Hold} {
		*list = names(*list)
	}
	return r
}

func dump(universe []*Package) string {
	var b strings.Builder
	for _, p := range universe {
		fmt.Fprintf(&b, "%s inst=%v prio=%d repo=%s arch=%s io=%v %s\n", p, p.Installed, p.Priority, p.Repo, p.Arch, p.InstallOnly, p.fingerprint())
	}
	return b.String()
}
