package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/iso"
	"ashlar/pkgtool/diskkey"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/install"
	"ashlar/pkgtool/system"
)

// The repository of the medium that a live system was started from, and what it is
// trusted by.
const (
	mediumDefinition = "etc/pkgtool/repositories.d/" + iso.MediumRepository + ".yaml"
	mediumTrust      = "etc/pkgtool/trust/" + iso.MediumRepository
)

// Preparation holds the packages of an installation, fetched and verified
// before any disk is touched. Close it after use.
type Preparation struct {
	Packages []system.Addition
	Tools    []system.Addition // with programs that the plan needs and the running system lacks
	Steps    []install.Step    // what will be installed, for people

	folder  string
	session *install.Session
	plan    *install.Plan
	tools   *Preparation // nil if the running system has them
}

// Prepare resolves the packages of a plan against an empty system and fetches them
// from the repositories that are configured below root ("/" on a live system),
// and those of programs that the installation itself needs.
func Prepare(ctx context.Context, root string, plan *Plan, command []string, progress install.Progress) (*Preparation, error) {
	if err := CheckFirmware(plan); err != nil {
		return nil, err
	}
	if plan.LUKS.TPM2 != nil {
		if err := diskkey.Present(); err != nil {
			return nil, err
		}
	}
	p, err := prepare(ctx, root, plan, plan.Packages, command, progress)
	if err != nil {
		return nil, err
	}
	if missing := plan.missingTools(); len(missing) > 0 {
		if p.tools, err = prepare(ctx, root, plan, missing, command, progress); err != nil {
			return nil, errors.Join(fmt.Errorf("fetch the programs that make disks: %w", err), p.Close())
		}
		p.Tools = p.tools.Packages
	}
	if err := p.checkSystemd(&plan.answers); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func prepare(ctx context.Context, root string, plan *Plan, packages, command []string, progress install.Progress) (p *Preparation, err error) {
	p = &Preparation{}
	begun := p
	defer func() {
		if err != nil {
			p, err = nil, errors.Join(err, begun.Close())
		}
	}()
	if p.folder, err = os.MkdirTemp("", "ashlar-install-"); err != nil {
		return nil, err
	}
	settings := filepath.Join(p.folder, "etc/pkgtool")
	if err := os.MkdirAll(filepath.Dir(settings), 0o755); err != nil {
		return nil, err
	}
	if err := os.CopyFS(settings, os.DirFS(filepath.Join(root, "etc/pkgtool"))); err != nil {
		return nil, fmt.Errorf("read the repositories' configuration: %w", err)
	}
	if err := plan.answers.writeRepositories(p.folder); err != nil {
		return nil, err
	}
	if err := p.resolve(ctx, packages, command, plan.answers.Offline); err != nil {
		return nil, err
	}
	p.Steps = p.plan.Steps
	p.Packages, err = p.plan.FetchWhole(ctx, progress)
	return p, err
}

// checkSystemd refuses answers that the packages cannot make true.
func (p *Preparation) checkSystemd(a *Answers) error {
	what := a.needsSystemd()
	if len(what) == 0 || slices.ContainsFunc(p.Packages, func(x system.Addition) bool { return x.Package.Manifest().Name == "systemd" }) {
		return nil
	}
	return fault.Errorf(fault.Usage, "the answers say %s, which systemd does, and it is not among the packages; add systemd or leave %s out",
		strings.Join(what, " and "), strings.Join(what, " and "))
}

// writeRepositories defines the repositories of the answers below root, which
// must trust them.
func (a *Answers) writeRepositories(root string) error {
	entries, err := iso.Setup{Repositories: a.Repositories}.Entries(nil, 0)
	if err != nil || len(entries) == 0 {
		return err
	}
	for _, r := range a.Repositories {
		if _, err := os.Stat(filepath.Join(root, "etc/pkgtool/trust", r.Name, "root.json")); err != nil {
			return fault.Errorf(fault.Usage, "repositories: this system does not trust %s; put its root.json into /etc/pkgtool/trust/%s, or choose the name of a repository that it trusts", r.Name, r.Name)
		}
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, e := range entries {
		if err := put(dir, e); err != nil {
			return err
		}
	}
	return nil
}

// resolve finds the packages: on the medium that the machine was started from, if
// that has all of them, so that no network is needed; else in all repositories.
func (p *Preparation) resolve(ctx context.Context, packages, command []string, offline bool) error {
	var missing error
	if _, err := os.Stat(filepath.Join(p.folder, mediumDefinition)); err == nil {
		only := install.Options{Root: p.folder, Command: command, Only: iso.MediumRepository}
		err := p.open(ctx, only, packages)
		switch {
		case err == nil || offline:
			return err
		case fault.ClassOf(err) == fault.Unsolvable:
		case fault.ClassOf(err) == fault.Network: // it was taken out
			if err := os.Remove(filepath.Join(p.folder, mediumDefinition)); err != nil {
				return err
			}
		default:
			return err
		}
		missing = err
	}
	if offline {
		return fault.Errorf(fault.Usage, "offline is true, and this system was not started from a medium with packages; leave offline out, or start from such a medium")
	}
	err := p.open(ctx, install.Options{Root: p.folder, Command: command}, packages)
	if err != nil && missing != nil {
		return fmt.Errorf("%w; and on the medium: %w", err, missing)
	}
	return err
}

func (p *Preparation) open(ctx context.Context, o install.Options, packages []string) (err error) {
	if p.session != nil {
		if err := p.session.Close(); err != nil {
			return err
		}
	}
	if p.session, err = install.Open(o); err != nil {
		return err
	}
	p.plan, err = p.session.Plan(ctx, install.Request{Install: packages}, true)
	return err
}

// Close closes the packages and removes what was fetched.
func (p *Preparation) Close() error {
	var toolsErr error
	if p.tools != nil {
		toolsErr = p.tools.Close()
	}
	if p.plan != nil {
		p.plan.Close()
	}
	var err error
	if p.session != nil {
		err = p.session.Close()
	}
	return errors.Join(toolsErr, err, os.RemoveAll(p.folder))
}
