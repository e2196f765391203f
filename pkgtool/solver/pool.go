package solver

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"ashlar/pkgtool/version"
)

// pool is the part of the universe that can matter for a request, in an order
// that depends on the packages only.
type pool struct {
	packages  []*Package
	installed map[string]*Package // by name
	byName    map[string][]*Package
	providers map[string][]*Package // by the names of provides
	replacers map[string][]*Package // by the names of what they replace
	priority  map[*Package]int
	distance  map[*Package]int // steps of requires from the request
}

// newPool sorts and indexes the universe, without foreign architectures and
// without repository copies of what is installed.
func newPool(universe []*Package, arch string) *pool {
	type build struct{ name, version, arch string }
	identity := func(p *Package) build { return build{p.Name, p.Version.String(), p.Arch} }
	installed := map[build]bool{}
	best := map[build]int{}
	for _, p := range universe {
		if p.Installed {
			installed[identity(p)] = true
		} else if old, ok := best[identity(p)]; !ok || p.Priority > old {
			best[identity(p)] = p.Priority
		}
	}
	pl := &pool{installed: map[string]*Package{}, priority: map[*Package]int{}}
	for _, p := range universe {
		switch {
		case p.Installed:
			// An installed build is worth what its repository is worth; one
			// that no repository has any more is the last choice.
			pl.priority[p] = math.MinInt
			if priority, ok := best[identity(p)]; ok {
				pl.priority[p] = priority
			}
			pl.installed[p.Name] = p
		case installed[identity(p)], arch != "" && p.Arch != arch && p.Arch != "noarch":
			continue
		default:
			pl.priority[p] = p.Priority
		}
		pl.packages = append(pl.packages, p)
	}
	slices.SortStableFunc(pl.packages, pl.compareIdentity)
	pl.index()
	return pl
}

func (pl *pool) index() {
	pl.byName = map[string][]*Package{}
	pl.providers = map[string][]*Package{}
	pl.replacers = map[string][]*Package{}
	for _, p := range pl.packages {
		pl.byName[p.Name] = append(pl.byName[p.Name], p)
		for _, provide := range p.Provides {
			if list := pl.providers[provide.Name]; provide.Name != p.Name && (len(list) == 0 || list[len(list)-1] != p) {
				pl.providers[provide.Name] = append(list, p)
			}
		}
		for _, d := range p.Replaces {
			pl.replacers[d.Name] = append(pl.replacers[d.Name], p)
		}
	}
}

// compareIdentity is a total order: by name, the better build first.
func (pl *pool) compareIdentity(p, q *Package) int {
	return cmp.Or(
		strings.Compare(p.Name, q.Name),
		pl.comparePreference(p, q),
		strings.Compare(p.Repo, q.Repo),
		strings.Compare(p.Arch, q.Arch),
		strings.Compare(p.ID, q.ID),
	)
}

// comparePreference puts the better of two builds first: that of the preferred
// repository, then the newer.
func (pl *pool) comparePreference(p, q *Package) int {
	return cmp.Or(cmp.Compare(pl.priority[q], pl.priority[p]), q.Version.Compare(p.Version))
}

// satisfying returns the packages that fulfil d, those of that name first.
func (pl *pool) satisfying(d version.Dependency) []*Package {
	var found []*Package
	for _, list := range [][]*Package{pl.byName[d.Name], pl.providers[d.Name]} {
		for _, p := range list {
			if p.satisfies(d) {
				found = append(found, p)
			}
		}
	}
	return found
}

// named returns the packages that a request means by d: those of that name,
// and only if there is none of that name, those that provide it.
func (pl *pool) named(d version.Dependency) []*Package {
	if len(pl.byName[d.Name]) == 0 {
		return pl.satisfying(d)
	}
	var found []*Package
	for _, p := range pl.byName[d.Name] {
		if d.Constraint.Allows(p.Version) {
			found = append(found, p)
		}
	}
	return found
}

// restrict drops what no chain of requires and recommends from the request and
// from the installed packages reaches.
func (pl *pool) restrict(request Request) {
	pl.distance = map[*Package]int{}
	var queue []*Package
	reach := func(distance int, packages ...*Package) {
		for _, p := range packages {
			if _, seen := pl.distance[p]; !seen {
				pl.distance[p] = distance
				queue = append(queue, p)
			}
		}
	}
	for _, d := range request.Install {
		reach(0, pl.named(d)...)
	}
	for _, target := range request.targets(pl) {
		reach(0, pl.byName[target.Name]...)
		reach(0, pl.replacersOf(target)...)
	}
	for _, p := range pl.packages {
		if p.Installed {
			reach(1, pl.byName[p.Name]...)
		}
	}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		for _, d := range slices.Concat(p.Requires, p.Recommends) {
			reach(pl.distance[p]+1, pl.satisfying(d)...)
		}
	}
	pl.packages = slices.DeleteFunc(pl.packages, func(p *Package) bool {
		_, reached := pl.distance[p]
		return !reached
	})
	pl.index()
}

// replacersOf returns the packages that replace the newest build of an
// installed package. Those that replaced only older builds do not count: the
// name has come back since.
func (pl *pool) replacersOf(old *Package) []*Package {
	newest := old
	for _, p := range pl.byName[old.Name] {
		if p.Version.Compare(newest.Version) > 0 {
			newest = p
		}
	}
	var found []*Package
	for _, p := range pl.replacers[old.Name] {
		if p.replaces(newest) && !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found
}
