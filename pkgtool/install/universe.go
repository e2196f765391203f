package install

import (
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
	packages []*solver.Package
	entries  map[*solver.Package]client.Entry
	files    map[*solver.Package]*packageFile
}

// relations are the dependency fields that records, entries and manifests share.
type relations struct{ requires, provides, conflicts, replaces, recommends []string }

func (r relations) into(p *solver.Package) (err error) {
	for _, list := range []struct {
		texts []string
		into  *[]version.Dependency
	}{{r.requires, &p.Requires}, {r.conflicts, &p.Conflicts}, {r.replaces, &p.Replaces}, {r.recommends, &p.Recommends}} {
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

func newUniverse() *universe {
	return &universe{entries: map[*solver.Package]client.Entry{}, files: map[*solver.Package]*packageFile{}}
}

func (u *universe) addInstalled(records []system.Record) error {
	for _, r := range records {
		p := &solver.Package{Name: r.Name, Version: r.Version, Arch: r.Arch, Installed: true, Requested: r.Requested, ID: r.Manifest}
		if err := (relations{r.Requires, r.Provides, r.Conflicts, r.Replaces, r.Recommends}).into(p); err != nil {
			return err
		}
		u.packages = append(u.packages, p)
	}
	return nil
}

func (u *universe) addEntries(entries []client.Entry) error {
	for _, e := range entries {
		v, err := e.EVR()
		if err != nil {
			return fmt.Errorf("repository %s: %w", e.Repo, err)
		}
		p := &solver.Package{Name: e.Name, Version: v, Arch: e.Arch, Repo: e.Repo, Priority: e.Priority, ID: e.Manifest}
		if err := (relations{e.Requires, e.Provides, e.Conflicts, e.Replaces, e.Recommends}).into(p); err != nil {
			return fmt.Errorf("repository %s: %w", e.Repo, err)
		}
		u.packages = append(u.packages, p)
		u.entries[p] = e
	}
	return nil
}

// addFile adds a package file and returns the dependency that means exactly it.
func (u *universe) addFile(f *packageFile) (version.Dependency, error) {
	m := f.Manifest()
	v, err := m.EVR()
	if err != nil {
		return version.Dependency{}, err
	}
	p := &solver.Package{Name: m.Name, Version: v, Arch: m.Arch, Priority: math.MaxInt, ID: f.ManifestSHA256()}
	if err := (relations{m.Requires, m.Provides, m.Conflicts, m.Replaces, m.Recommends}).into(p); err != nil {
		return version.Dependency{}, err
	}
	u.packages = append(u.packages, p)
	u.files[p] = f
	return version.ParseDependency(fmt.Sprintf("%s =%s", m.Name, v))
}

// packageFile is a package given by its path.
type packageFile struct {
	*pkgfile.Package
	repo string // whose packagers signed it; "" if a key that the caller trusts did
}
