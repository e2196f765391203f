package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ashlar/iso"
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
	p, err := prepare(ctx, root, plan.Packages, command, progress)
	if err != nil {
		return nil, err
	}
	if missing := plan.missingTools(); len(missing) > 0 {
		if p.tools, err = prepare(ctx, root, missing, command, progress); err != nil {
			return nil, errors.Join(fmt.Errorf("fetch the programs that make disks: %w", err), p.Close())
		}
		p.Tools = p.tools.Packages
	}
	return p, nil
}

func prepare(ctx context.Context, root string, packages, command []string, progress install.Progress) (p *Preparation, err error) {
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
	if err := p.resolve(ctx, packages, command); err != nil {
		return nil, err
	}
	p.Steps = p.plan.Steps
	p.Packages, err = p.plan.FetchWhole(ctx, progress)
	return p, err
}

// resolve finds the packages: on the medium that the machine was started from, if
// that has all of them, so that no network is needed; else in all repositories.
func (p *Preparation) resolve(ctx context.Context, packages, command []string) error {
	var missing error
	if _, err := os.Stat(filepath.Join(p.folder, mediumDefinition)); err == nil {
		only := install.Options{Root: p.folder, Command: command, Only: iso.MediumRepository}
		err := p.open(ctx, only, packages)
		switch {
		case err == nil:
			return nil
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
