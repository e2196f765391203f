package install

import (
	"slices"

	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/system"
)

// Reasons that a step can give besides those of the solver.
const (
	whyRequested = "requested"
	whyTrimmed   = "newer builds stay"
	whyOrphan    = "needed no more"
	whyUnlocked  = "not in the lock file"
	whyRebuilt   = "another build of the same version"
)

// describe words a solution for people and notes what to fetch.
func (p *Plan) describe(solution *solver.Solution) {
	for _, s := range solution.Install {
		do := "install"
		if old := p.replacedBuild(s.Package); old != nil {
			do = "reinstall"
			p.DiskChange -= old.InstalledSize
			s.Why = whyRebuilt
		}
		p.add(do, s)
	}
	for _, s := range solution.Upgrade {
		switch {
		case s.Downgrade():
			p.add("downgrade", s)
		case s.From != nil && s.From.Version.Compare(s.Package.Version) == 0:
			s.Why = whyRebuilt
			p.add("reinstall", s)
		default:
			p.add("upgrade", s)
		}
	}
	for _, s := range solution.Remove {
		p.remove(s)
	}
	for _, name := range p.repaired {
		r := p.session.system.Package(name)
		p.Steps = append(p.Steps, Step{Do: "reinstall", Name: r.Name, Version: r.Version.String(), Repo: r.Repo, Why: whyRequested})
	}
}

// replacedBuild is the installed build whose place another content of the same
// version takes.
func (p *Plan) replacedBuild(new *solver.Package) *system.Record {
	for i := range p.ask.replaced {
		if r := &p.ask.replaced[i]; r.Name == new.Name && r.Version.Compare(new.Version) == 0 {
			return r
		}
	}
	return nil
}

func (p *Plan) add(do string, s solver.Step) {
	u := p.universe
	step := Step{Do: do, Name: s.Package.Name, Version: s.Package.Version.String(), Repo: s.Package.Repo, Why: s.Why}
	requested := s.Why == whyRequested || s.From != nil && s.From.Requested
	if s.From != nil {
		step.From = s.From.Version.String()
		if s.From.Vendor != s.Package.Vendor {
			step.Vendor, step.OfVendor = s.Package.Vendor, s.From.Vendor
		}
		if r := u.records[s.From]; r != nil {
			p.DiskChange -= r.InstalledSize
		}
	}
	beside := s.Package.InstallOnly && len(p.session.system.Builds(s.Package.Name)) > 0
	if old := p.replacedBuild(s.Package); old != nil {
		requested = requested || old.Requested
		if beside {
			p.change.Remove = append(p.change.Remove, old.Name+"@"+old.Version.String())
		}
	} else if beside {
		for _, q := range u.installed[s.Package.Name] {
			requested = requested || q.Requested
		}
	}
	if e, ok := u.entries[s.Package]; ok {
		step.Download, step.Size = e.Size, e.InstalledSize
		p.Packages += e.Size
	}
	if f := u.files[s.Package]; f != nil {
		step.Size = f.Manifest().InstalledSize
	}
	p.DiskChange += step.Size
	p.Download += step.Download
	p.fetch = append(p.fetch, fetchItem{s.Package, len(p.Steps), requested, beside})
	p.Steps = append(p.Steps, step)
}

func (p *Plan) remove(s solver.Step) {
	name, v := s.Package.Name, s.Package.Version.String()
	why := s.Why
	switch {
	case p.trimmed[s.Package.String()]:
		why = whyTrimmed
	case p.orphans[s.Package.String()]:
		why = whyOrphan
	case p.request.Lock != nil:
		why = whyUnlocked
	}
	step := Step{Do: "remove", Name: name, Version: v, Why: why}
	if r := p.universe.records[s.Package]; r != nil {
		p.DiskChange -= r.InstalledSize
		step.Size = r.InstalledSize
	}
	for _, item := range p.fetch {
		if why == "replaced by "+item.chosen.Name && item.chosen.Vendor != s.Package.Vendor {
			step.Vendor, step.OfVendor = item.chosen.Vendor, s.Package.Vendor
		}
	}
	p.Steps = append(p.Steps, step)
	if len(p.session.system.Builds(name)) > 1 {
		name += "@" + v
	}
	p.change.Remove = append(p.change.Remove, name)
}

// mark notes which packages are wanted for themselves from now on, and which
// are not.
func (p *Plan) mark(solution *solver.Solution) {
	wanted := func(kept *solver.Package) (wanted, stated bool) {
		switch {
		case slices.Contains(p.request.Explicit, kept.Name):
			return true, true
		case slices.Contains(p.request.Automatic, kept.Name):
			return false, true
		case p.ask.locked != nil:
			i := slices.IndexFunc(p.ask.locked.Packages, func(l LockedPackage) bool { return l.Name == kept.Name && l.Requested })
			return i >= 0, true
		case p.request.World != nil:
			return slices.ContainsFunc(p.wishes, wantedBy(kept)), true
		}
		asked := slices.ContainsFunc(p.ask.request.Install, wantedBy(kept))
		return asked, asked
	}
	names := map[string]bool{}
	for _, kept := range solution.Keep {
		if names[kept.Name] {
			continue
		}
		names[kept.Name] = true
		switch want, stated := wanted(kept); {
		case !stated || want == kept.Requested:
		case want:
			p.Explicit = append(p.Explicit, kept.Name)
		default:
			p.Automatic = append(p.Automatic, kept.Name)
		}
	}
	slices.Sort(p.Explicit)
	slices.Sort(p.Automatic)
	p.change.Request, p.change.Unrequest = p.Explicit, p.Automatic
	for i := range p.fetch {
		item := &p.fetch[i]
		switch {
		case p.ask.locked != nil:
			item.requested = slices.ContainsFunc(p.ask.locked.Packages, func(l LockedPackage) bool { return l.Name == item.chosen.Name && l.Requested })
		case p.request.World != nil:
			item.requested = slices.ContainsFunc(p.wishes, wantedBy(item.chosen))
		}
	}
}
