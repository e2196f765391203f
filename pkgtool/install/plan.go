package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/version"
	"ashlar/signing"
)

// Plan is what a request comes to. Close it after use.
type Plan struct {
	Steps      []Step              `json:"steps"`
	Held       []Held              `json:"held,omitempty"`       // newer packages that an upgrade leaves out
	Explicit   []string            `json:"explicit,omitempty"`   // installed packages that are wanted for themselves from now on
	Automatic  []string            `json:"automatic,omitempty"`  // and those that are there for others' sake
	Download   int64               `json:"download"`             // bytes to transfer
	Packages   int64               `json:"download_whole"`       // bytes of the whole package files
	DiskChange int64               `json:"disk_change"`          // bytes
	Space      []Space             `json:"space,omitempty"`      // what is needed and free, by file system
	Config     []system.ConfigNote `json:"config,omitempty"`     // edited configuration files
	Carried    []string            `json:"carried,omitempty"`    // files in /usr that no package owns; they stay
	Saved      []string            `json:"saved,omitempty"`      // package files that were replaced by hand; copies are kept
	Triggers   []string            `json:"triggers,omitempty"`   // what runs in the new tree before it takes its place
	Protected  []string            `json:"protected,omitempty"`  // builds that this removes although their kernel is running
	InPlace    bool                `json:"in_place,omitempty"`   // files in /usr change one after the other: it cannot be exchanged here
	Incomplete bool                `json:"incomplete,omitempty"` // figures are those of the index: manifests could not be read

	session  *Session
	request  Request
	ask      question
	wishes   []version.Dependency // of a world file
	universe *universe
	solution *solver.Solution
	change   system.Change
	repaired []string        // names of packages to restore
	trimmed  map[string]bool // "name version" of builds that go because there are newer ones
	orphans  map[string]bool // names that go because nothing needs them
	opened   []*pkgfile.Package
	remotes  []*client.Remote
	fetch    []fetchItem
	planned  *system.Plan
}

// Step is what happens to one package.
type Step struct {
	Do       string `json:"do"` // install, upgrade, downgrade, reinstall, remove
	Name     string `json:"name"`
	Version  string `json:"version"`        // the new one; for a removal the one that goes
	From     string `json:"from,omitempty"` // the version that it takes the place of
	Repo     string `json:"repo,omitempty"`
	Vendor   string `json:"vendor,omitempty"`      // of an upgrade or the like that changes it: the new one
	OfVendor string `json:"from_vendor,omitempty"` // and the one that it takes the place of
	Why      string `json:"why"`
	Download int64  `json:"download,omitempty"` // bytes to transfer
	Size     int64  `json:"installed_size,omitempty"`
}

// Held is a newer package that an upgrade leaves out.
type Held struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Why     string `json:"why"`
	ByYou   bool   `json:"by_you,omitempty"` // the administrator holds it
}

type fetchItem struct {
	chosen    *solver.Package
	step      int // index in Steps
	requested bool
	beside    bool
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool {
	return len(p.Steps)+len(p.Explicit)+len(p.Automatic) == 0
}

// Removals returns the names of packages that go although nobody named them.
func (p *Plan) Removals() []string {
	expected := []string{whyRequested, whyTrimmed, whyOrphan, whyUnlocked}
	var names []string
	for _, s := range p.Steps {
		if s.Do == "remove" && !slices.Contains(expected, s.Why) && !strings.HasPrefix(s.Why, "replaced by ") {
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
	for _, r := range p.remotes {
		r.Close()
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
	if err := s.offers(ctx, r.needsOffers()); err != nil {
		return nil, err
	}
	p := &Plan{Steps: []Step{}, session: s, request: r, trimmed: map[string]bool{}, orphans: map[string]bool{},
		ask: question{records: s.system.Installed(), priorities: s.priorities(), offers: s.client, patience: r.SolveTimeout}}
	if err := p.make(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// make fills the plan with what is to happen.
func (p *Plan) make(ctx context.Context) error {
	holds, err := ReadHolds(p.session.opts.Root)
	if err != nil {
		return err
	}
	if err := p.word(ctx, holds); err != nil {
		return err
	}
	solution, err := p.solve(ctx)
	if err != nil {
		return err
	}
	if solution, err = p.tidy(ctx, solution); err != nil {
		return err
	}
	p.change.Reason, p.change.Command, p.change.NoTriggers = p.request.reason(), p.session.opts.Command, p.request.NoTriggers
	p.solution = solution
	p.describe(solution)
	p.mark(solution)
	if err := p.protectRunning(); err != nil {
		return err
	}
	p.explainHeld(solution, holds)
	return nil
}

// word words the request for the solver and opens the files in it.
func (p *Plan) word(ctx context.Context, holds []Hold) error {
	r := &p.request
	p.ask.request = solver.Request{Upgrade: r.Upgrade, UpgradeAll: r.UpgradeAll, NoRecommends: r.NoRecommends, AllowVendorChange: r.AllowVendorChange, Arch: Arch}
	for _, h := range holds {
		p.ask.request.Hold = append(p.ask.request.Hold, h.Name)
	}
	wanted, err := expandGroups(p.session.opts.Root, r.Install)
	if err != nil {
		return err
	}
	for _, text := range wanted {
		var d version.Dependency
		var err error
		if strings.HasSuffix(text, pkgfile.MediaSuffix) {
			d, err = p.openGiven(ctx, text)
		} else {
			d, err = parseWish(text)
		}
		if err != nil {
			return err
		}
		p.ask.request.Install = append(p.ask.request.Install, d)
	}
	for _, text := range r.Remove {
		name, v, pinned, err := parseBuild(text)
		if err != nil {
			return err
		}
		if pinned {
			name += " =" + v.String()
		}
		p.ask.request.Remove = append(p.ask.request.Remove, name)
	}
	for _, text := range r.Downgrade {
		if err := p.wordDowngrade(text); err != nil {
			return err
		}
	}
	for _, name := range slices.Concat(r.Explicit, r.Automatic) {
		if p.session.system.Package(name) == nil {
			return notInstalled(name)
		}
	}
	if err := p.wordReinstall(); err != nil {
		return err
	}
	switch {
	case r.World != nil:
		return p.wordWorld()
	case r.Lock != nil:
		return p.wordLock()
	}
	return nil
}

// wordDowngrade asks for an older build of an installed package.
func (p *Plan) wordDowngrade(text string) error {
	name, v, pinned, err := parseBuild(text)
	if err != nil {
		return err
	}
	installed := p.session.system.Package(name)
	switch {
	case installed == nil:
		return notInstalled(name)
	case pinned && v.Compare(installed.Version) >= 0:
		return fault.Mark(fmt.Errorf("%s %s is not older than the installed %s", name, v, installed.Version), fault.Usage, "pkgtool install "+text)
	case pinned:
		name += " =" + v.String()
	}
	p.ask.request.Downgrade = append(p.ask.request.Downgrade, name)
	return nil
}

func notInstalled(name string) error {
	return fault.Mark(fmt.Errorf("package %s is not installed", name), fault.Usage, "see what is: pkgtool list")
}

// openGiven opens a package file and verifies who signed it.
func (p *Plan) openGiven(ctx context.Context, place string) (version.Dependency, error) {
	var pkg *pkgfile.Package
	var err error
	if strings.Contains(place, "://") {
		pkg, err = p.session.client.FetchURL(ctx, place, nil)
	} else {
		pkg, err = pkgfile.OpenFile(place)
	}
	if errors.Is(err, os.ErrNotExist) {
		err = fault.Mark(err, fault.Usage, "")
	}
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
			return version.Dependency{}, fault.Mark(fmt.Errorf("%s: nobody who is trusted has signed it: %w", place, err), fault.Security,
				"say whose packages you trust: --trust KEYRING")
		}
		f.repo = repo
	}
	p.ask.given = append(p.ask.given, f)
	v, err := pkg.Manifest().EVR()
	if err != nil {
		return version.Dependency{}, err
	}
	for _, installed := range p.session.system.Builds(pkg.Manifest().Name) {
		if installed.Version.Compare(v) == 0 && installed.Manifest != pkg.ManifestSHA256() {
			p.ask.replaced = append(p.ask.replaced, installed)
		}
	}
	return exactly(pkg.Manifest().Name, v)
}
