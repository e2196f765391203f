package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ashlar/pkgtool/install"
	"ashlar/pkgtool/system"
)

// Preparation holds the packages of an installation, fetched and verified
// before any disk is touched. Close it after use.
type Preparation struct {
	Packages []system.Addition
	Steps    []install.Step // what will be installed, for people

	folder  string
	session *install.Session
	plan    *install.Plan
}

// Prepare resolves packages against an empty system and fetches them from the
// repositories that are configured below root ("/" on a live system).
func Prepare(ctx context.Context, root string, packages, command []string, progress install.Progress) (p *Preparation, err error) {
	p = &Preparation{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
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
	if p.session, err = install.Open(install.Options{Root: p.folder, Command: command}); err != nil {
		return nil, err
	}
	if p.plan, err = p.session.Plan(ctx, install.Request{Install: packages}, true); err != nil {
		return nil, err
	}
	p.Steps = p.plan.Steps
	p.Packages, err = p.plan.FetchWhole(ctx, progress)
	return p, err
}

// Close closes the packages and removes what was fetched.
func (p *Preparation) Close() error {
	if p.plan != nil {
		p.plan.Close()
	}
	var err error
	if p.session != nil {
		err = p.session.Close()
	}
	return errors.Join(err, os.RemoveAll(p.folder))
}
