package install

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/version"
)

// wordWorld asks for what a world file lists and the system does not have. What
// it has stays as it is, unless everything is to be brought up to date. What
// nobody needs then goes when that is known.
func (p *Plan) wordWorld() error {
	w := p.request.World
	var err error
	if p.wishes, err = w.dependencies(); err != nil {
		return err
	}
	if w.Recommends != nil && !*w.Recommends {
		p.ask.request.NoRecommends = true
	}
	for _, d := range p.wishes {
		if !p.request.UpgradeAll && p.hasAlready(d) {
			p.ask.request.Pins = append(p.ask.request.Pins, d)
		} else {
			p.ask.request.Install = append(p.ask.request.Install, d)
		}
	}
	return nil
}

// hasAlready reports whether an installed package of the name that a wish names
// fulfils it.
func (p *Plan) hasAlready(d version.Dependency) bool {
	return len(d.Or) == 0 && slices.ContainsFunc(p.ask.records, func(r system.Record) bool {
		return r.Name == d.Name && d.Constraint.Allows(r.Version)
	})
}

// fulfilWorld solves again with every wish if a solution has lost one that the
// system fulfilled already.
func (p *Plan) fulfilWorld(ctx context.Context, solution *solver.Solution) (*solver.Solution, error) {
	after := solution.Installed()
	for _, d := range p.wishes {
		if !slices.ContainsFunc(after, func(q *solver.Package) bool { return means(d, q) }) {
			p.ask.request.Install, p.ask.request.Pins = p.wishes, nil
			return p.solve(ctx)
		}
	}
	return solution, nil
}

// wordLock asks for exactly the packages of a lock file, each by its hash. The
// solver proves that they fit together.
func (p *Plan) wordLock() error {
	p.ask.locked = p.request.Lock
	p.ask.request.NoRecommends = true
	listed := map[string]*LockedPackage{}
	for i := range p.ask.locked.Packages {
		want := &p.ask.locked.Packages[i]
		d, err := exactly(want.Name, want.Version)
		if err != nil {
			return err
		}
		p.ask.request.Install = append(p.ask.request.Install, d)
		listed[want.String()] = want
	}
	for _, r := range p.session.system.Installed() {
		switch want := listed[r.Name+" "+r.Version.String()]; {
		case want != nil && want.Manifest != r.Manifest:
			p.ask.replaced = append(p.ask.replaced, r)
		case want == nil && !p.othersLocked(r):
			p.ask.request.Remove = append(p.ask.request.Remove, r.Name+" ="+r.Version.String())
		}
	}
	return nil
}

// othersLocked reports whether the lock file has another version that takes the
// place of an installed build.
func (p *Plan) othersLocked(r system.Record) bool {
	return !r.InstallOnly && slices.ContainsFunc(p.ask.locked.Packages, func(l LockedPackage) bool { return l.Name == r.Name })
}

// wordReinstall decides for each package to reinstall whether its files are
// restored, or another build of the same version takes its place.
func (p *Plan) wordReinstall() error {
	for _, name := range p.request.Reinstall {
		r := p.session.system.Package(name)
		if r == nil {
			return notInstalled(name)
		}
		same, other := false, false
		for _, e := range p.session.client.ByName(name) {
			if v, err := e.EVR(); err == nil && v.Compare(r.Version) == 0 && e.Arch == r.Arch {
				same = same || e.Manifest == r.Manifest
				other = other || e.Manifest != r.Manifest
			}
		}
		if same || !other { // nothing on offer: what the store holds is enough unless it is damaged
			p.repaired = append(p.repaired, name)
			continue
		}
		d, err := exactly(name, r.Version)
		if err != nil {
			return err
		}
		p.ask.replaced = append(p.ask.replaced, *r)
		p.ask.request.Install = append(p.ask.request.Install, d)
	}
	if len(p.repaired) > 0 && len(p.ask.replaced) > 0 {
		return fault.Mark(fmt.Errorf("%s can be restored as installed, %s only as rebuilt by its publisher", strings.Join(p.repaired, ", "), p.ask.replaced[0].Name),
			fault.Usage, "reinstall them one after the other")
	}
	return nil
}

// means reports whether a wish means a package, by its name or by what it
// provides.
func means(d version.Dependency, p *solver.Package) bool {
	for alternative := range d.Alternatives() {
		if alternative.Name == p.Name && alternative.Constraint.Allows(p.Version) || slices.ContainsFunc(p.Provides, alternative.SatisfiedBy) {
			return true
		}
	}
	return false
}

func wantedBy(p *solver.Package) func(version.Dependency) bool {
	return func(d version.Dependency) bool { return means(d, p) }
}

// tidy adds to a solution the removals that follow from it: packages that
// nothing needs any more, if that is asked for, and old builds of install-only
// packages. It solves again with them, so that nothing breaks.
func (p *Plan) tidy(ctx context.Context, solution *solver.Solution) (*solver.Solution, error) {
	if p.universe == nil || p.ask.locked != nil {
		return solution, nil
	}
	solution, err := p.fulfilWorld(ctx, solution)
	if err != nil {
		return nil, err
	}
	if err := p.findOrphans(solution); err != nil {
		return nil, err
	}
	old, err := p.oldBuilds(solution)
	if err != nil {
		return nil, err
	}
	if len(p.orphans)+len(old) == 0 {
		return solution, nil
	}
	p.ask.request.Remove = append(p.ask.request.Remove, exactTexts(p.orphans)...)
	without := p.ask.request.Remove
	for _, build := range old {
		p.trimmed[build.String()] = true
	}
	p.ask.request.Remove = slices.Concat(without, exactTexts(p.trimmed))
	again, err := p.solve(ctx)
	var unsolvable *solver.Unsolvable
	switch {
	case len(old) == 0, err != nil && !errors.As(err, &unsolvable):
		return again, err
	case err == nil && len(again.Remove) <= len(solution.Remove)+len(p.orphans)+len(old):
		return again, nil
	}
	// Something needs an old build: they stay, and the rest is done.
	clear(p.trimmed)
	p.ask.request.Remove = without
	return p.solve(ctx)
}

// exactTexts words builds, given as "name version", for the solver.
func exactTexts(builds map[string]bool) []string {
	var texts []string
	for _, build := range slices.Sorted(maps.Keys(builds)) {
		name, v, _ := strings.Cut(build, " ")
		texts = append(texts, name+" ="+v)
	}
	return texts
}

// findOrphans notes the installed packages that nobody asked for and nothing
// needs after a solution, if the request is to remove those.
func (p *Plan) findOrphans(solution *solver.Solution) error {
	world := p.request.World
	if world == nil && !p.request.Autoremove {
		return nil
	}
	records := p.universe.recordsAfter(solution)
	asked := len(p.ask.request.Install) > 0 || slices.ContainsFunc(p.ask.records, func(r system.Record) bool { return r.Requested })
	if !asked && world == nil && len(records) > 0 {
		return fault.Mark(errors.New("no installed package is marked as asked for, so that all would go"), fault.Usage,
			"mark those that you want: pkgtool mark --explicit NAME...")
	}
	after := solution.Installed()
	for i := range records {
		r := &records[i]
		at := slices.IndexFunc(after, func(q *solver.Package) bool { return q.Name == r.Name && q.ID == r.Manifest })
		if world != nil {
			r.Requested = slices.ContainsFunc(p.wishes, wantedBy(after[at]))
			if p.ask.request.NoRecommends {
				r.Recommends, r.Supplements = nil, nil
			}
		} else {
			r.Requested = r.Requested || slices.ContainsFunc(p.ask.request.Install, wantedBy(after[at]))
		}
	}
	orphans, err := orphansAmong(records)
	if err != nil {
		return err
	}
	for _, q := range p.universe.packages {
		if q.Installed && slices.Contains(orphans, q.String()) {
			p.orphans[q.String()] = true
		}
	}
	return nil
}

// LockWorld returns the lock of what a world file would lead to on this system,
// without changing it.
func (s *Session) LockWorld(ctx context.Context, w *World) (*Lock, error) {
	p, err := s.Plan(ctx, Request{World: w}, true)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	l := &Lock{Format: LockFormat, Arch: Arch, Packages: []LockedPackage{}}
	for _, q := range p.solution.Installed() {
		locked := LockedPackage{Name: q.Name, Version: q.Version, Arch: q.Arch, Manifest: q.ID, Repo: q.Repo,
			Requested: slices.ContainsFunc(p.wishes, wantedBy(q))}
		if r := p.universe.records[q]; r != nil {
			locked.Repo = r.Repo
		}
		l.Packages = append(l.Packages, locked)
	}
	slices.SortFunc(l.Packages, compareLocked)
	return l, nil
}
