package pkgfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"ashlar/pkgtool/fault"

	"golang.org/x/sys/unix"
)

// Extract unpacks the package into dir, which must not exist or be empty, for a
// look at it; installing is another package's work. The files belong to the
// caller and have no setuid, setgid or sticky bits and no extended attributes.
// dir appears complete, after everything in it was verified, or not at all.
func (p *Package) Extract(ctx context.Context, dir string) (err error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fault.Mark(fmt.Errorf("extract into %s: the folder is not empty", dir), fault.Usage, "name a new folder")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("extract into %s: %w", dir, err)
	}
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("extract into %s: %w", dir, err)
	}
	staging, err := os.MkdirTemp(filepath.Dir(dir), ".extract-*")
	if err != nil {
		return fmt.Errorf("extract into %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			removeTree(staging)
		}
	}()
	// os.Root refuses to leave staging even if a rule about paths were missed.
	root, err := os.OpenRoot(staging)
	if err != nil {
		return err
	}
	defer root.Close()
	x := &extraction{root: root, epoch: time.Unix(p.manifest.Provenance.Epoch, 0)}
	if err := p.Walk(ctx, x.file); err != nil {
		return fmt.Errorf("extract into %s: %w", dir, err)
	}
	if err := x.finishDirs(); err != nil {
		return fmt.Errorf("extract into %s: %w", dir, err)
	}
	if err := os.Chmod(staging, 0o755); err != nil {
		return err
	}
	// rename(2) takes the place of an empty folder, which os.Rename refuses.
	if err := unix.Rename(staging, dir); err != nil {
		return fmt.Errorf("extract into %s: %w", dir, err)
	}
	return nil
}

type extraction struct {
	root  *os.Root
	epoch time.Time
	dirs  []*File // their modes are set last: a read-only one could not be filled
}

func (x *extraction) file(f *File, content io.Reader) error {
	if parent := path.Dir(f.Path); parent != "." {
		if err := x.root.MkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	switch f.Type {
	case TypeDir:
		x.dirs = append(x.dirs, f)
		return x.root.MkdirAll(f.Path, 0o755)
	case TypeSymlink:
		return x.root.Symlink(f.Target, f.Path)
	case TypeHardlink:
		return x.root.Link(f.Target, f.Path)
	}
	out, err := x.root.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, content); err == nil {
		err = out.Chmod(fs.FileMode(f.Mode & 0o777))
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return x.root.Chtimes(f.Path, x.epoch, x.epoch)
}

func (x *extraction) finishDirs() error {
	for _, d := range slices.Backward(x.dirs) {
		if err := x.root.Chtimes(d.Path, x.epoch, x.epoch); err != nil {
			return err
		}
		if err := x.root.Chmod(d.Path, fs.FileMode(d.Mode&0o777)); err != nil {
			return err
		}
	}
	return nil
}

// removeTree removes what was extracted, also folders that may not be entered.
func removeTree(dir string) {
	filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			os.Chmod(p, 0o700)
		}
		return nil
	})
	os.RemoveAll(dir)
}
