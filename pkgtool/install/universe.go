package install

import (
	"cmp"
	"fmt"
	"math"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/version"
)

// universe is what the solver chooses from, and where each choice comes from.
type universe struct {
	packages  []*solver.Package
	installed map[string][]*solver.Package // by name
	entries   map[*solver.Package]client.Entry
	files     map[*solver.Package]*packageFile
	records   map[*solver.Package]*system.Record
	known     map[entryKey]bool
}

// entryKey tells packages on offer apart.
type entryKey struct{ repo, path string }

// packageFile is a package given by its path or URL.
type packageFile struct {
	*pkgfile.Package
	repo string // whose packagers signed it; "" if a key that the caller trusts did
}

// relations are the dependency fields that records, entries and manifests share.
type relations struct{ requires, provides, conflicts, replaces, recommends, supplements []string }

func (r relations) into(p *solver.Package) (err error) {
	for _, list := range []struct {
		texts []string
		into  *[]version.Dependency
	}{{r.requires, &p.Requires}, {r.conflicts, &p.Conflicts}, {r.replaces, &p.Replaces}, {r.recommends, &p.Recommends}, {r.supplements, &p.Supplements}} {
		if len(list.texts) > 0 {
			*list.into = make([]version.Dependency, 0, len(list.texts))
		}
		for _, text := range list.texts {
			d, err := version.ParseDependency(text)
			if err != nil {
				return fmt.Errorf("package %s: %w", p.Name, err)
			}
			*list.into = append(*list.into, d)
		}
	}
	for _, text := range r.provides {
		provide, err := version.ParseProvide(text)
		if err != nil {
			return fmt.Errorf("package %s: %w", p.Name, err)
		}
		p.Provides = append(p.Provides, provide)
	}
	return nil
}

// newUniverse holds what is installed. priorities are those of the enabled
// repositories, by name.
func newUniverse(records []system.Record, priorities map[string]int) (*universe, error) {
	u := &universe{installed: map[string][]*solver.Package{}, entries: map[*solver.Package]client.Entry{},
		files: map[*solver.Package]*packageFile{}, records: map[*solver.Package]*system.Record{}, known: map[entryKey]bool{}}
	for i := range records {
		r := &records[i]
		p := installedPackage(r, priorities)
		if err := (relations{r.Requires, r.Provides, r.Conflicts, r.Replaces, r.Recommends, r.Supplements}).into(p); err != nil {
			return nil, err
		}
		u.packages = append(u.packages, p)
		u.installed[r.Name] = append(u.installed[r.Name], p)
		u.records[p] = r
	}
	return u, nil
}

// installedPackage is an installed package without its relations. It is worth
// what its repository is worth while that is enabled.
func installedPackage(r *system.Record, priorities map[string]int) *solver.Package {
	p := &solver.Package{Name: r.Name, Version: r.Version, Arch: r.Arch, InstallOnly: r.InstallOnly, Vendor: r.Vendor,
		Installed: true, Requested: r.Requested, ID: r.Manifest}
	if priority, on := priorities[r.Repo]; on {
		p.Repo, p.Priority = r.Repo, priority
	}
	return p
}

// newest is the newest installed build of a name, or nil.
func (u *universe) newest(name string) *solver.Package {
	var newest *solver.Package
	for _, p := range u.installed[name] {
		if newest == nil || p.Version.Compare(newest.Version) > 0 {
			newest = p
		}
	}
	return newest
}

// addEntry adds a package on offer; nil if it is there already or for another
// architecture.
func (u *universe) addEntry(e client.Entry) (*solver.Package, error) {
	key := entryKey{e.Repo, e.Path}
	if u.known[key] || e.Arch != Arch && e.Arch != "noarch" {
		return nil, nil
	}
	u.known[key] = true
	p, err := Offered(e)
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", e.Repo, err)
	}
	u.packages = append(u.packages, p)
	u.entries[p] = e
	return p, nil
}

// Offered is a package on offer as the solver sees it.
func Offered(e client.Entry) (*solver.Package, error) {
	v, err := e.EVR()
	if err != nil {
		return nil, err
	}
	p := &solver.Package{Name: e.Name, Version: v, Arch: e.Arch, Repo: e.Repo, Priority: e.Priority, InstallOnly: e.InstallOnly, Vendor: e.Vendor, ID: e.Manifest}
	return p, (relations{e.Requires, e.Provides, e.Conflicts, e.Replaces, e.Recommends, e.Supplements}).into(p)
}

// addFile adds a package file and returns the dependency that means exactly it.
func (u *universe) addFile(f *packageFile) (version.Dependency, error) {
	m := f.Manifest()
	v, err := m.EVR()
	if err != nil {
		return version.Dependency{}, err
	}
	if m.Arch != Arch && m.Arch != "noarch" {
		return version.Dependency{}, fmt.Errorf("package %s is for %s; this system is %s", m.Name, m.Arch, Arch)
	}
	p := &solver.Package{Name: m.Name, Version: v, Arch: m.Arch, Repo: f.repo, Priority: math.MaxInt, InstallOnly: m.InstallOnly, Vendor: m.Vendor, ID: f.ManifestSHA256()}
	if err := (relations{m.Requires, m.Provides, m.Conflicts, m.Replaces, m.Recommends, m.Supplements}).into(p); err != nil {
		return version.Dependency{}, err
	}
	u.packages = append(u.packages, p)
	u.files[p] = f
	return exactly(m.Name, v)
}

// exactly is the dependency on one build.
func exactly(name string, v version.Version) (version.Dependency, error) {
	return version.ParseDependency(fmt.Sprintf("%s =%s", name, v))
}

// forget takes an installed package out of the universe, so that another build
// of the same version can be chosen.
func (u *universe) forget(p *solver.Package) {
	drop := func(list []*solver.Package) []*solver.Package {
		var kept []*solver.Package
		for _, q := range list {
			if q != p {
				kept = append(kept, q)
			}
		}
		return kept
	}
	u.packages, u.installed[p.Name] = drop(u.packages), drop(u.installed[p.Name])
}

// worth is the priority that an installed package has: its repository's, or
// that of a repository which has the same version; if there is none, the lowest.
func worth(p *solver.Package, offers []client.Entry) int {
	priority := math.MinInt
	if p.Repo != "" {
		priority = p.Priority
	}
	for _, e := range offers {
		if v, err := e.EVR(); err == nil && e.Arch == p.Arch && v.Compare(p.Version) == 0 {
			priority = max(priority, e.Priority)
		}
	}
	return priority
}

// better reports whether an upgrade of p could take e.
func better(p *solver.Package, priority int, e client.Entry) bool {
	v, err := e.EVR()
	if err != nil || e.Arch != Arch && e.Arch != "noarch" {
		return false
	}
	order := v.Compare(p.Version)
	if order < 0 || order == 0 && e.Manifest == p.ID {
		return false
	}
	return cmp.Or(cmp.Compare(e.Priority, priority), order) > 0
}
