package solver

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"

	"ashlar/pkgtool/version"
)

// Universe is an indexed set of packages: those of all repositories and those
// installed. It never changes and can serve any number of requests at a time.
// Nothing that follows from it depends on the order of the packages.
type Universe struct {
	packages []*Package
	names    map[string]int32 // numbers of all names that anything has, provides or talks about
	name     []int32          // by package: its name's number
	priority []int            // by package: what its repository is worth

	builds        lists // by name: the packages of that name, the best first
	providers     lists // by name: packages of other names that provide it
	replacers     lists // by name: packages that replace it
	conflictors   lists // by name: packages that conflict with it
	supplementers lists // by name: packages that supplement it

	before    []*Package        // what is installed, as it was given
	installed []int32           // in order of identity
	copies    map[int32][]int32 // by installed package: the same build in repositories, the best first

	scratches sync.Pool
}

// NewUniverse indexes packages, which must not change afterwards. A package of a
// repository that is the same build as an installed one is no choice of its
// own; it says what the installed one is worth and serves to reinstall it.
func NewUniverse(packages []*Package) *Universe {
	u := &Universe{packages: packages, names: make(map[string]int32, len(packages)*2), copies: map[int32][]int32{}}
	u.name = make([]int32, len(packages))
	u.priority = make([]int, len(packages))
	all := make([]int32, len(packages))
	for i, p := range packages {
		u.name[i] = u.intern(p.Name)
		u.priority[i] = p.Priority
		all[i] = int32(i)
	}
	u.builds = newLists(len(u.names), u.name, all)
	dropped := make([]bool, len(packages))
	for key := range int32(len(u.names)) {
		u.arrangeBuilds(key, dropped)
	}
	u.indexRelations(dropped)
	for i, p := range packages {
		if p.Installed {
			u.before = append(u.before, p)
		}
		if p.Installed && !dropped[i] {
			u.installed = append(u.installed, int32(i))
		}
	}
	slices.SortFunc(u.installed, u.compareIdentity)
	return u
}

// intern returns the number of a name.
func (u *Universe) intern(name string) int32 {
	if id, ok := u.names[name]; ok {
		return id
	}
	id := int32(len(u.names))
	u.names[name] = id
	return id
}

// number returns the number of a name, or -1 if nothing has to do with it.
func (u *Universe) number(name string) int32 {
	if id, ok := u.names[name]; ok {
		return id
	}
	return -1
}

// arrangeBuilds sorts the builds of one name and sets aside repository copies of
// what is installed, and packages that occur twice.
func (u *Universe) arrangeBuilds(key int32, dropped []bool) {
	builds := u.builds.of(key)
	if len(builds) == 1 {
		if i := builds[0]; u.packages[i].Installed && u.packages[i].Repo == "" {
			u.priority[i] = math.MinInt
		}
		return
	}
	for _, i := range builds {
		p := u.packages[i]
		if !p.Installed {
			continue
		}
		// An installed build is worth what its repository is worth; one that no
		// repository has any more is the last choice.
		if p.Repo == "" {
			u.priority[i] = math.MinInt
		}
		for _, j := range builds {
			q := u.packages[j]
			if q.Installed || q.Arch != p.Arch || q.Version.Compare(p.Version) != 0 {
				continue
			}
			u.priority[i] = max(u.priority[i], q.Priority)
			if q.ID == p.ID || q.ID == "" || p.ID == "" {
				u.copies[i] = append(u.copies[i], j)
				dropped[j] = true
			}
		}
		slices.SortFunc(u.copies[i], u.comparePreference)
	}
	slices.SortFunc(builds, u.comparePreference)
	kept := builds[:0]
	for n, i := range builds {
		if n > 0 && !dropped[i] && u.comparePreference(builds[n-1], i) == 0 {
			dropped[i] = true
		}
		if !dropped[i] {
			kept = append(kept, i)
		}
	}
	u.builds.shorten(key, len(kept))
}

// indexRelations notes who provides, replaces, conflicts with and supplements
// what.
func (u *Universe) indexRelations(dropped []bool) {
	var provides, replaces, conflicts, supplements struct{ keys, values []int32 }
	for i, p := range u.packages {
		if dropped[i] {
			continue
		}
		for n, provide := range p.Provides {
			if provide.Name != p.Name && !slices.ContainsFunc(p.Provides[:n], func(o version.Provide) bool { return o.Name == provide.Name }) {
				provides.keys = append(provides.keys, u.intern(provide.Name))
				provides.values = append(provides.values, int32(i))
			}
		}
		for _, relation := range []struct {
			list []version.Dependency
			to   *struct{ keys, values []int32 }
		}{{p.Replaces, &replaces}, {p.Conflicts, &conflicts}, {p.Supplements, &supplements}} {
			for _, d := range relation.list {
				for alternative := range d.Alternatives() {
					relation.to.keys = append(relation.to.keys, u.intern(alternative.Name))
					relation.to.values = append(relation.to.values, int32(i))
				}
			}
		}
	}
	n := len(u.names)
	for missing := n - len(u.builds.start); missing > 0; missing-- { // names of no package
		u.builds.start, u.builds.end = append(u.builds.start, 0), append(u.builds.end, 0)
	}
	for _, index := range []struct {
		into *lists
		from struct{ keys, values []int32 }
	}{{&u.providers, provides}, {&u.replacers, replaces}, {&u.conflictors, conflicts}, {&u.supplementers, supplements}} {
		*index.into = newLists(n, index.from.keys, index.from.values)
		for key := range int32(n) {
			if list := index.into.of(key); len(list) > 1 {
				slices.SortFunc(list, u.compareIdentity)
				index.into.shorten(key, len(slices.Compact(list)))
			}
		}
	}
}

// compareIdentity is a total order of packages: by name, the better build first.
func (u *Universe) compareIdentity(i, j int32) int {
	if i == j {
		return 0
	}
	if u.name[i] != u.name[j] {
		return strings.Compare(u.packages[i].Name, u.packages[j].Name)
	}
	return u.comparePreference(i, j)
}

// comparePreference puts the better of two builds of a name first: that of the
// preferred repository, then the newer one, then the installed one. It is 0 only
// for packages that are equal in everything.
func (u *Universe) comparePreference(i, j int32) int {
	p, q := u.packages[i], u.packages[j]
	if order := cmp.Or(
		cmp.Compare(u.priority[j], u.priority[i]),
		q.Version.Compare(p.Version),
		compareBool(q.Installed, p.Installed),
	); order != 0 {
		return order
	}
	if order := cmp.Or(strings.Compare(p.Repo, q.Repo), strings.Compare(p.Arch, q.Arch), strings.Compare(p.ID, q.ID)); order != 0 {
		return order
	}
	return strings.Compare(p.fingerprint(), q.fingerprint())
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// satisfying returns the packages that fulfil d: alternative by alternative,
// those of that name first.
func (u *Universe) satisfying(d version.Dependency) []int32 {
	var found []int32
	for alternative := range d.Alternatives() {
		key := u.number(alternative.Name)
		if key < 0 {
			continue
		}
		before := len(found)
		for _, i := range u.builds.of(key) {
			if u.packages[i].satisfies(alternative) {
				found = append(found, i)
			}
		}
		for _, i := range u.providers.of(key) {
			if u.packages[i].satisfies(alternative) {
				found = append(found, i)
			}
		}
		if before > 0 { // a package can fulfil several alternatives
			kept := found[:before]
			for _, i := range found[before:] {
				if !slices.Contains(kept, i) {
					kept = append(kept, i)
				}
			}
			found = kept
		}
	}
	return found
}

// named returns the packages that a request means by d: those of that name,
// and only if there is none of that name, those that provide it.
func (u *Universe) named(d version.Dependency) []int32 {
	var found []int32
	for alternative := range d.Alternatives() {
		builds := u.builds.of(u.number(alternative.Name))
		if len(builds) == 0 {
			found = append(found, u.satisfying(alternative)...)
		}
		for _, i := range builds {
			if alternative.Constraint.Allows(u.packages[i].Version) {
				found = append(found, i)
			}
		}
	}
	return found
}

// installedBuilds returns the installed builds of a name, the best first.
func (u *Universe) installedBuilds(name string) []int32 {
	var found []int32
	for _, i := range u.builds.of(u.number(name)) {
		if u.packages[i].Installed {
			found = append(found, i)
		}
	}
	return found
}

// newestInstalled returns the newest installed build of a name, or nil.
func (u *Universe) newestInstalled(name string) *Package {
	var newest *Package
	for _, i := range u.installedBuilds(name) {
		if p := u.packages[i]; newest == nil || p.Version.Compare(newest.Version) > 0 {
			newest = p
		}
	}
	return newest
}
