package solver

import (
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/version"
)

// Solution is the change that fulfils a request. Every list is sorted by name.
type Solution struct {
	Install []Step     // packages whose name is not installed yet
	Upgrade []Step     // installed packages that change their version, up or down
	Remove  []Step     // packages that go
	Keep    []*Package // installed packages that stay as they are
	Held    []*Package // newer packages that an upgrade asked for and could not take
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

// Empty reports whether there is nothing to do.
func (s *Solution) Empty() bool {
	return len(s.Install)+len(s.Upgrade)+len(s.Remove) == 0
}

// Installed returns all packages that are installed afterwards, by name.
func (s *Solution) Installed() []*Package {
	all := slices.Clone(s.Keep)
	for _, step := range slices.Concat(s.Install, s.Upgrade) {
		all = append(all, step.Package)
	}
	slices.SortFunc(all, func(p, q *Package) int { return strings.Compare(p.Name, q.Name) })
	return all
}

// solution describes the change from what is installed to the chosen packages.
func (pr *problem) solution(chosen []*Package, recommended map[*Package]string) *Solution {
	pool := pr.pool
	s := &Solution{}
	byName := map[string]*Package{}
	for _, p := range chosen {
		byName[p.Name] = p
	}
	for _, p := range chosen {
		old := pool.installed[p.Name]
		switch {
		case p.Installed:
			s.Keep = append(s.Keep, p)
		case old != nil:
			s.Upgrade = append(s.Upgrade, Step{p, old, pr.why(p, chosen, recommended)})
		default:
			s.Install = append(s.Install, Step{p, nil, pr.why(p, chosen, recommended)})
		}
	}
	for _, p := range pool.packages {
		if p.Installed && byName[p.Name] == nil {
			s.Remove = append(s.Remove, pr.removal(p, chosen))
		}
	}
	for _, p := range pr.request.targets(pool) {
		if best := pr.newest(p); best != nil && byName[best.Name] != best {
			if now := byName[p.Name]; now != nil && best.Version.Compare(now.Version) > 0 {
				s.Held = append(s.Held, best)
			}
		}
	}
	return s
}

// why says in three words why p was chosen.
func (pr *problem) why(p *Package, chosen []*Package, recommended map[*Package]string) string {
	for _, d := range pr.request.Install {
		if p.satisfies(d) {
			return "requested"
		}
	}
	for _, target := range pr.request.targets(pr.pool) {
		if target.Name == p.Name {
			return "newer"
		}
		if p.replaces(target) {
			return "replaces " + target.Name
		}
	}
	if by := recommended[p]; by != "" {
		return "recommended by " + by
	}
	old := pr.pool.installed[p.Name]
	var by *Package // of those that need it, the nearest to the request
	for _, q := range chosen {
		needs := slices.ContainsFunc(q.Requires, func(d version.Dependency) bool {
			return p.satisfies(d) && (old == nil || !old.satisfies(d))
		})
		if needs && q != p && (by == nil || pr.pool.distance[q] < pr.pool.distance[by]) {
			by = q
		}
	}
	if by != nil {
		return "needed by " + by.Name
	}
	if old != nil {
		if d, lost := lostRequirement(old, chosen); lost {
			return fmt.Sprintf("%s needs %s", old.Version, d)
		}
	}
	return "fits the rest"
}

// lostRequirement returns a requirement of p that the chosen packages do not
// fulfil.
func lostRequirement(p *Package, chosen []*Package) (version.Dependency, bool) {
	for _, d := range p.Requires {
		if !slices.ContainsFunc(chosen, func(q *Package) bool { return q.satisfies(d) }) {
			return d, true
		}
	}
	return version.Dependency{}, false
}

func (pr *problem) removal(p *Package, chosen []*Package) Step {
	if slices.Contains(pr.request.Remove, p.Name) {
		return Step{Package: p, Why: "requested"}
	}
	for _, q := range chosen {
		if q.replaces(p) {
			return Step{Package: p, Why: "replaced by " + q.Name}
		}
	}
	if d, lost := lostRequirement(p, chosen); lost {
		return Step{Package: p, Why: fmt.Sprintf("it needs %s", d)}
	}
	return Step{Package: p, Why: "it conflicts with the rest"}
}
