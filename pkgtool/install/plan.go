package install

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/version"
	"ashlar/signing"
)

// Arch is the architecture that packages are chosen for.
const Arch = "x86_64"

// Request is what a person asks for. An element of Install that ends in
// .ashlar is the path of a package file; others are dependencies: "nginx",
// "nginx >=1.2", "nginx@1.2.3-1", "soname(libz.so.1)".
type Request struct {
	Install      []string
	Remove       []string
	Upgrade      []string
	UpgradeAll   bool
	NoRecommends bool
}

// Plan is what a request comes to. Close it after use.
type Plan struct {
	Steps      []Step              `json:"steps"`
	Held       []string            `json:"held,omitempty"` // newer packages that do not fit
	Download   int64               `json:"download"`       // bytes
	DiskChange int64               `json:"disk_change"`    // bytes
	Config     []system.ConfigNote `json:"config,omitempty"`

	session  *Session
	change   system.Change
	universe *universe
	opened   []*pkgfile.Package
	fetch    []fetchItem
}

// Step is what happens to one package.
type Step struct {
	Do       string `json:"do"` // install, upgrade, downgrade, remove
	Name     string `json:"name"`
	Version  string `json:"version"`        // the new one; for a removal the one that goes
	From     string `json:"from,omitempty"` // the version that it takes the place of
	Repo     string `json:"repo,omitempty"`
	Why      string `json:"why"`
	Download int64  `json:"download,omitempty"` // bytes
}

type fetchItem struct {
	chosen    *solver.Package
	requested bool
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Steps) == 0 && len(p.change.Request) == 0 }

// Removals returns the names of packages that go although nobody named them.
func (p *Plan) Removals() []string {
	var names []string
	for _, s := range p.Steps {
		if s.Do == "remove" && s.Why != "requested" && !strings.HasPrefix(s.Why, "replaced by ") {
			names = append(names, s.Name)
		}
	}
	return names
}

// Close closes the packages that the plan opened.
func (p *Plan) Close() {
	for _, o := range p.opened {
		o.Close()
	}
}

// Plan finds the best way to fulfil a request. It locks the system until the
// session is closed, unless the plan is only to be looked at.
func (s *Session) Plan(ctx context.Context, r Request, onlyLook bool) (*Plan, error) {
	if !onlyLook {
		if err := s.system.Lock(s.opts.Command); err != nil {
			return nil, err
		}
	}
	if err := s.offers(ctx, len(r.Install)+len(r.Upgrade) > 0 || r.UpgradeAll); err != nil {
		return nil, err
	}
	p := &Plan{session: s, universe: newUniverse()}
	if err := p.solve(ctx, r); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// solve fills the plan.
func (p *Plan) solve(ctx context.Context, r Request) error {
	s := p.session
	if err := p.universe.addInstalled(s.system.Installed()); err != nil {
		return err
	}
	if err := p.universe.addEntries(s.client.Packages()); err != nil {
		return err
	}
	request, err := p.request(r)
	if err != nil {
		return err
	}
	solution, err := solver.Solve(ctx, p.universe.packages, request)
	if err != nil {
		return err
	}
	p.describe(solution)
	p.change.Reason = reason(r)
	p.change.Command = s.opts.Command
	for _, kept := range solution.Keep {
		if !kept.Requested && slices.ContainsFunc(request.Install, func(d version.Dependency) bool { return d.Name == kept.Name }) {
			p.change.Request = append(p.change.Request, kept.Name)
		}
	}
	return nil
}

// request words the request for the solver and opens the files in it.
func (p *Plan) request(r Request) (solver.Request, error) {
	request := solver.Request{Remove: r.Remove, Upgrade: r.Upgrade, UpgradeAll: r.UpgradeAll, NoRecommends: r.NoRecommends, Arch: Arch}
	for _, text := range r.Install {
		var d version.Dependency
		var err error
		if strings.HasSuffix(text, pkgfile.MediaSuffix) {
			d, err = p.openFile(text)
		} else {
			d, err = parseWish(text)
		}
		if err != nil {
			return request, err
		}
		request.Install = append(request.Install, d)
	}
	return request, nil
}

// parseWish reads a dependency, or name@version, which pins a version.
func parseWish(text string) (version.Dependency, error) {
	if name, pin, found := strings.Cut(text, "@"); found && !version.IsCapability(text) {
		text = name + " " + pin
	}
	d, err := version.ParseDependency(text)
	return d, fault.Mark(err, fault.Usage, "")
}

// openFile opens a package file and verifies who signed it.
func (p *Plan) openFile(path string) (version.Dependency, error) {
	pkg, err := pkgfile.OpenFile(path)
	if err != nil {
		return version.Dependency{}, err
	}
	p.opened = append(p.opened, pkg)
	f := &packageFile{Package: pkg}
	if trust := p.session.opts.Trust; trust != nil {
		_, err = pkg.VerifySignature(trust, signing.Policy{})
	}
	if p.session.opts.Trust == nil || err != nil {
		repo, repoErr := p.session.client.TrustedBy(pkg)
		if repoErr != nil {
			if err == nil {
				err = repoErr
			}
			return version.Dependency{}, fault.Mark(fmt.Errorf("%s: nobody who is trusted has signed it: %w", path, err), fault.Security,
				"say whose packages you trust: --trust KEYRING")
		}
		f.repo = repo
	}
	return p.universe.addFile(f)
}

// describe words a solution for people and notes what to fetch.
func (p *Plan) describe(solution *solver.Solution) {
	before := map[string]int64{}
	for _, r := range p.session.system.Installed() {
		before[r.Name] = r.InstalledSize
	}
	add := func(do string, s solver.Step) {
		step := Step{Do: do, Name: s.Package.Name, Version: s.Package.Version.String(), Repo: s.Package.Repo, Why: s.Why}
		if s.From != nil {
			step.From = s.From.Version.String()
			p.DiskChange -= before[s.From.Name]
		}
		if e, ok := p.universe.entries[s.Package]; ok {
			step.Download = e.Size
			p.DiskChange += e.InstalledSize
		}
		if f := p.universe.files[s.Package]; f != nil {
			step.Repo = f.repo
			p.DiskChange += f.Manifest().InstalledSize
		}
		p.Download += step.Download
		p.Steps = append(p.Steps, step)
		p.fetch = append(p.fetch, fetchItem{s.Package, s.Why == "requested" || s.From != nil && s.From.Requested})
	}
	for _, s := range solution.Install {
		add("install", s)
	}
	for _, s := range solution.Upgrade {
		if s.Downgrade() {
			add("downgrade", s)
		} else {
			add("upgrade", s)
		}
	}
	for _, s := range solution.Remove {
		p.Steps = append(p.Steps, Step{Do: "remove", Name: s.Package.Name, Version: s.Package.Version.String(), Why: s.Why})
		p.change.Remove = append(p.change.Remove, s.Package.Name)
		p.DiskChange -= before[s.Package.Name]
	}
	for _, held := range solution.Held {
		p.Held = append(p.Held, held.String())
	}
}

// reason is what the history says.
func reason(r Request) string {
	var parts []string
	list := func(verb string, names []string) {
		if len(names) > 0 {
			parts = append(parts, verb+" "+strings.Join(names, ", "))
		}
	}
	list("install", r.Install)
	list("remove", r.Remove)
	list("upgrade", r.Upgrade)
	if r.UpgradeAll {
		parts = append(parts, "upgrade everything")
	}
	return strings.Join(parts, "; ")
}

// Progress is told how far a plan is: what is done (fetch, write), how many
// bytes of how many.
type Progress func(what string, done, total int64)

// Commit fetches what is needed, verifies it and carries the plan out as one
// transaction. When it returns nil, the new generation is on disk.
func (p *Plan) Commit(ctx context.Context, progress Progress) error {
	if progress == nil {
		progress = func(string, int64, int64) {}
	}
	if err := p.fetchAll(ctx, progress); err != nil {
		return err
	}
	p.change.Time = time.Now()
	planned, err := p.session.system.Plan(ctx, p.change)
	if err != nil {
		return err
	}
	p.Config = planned.Config
	return planned.Commit(ctx, func(done, total int64) { progress("write", done, total) })
}
