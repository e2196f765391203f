package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// Loader makes a machine start what its system has become. A transaction calls
// Prepare when everything is on the disk and nothing has changed yet; usr is the
// folder that will be /usr. Its error refuses the transaction. Switch is called
// when the generation is the current one, or is to be made so by the next start
// ([Plan.Stage]); without it the machine goes on starting what it did.
type Loader interface {
	Prepare(ctx context.Context, g *Generation, usr string) error
	Switch(ctx context.Context, g *Generation) error
}

// SetLoader names the boot loader of the machine; nil is none.
func (s *System) SetLoader(l Loader) { s.loader = l }

// Root is the folder below which the system is.
func (s *System) Root() string { return s.root }

// Good is the last generation that was proved to start, or 0 if none was. It is
// not pruned.
func (s *System) Good() (int, error) { return s.disk.generationLink(goodPath) }

// SetGood notes that a generation was proved to start.
func (s *System) SetGood(number int) error {
	if _, err := s.GenerationAt(number); err != nil {
		return err
	}
	if was, err := s.Good(); err == nil && was == number {
		return nil
	}
	if err := s.Lock([]string{"pkgtool", "loader", "bless"}); err != nil {
		return err
	}
	return s.disk.linkGeneration(goodPath, number)
}

// Same reports whether two generations have the same packages.
func (s *System) Same(a, b int) (bool, error) {
	x, err := s.GenerationAt(a)
	if err != nil {
		return false, err
	}
	y, err := s.GenerationAt(b)
	return err == nil && x.contentHash() == y.contentHash(), err
}

// prepareLoader is the last step before the commit. Where files are replaced one
// by one there is no new tree to look at yet; then Switch has to do it all.
func (p *Plan) prepareLoader(ctx context.Context) error {
	s := p.system
	if s.loader == nil || p.InPlace && p.treeChanges() {
		return nil
	}
	usr := filepath.Join(s.root, treeTop)
	if !p.InPlace {
		usr = filepath.Join(s.root, spareRoot, treeTop)
	}
	if err := s.loader.Prepare(ctx, p.next, usr); err != nil {
		return fmt.Errorf("make generation %d ready to start: %w", p.next.Number, err)
	}
	return nil
}

// switchLoader lets the machine start a generation from now on.
func (s *System) switchLoader(ctx context.Context, g *Generation) error {
	if s.loader == nil {
		return nil
	}
	if err := s.loader.Switch(context.WithoutCancel(ctx), g); err != nil {
		return fmt.Errorf("generation %d is there, but the boot loader still starts the one before: %w; remove the cause and run: pkgtool loader update", g.Number, err)
	}
	return nil
}

// generationLink reads a symbolic link to a generation; 0 if there is none.
func (d *disk) generationLink(path string) (int, error) {
	target, err := d.readlink(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	name, ok := strings.CutPrefix(target, "generations/")
	number, err := strconv.Atoi(name)
	if err != nil || !ok || number < 1 {
		return 0, damaged(fmt.Errorf("%s points to %q, which is no generation", path, target))
	}
	return number, nil
}

// linkGeneration replaces such a link, durably. Number 0 removes it.
func (d *disk) linkGeneration(path string, number int) error {
	temporary := path + ".tmp"
	if err := d.unlink(temporary); err != nil {
		return err
	}
	if number == 0 {
		return errors.Join(d.unlink(path), d.syncFolder(stateDir))
	}
	if err := d.symlink(fmt.Sprintf("generations/%d", number), temporary); err != nil {
		return err
	}
	return errors.Join(d.rename(temporary, path), d.syncFolder(stateDir))
}
