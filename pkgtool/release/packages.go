package release

import (
	"context"
	"fmt"
	"slices"

	"ashlar/iso"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/version"
)

// packageSet are opened packages, and the same as the solver sees them.
type packageSet struct {
	opened   []*pkgfile.Package
	universe []*solver.Package
	byID     map[string]*pkgfile.Package
}

func (s *packageSet) close() {
	for _, p := range s.opened {
		p.Close()
	}
}

func (s *packageSet) add(p *pkgfile.Package) error {
	sp, err := describe(p)
	if err != nil {
		return fmt.Errorf("package %s: %w", p.Manifest().FileName(), err)
	}
	s.universe = append(s.universe, sp)
	s.byID[sp.ID] = p
	return nil
}

// describe is a package as the solver sees it.
func describe(p *pkgfile.Package) (*solver.Package, error) {
	m := p.Manifest()
	evr, err := m.EVR()
	if err != nil {
		return nil, err
	}
	sp := &solver.Package{Name: m.Name, Version: evr, Arch: m.Arch, Repo: "release", ID: p.ManifestSHA256()}
	for _, list := range []struct {
		texts []string
		into  *[]version.Dependency
	}{{m.Requires, &sp.Requires}, {m.Conflicts, &sp.Conflicts}, {m.Replaces, &sp.Replaces}, {m.Recommends, &sp.Recommends}} {
		for _, text := range list.texts {
			d, err := version.ParseDependency(text)
			if err != nil {
				return nil, err
			}
			*list.into = append(*list.into, d)
		}
	}
	for _, text := range m.Provides {
		provide, err := version.ParseProvide(text)
		if err != nil {
			return nil, err
		}
		sp.Provides = append(sp.Provides, provide)
	}
	return sp, nil
}

// solve returns the packages of the image's live system, by name.
func (s *packageSet) solve(ctx context.Context, image *iso.Image) ([]*pkgfile.Package, error) {
	wanted, err := image.Dependencies()
	if err != nil {
		return nil, err
	}
	solution, err := solver.Solve(ctx, s.universe, solver.Request{Install: wanted, Arch: "x86_64"})
	if err != nil {
		return nil, err
	}
	var packages []*pkgfile.Package
	for _, p := range solution.Installed() {
		packages = append(packages, s.byID[p.ID])
	}
	return packages, nil
}

// named returns the packages with these names.
func (s *packageSet) named(names []string) ([]*pkgfile.Package, error) {
	var packages []*pkgfile.Package
	for _, name := range names {
		i := slices.IndexFunc(s.opened, func(p *pkgfile.Package) bool { return p.Manifest().Name == name })
		if i < 0 {
			return nil, fmt.Errorf("package %s was not built", name)
		}
		packages = append(packages, s.opened[i])
	}
	return packages, nil
}

// title is a package's name and version, for people.
func title(p *pkgfile.Package) string {
	m := p.Manifest()
	if evr, err := m.EVR(); err == nil {
		return m.Name + " " + evr.String()
	}
	return m.Name
}
