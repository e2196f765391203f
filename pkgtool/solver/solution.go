package solver

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// Solution is the change that fulfils a request. Every list is sorted by name
// and version.
type Solution struct {
	Install   []Step     // packages whose name is not installed yet, and builds that come beside others
	Upgrade   []Step     // installed packages that change their version, up or down
	Remove    []Step     // packages that go
	Reinstall []Step     // packages that are installed again as they are
	Keep      []*Package // installed packages that stay as they are; those to reinstall too
	Held      []Held     // newer packages that an upgrade asked for and could not take
	Exact     bool       // the solution is proved to be the best; if not, it is a valid one
}

// Step is one package's part in a solution.
type Step struct {
	Package *Package // the new package; for a removal the one that goes
	From    *Package // what it takes the place of, if anything
	Why     string   // "requested", "needed by x", "recommended by x", "replaced by x", ...
}

// Downgrade reports whether the step goes to an older version.
func (s Step) Downgrade() bool {
	return s.From != nil && s.From.Name == s.Package.Name && s.Package.Version.Compare(s.From.Version) < 0
}

// Held is a newer package that an upgrade does not take.
type Held struct {
	*Package          // the newer package
	From     *Package // what stays instead
	Why      string
}

// Empty reports whether there is nothing to do.
func (s *Solution) Empty() bool {
	return len(s.Install)+len(s.Upgrade)+len(s.Remove)+len(s.Reinstall) == 0
}

// Installed returns all packages that are installed afterwards, by name and
// version.
func (s *Solution) Installed() []*Package {
	all := slices.Clone(s.Keep)
	for _, step := range slices.Concat(s.Install, s.Upgrade) {
		all = append(all, step.Package)
	}
	slices.SortFunc(all, compareNameVersion)
	return all
}

func compareNameVersion(p, q *Package) int {
	return cmp.Or(strings.Compare(p.Name, q.Name), p.Version.Compare(q.Version))
}

// solution describes the change from what is installed to the best solution with
// its additions.
func (pr *problem) solution(ctx context.Context, more *additions) (*Solution, error) {
	u := pr.universe
	s := &Solution{Exact: pr.exact}
	r := pr.newReasons(more)
	chosen := slices.Concat(r.chosen, more.packages)
	after := map[int32]bool{}
	for _, i := range chosen {
		after[i] = true
	}
	taken := map[int32]bool{} // installed builds whose place another build takes
	for _, i := range chosen {
		p := u.packages[i]
		if p.Installed {
			s.Keep = append(s.Keep, p)
			if slices.Contains(pr.request.Reinstall, p.Name) {
				s.Reinstall = append(s.Reinstall, Step{u.packages[u.copiesOf(i)[0]], p, "requested"})
			}
			continue
		}
		step := Step{Package: p, Why: r.why(i)}
		for _, j := range u.installedBuilds(p.Name) {
			if old := u.packages[j]; !after[j] && p.excludes(old) && step.From == nil {
				step.From = old
				taken[j] = true
			}
		}
		if step.From != nil {
			s.Upgrade = append(s.Upgrade, step)
		} else {
			s.Install = append(s.Install, step)
		}
	}
	for _, i := range u.installed {
		if !after[i] && !taken[i] {
			s.Remove = append(s.Remove, Step{Package: u.packages[i], Why: r.whyRemoved(i)})
		}
	}
	for _, list := range []*[]Step{&s.Install, &s.Upgrade, &s.Remove, &s.Reinstall} {
		slices.SortFunc(*list, func(a, b Step) int { return compareNameVersion(a.Package, b.Package) })
	}
	slices.SortFunc(s.Keep, compareNameVersion)
	err := pr.addHeld(ctx, s, after)
	return s, err
}

// mostExplained bounds how many packages held back get a reason of their own:
// each takes a search.
const mostExplained = 50

// addHeld notes which newer packages an upgrade does not take, and why not.
func (pr *problem) addHeld(ctx context.Context, s *Solution, after map[int32]bool) error {
	u := pr.universe
	for _, old := range pr.request.targets(u) {
		var now *Package
		for _, i := range u.builds.of(u.number(old.Name)) {
			if p := u.packages[i]; after[i] && (now == nil || p.Version.Compare(now.Version) > 0) {
				now = p
			}
		}
		if now == nil { // replaced or removed, which is told elsewhere
			continue
		}
		for _, i := range u.builds.of(u.number(old.Name)) {
			p := u.packages[i]
			if after[i] || !p.fits(pr.request.Arch) || p.Version.Compare(now.Version) <= 0 {
				continue
			}
			why := "it does not fit the rest"
			if len(s.Held) < mostExplained {
				var err error
				if why, err = pr.whyHeld(ctx, p, old); err != nil {
					return err
				}
			}
			s.Held = append(s.Held, Held{p, now, why})
			break
		}
	}
	return nil
}
