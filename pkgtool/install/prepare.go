package install

import (
	"context"
	"time"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system"
)

// Progress is told how far a plan is: what is done (manifests, fetch, write),
// and how many bytes of how many, or packages for manifests.
type Progress func(what string, done, total int64)

// of makes the progress of one part of the work.
func (p Progress) of(what string) func(done, total int64) {
	return func(done, total int64) {
		if p != nil {
			p(what, done, total)
		}
	}
}

// Prepare fetches and verifies the manifests of what is to be installed and
// works out what the change means for the system: conflicts between files,
// space, configuration, triggers, and what is left to download after everything
// was counted that the system holds already. It changes nothing but the cache.
func (p *Plan) Prepare(ctx context.Context, progress Progress) error {
	if p.Empty() || p.planned != nil {
		return nil
	}
	if len(p.repaired) > 0 {
		return p.prepareRepair(ctx, progress)
	}
	if err := p.fetchMetas(ctx, progress); err != nil {
		return err
	}
	defer p.session.phase("plan")()
	p.change.Time = time.Now()
	planned, err := p.session.system.Plan(ctx, p.change)
	if err != nil {
		return err
	}
	return p.take(planned)
}

// fetchMetas gets the manifests of all packages of the plan.
func (p *Plan) fetchMetas(ctx context.Context, progress Progress) error {
	defer p.session.phase("manifests")()
	var entries []client.Entry
	for _, item := range p.fetch {
		if p.universe.files[item.chosen] == nil {
			entries = append(entries, p.universe.entries[item.chosen])
		}
	}
	remotes, err := p.session.client.FetchMetas(ctx, entries, progress.of("manifests"))
	if err != nil {
		return err
	}
	p.remotes = append(p.remotes, remotes...)
	for _, item := range p.fetch {
		add := system.Addition{Repo: item.chosen.Repo, Requested: item.requested, Beside: item.beside}
		if f := p.universe.files[item.chosen]; f != nil {
			add.Package, add.Repo = f.Package, f.repo
		} else {
			add.Package = remotes[0].Package()
			remotes = remotes[1:]
		}
		p.change.Add = append(p.change.Add, add)
	}
	return nil
}

// take notes what the system has worked out.
func (p *Plan) take(planned *system.Plan) error {
	p.planned = planned
	p.Config, p.Carried, p.Saved, p.Triggers = planned.Config, planned.Carried, planned.Saved, planned.Triggers
	p.InPlace = planned.InPlace
	p.Download = 0
	sizes := map[string]int64{}
	for _, w := range p.wanted() {
		size := w.Remote.Download(w.Files)
		sizes[w.Remote.Entry().Name+" "+versionOf(w.Remote)] = size
		p.Download += size
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		s.Download = sizes[s.Name+" "+s.Version]
	}
	return p.planSpace(planned.Space)
}

func versionOf(r *client.Remote) string {
	e := r.Entry()
	v, err := e.EVR()
	if err != nil {
		return ""
	}
	return v.String()
}

// wanted are the files whose content must come from a repository.
func (p *Plan) wanted() []client.Wanted {
	remotes := map[*pkgfile.Package]*client.Remote{}
	for _, r := range p.remotes {
		remotes[r.Package()] = r
	}
	var wanted []client.Wanted
	for _, need := range p.planned.Needs() {
		if r := remotes[need.Package]; r != nil && len(need.Files) > 0 {
			wanted = append(wanted, client.Wanted{Remote: r, Files: need.Files})
		}
	}
	return wanted
}

// Fetch gets and verifies the content that is missing. It stays in the cache,
// so that a later Commit, also one without a network, finds it there. Prepare
// comes first.
func (p *Plan) Fetch(ctx context.Context, progress Progress) error {
	if p.planned == nil {
		return nil
	}
	defer p.session.phase("fetch")()
	return client.FetchAll(ctx, p.wanted(), progress.of("fetch"))
}

// Commit fetches what is missing, verifies it and carries the plan out as one
// transaction. When it returns nil, the new generation is on disk.
func (p *Plan) Commit(ctx context.Context, progress Progress) error {
	return p.carryOut(ctx, progress, (*system.Plan).Commit)
}

// Stage is Commit that leaves the change itself to the next start of the machine.
func (p *Plan) Stage(ctx context.Context, progress Progress) error {
	return p.carryOut(ctx, progress, (*system.Plan).Stage)
}

func (p *Plan) carryOut(ctx context.Context, progress Progress, how func(*system.Plan, context.Context, func(done, total int64)) error) error {
	if err := p.Prepare(ctx, progress); err != nil {
		return err
	}
	if p.planned == nil {
		return nil
	}
	if err := p.Fetch(ctx, progress); err != nil {
		return err
	}
	defer p.session.phase("write")()
	err := how(p.planned, ctx, progress.of("write"))
	p.Config = p.planned.Config // merged or not is known now
	return err
}

// prepareRepair plans to restore the files of the packages to reinstall.
func (p *Plan) prepareRepair(ctx context.Context, progress Progress) error {
	s := p.session
	end := s.phase("verify")
	problems, err := s.system.Verify(ctx, system.VerifyOptions{Names: p.repaired, Store: true})
	end()
	if err != nil {
		return err
	}
	var damage []system.Problem
	for _, problem := range problems {
		if !problem.Config {
			damage = append(damage, problem)
		}
	}
	if len(damage) == 0 {
		p.Steps, p.repaired = p.Steps[:0], nil
		return nil
	}
	packages, err := p.originals(ctx, progress)
	if err != nil {
		return err
	}
	defer s.phase("plan")()
	planned, err := s.system.PlanRepair(ctx, damage, packages)
	if err != nil {
		return fault.Mark(err, 0, "if a package is not on offer any more, give its file: pkgtool install FILE.ashlar")
	}
	return p.take(planned)
}

// originals finds the packages to restore in the repositories, as far as they
// are on offer; for the others, what the store holds must do.
func (p *Plan) originals(ctx context.Context, progress Progress) ([]*pkgfile.Package, error) {
	defer p.session.phase("manifests")()
	var entries []client.Entry
	for _, name := range p.repaired {
		r := p.session.system.Package(name)
		for _, e := range p.session.client.ByName(name) {
			if e.Manifest == r.Manifest {
				entries = append(entries, e)
				break
			}
		}
	}
	remotes, err := p.session.client.FetchMetas(ctx, entries, progress.of("manifests"))
	if err != nil {
		return nil, err
	}
	p.remotes = append(p.remotes, remotes...)
	var packages []*pkgfile.Package
	for _, r := range remotes {
		packages = append(packages, r.Package())
	}
	return packages, nil
}
