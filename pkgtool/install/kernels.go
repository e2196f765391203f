package install

import (
	"bytes"
	"maps"
	"slices"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/system"

	"golang.org/x/sys/unix"
)

// keptBuilds is how many builds of an install-only package stay when another
// one comes: the new one, the one that ran well, and one more.
const keptBuilds = 3

// oldBuilds lists the builds of install-only packages that go because a
// solution adds newer ones. The newest stay, and the running kernel.
func (p *Plan) oldBuilds(solution *solver.Solution) ([]*solver.Package, error) {
	coming := map[string]bool{}
	for _, s := range solution.Install {
		if s.Package.InstallOnly {
			coming[s.Package.Name] = true
		}
	}
	var old []*solver.Package
	for _, name := range slices.Sorted(maps.Keys(coming)) {
		var builds []*solver.Package
		for _, q := range solution.Installed() {
			if q.Name == name {
				builds = append(builds, q)
			}
		}
		slices.SortFunc(builds, func(a, b *solver.Package) int { return b.Version.Compare(a.Version) })
		for _, q := range builds[min(keptBuilds, len(builds)):] {
			r := p.universe.records[q]
			if r == nil {
				continue
			}
			running, err := p.session.runs(*r)
			if err != nil {
				return nil, err
			}
			if !running {
				old = append(old, q)
			}
		}
	}
	return old, nil
}

// protectRunning notes which builds would go although their kernel is running:
// without its modules it can load no driver any more.
func (p *Plan) protectRunning() error {
	for _, step := range p.Steps {
		if step.Do != "remove" {
			continue
		}
		for _, r := range p.session.system.Builds(step.Name) {
			if !r.InstallOnly || r.Version.String() != step.Version {
				continue
			}
			running, err := p.session.runs(r)
			if err != nil {
				return err
			}
			if running {
				p.Protected = append(p.Protected, step.Name+" "+step.Version)
			}
		}
	}
	return nil
}

// runs reports whether a package holds the modules of the running kernel.
func (s *Session) runs(r system.Record) (bool, error) {
	release := s.opts.Kernel
	if release == "" {
		var name unix.Utsname
		if err := unix.Uname(&name); err != nil {
			return false, err
		}
		release = string(bytes.TrimRight(name.Release[:], "\x00"))
	}
	m, err := s.system.Manifest(r)
	if err != nil {
		return false, err
	}
	folder := "usr/lib/modules/" + release
	return slices.ContainsFunc(m.Files, func(f pkgfile.File) bool { return f.Path == folder }), nil
}
