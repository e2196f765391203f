package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"ashlar/pkgtool/build/remote"
	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sync/errgroup"
)

// Checked says what is wrong with a cache.
type Checked struct {
	Packages int      `json:"packages"` // looked at
	Trees    int      `json:"trees"`
	Entries  int      `json:"entries"` // of the shared cache
	Problems []string `json:"problems"`
	Removed  int      `json:"removed"` // what was wrong and is gone now

	mu sync.Mutex
}

func (c *Checked) problem(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Problems = append(c.Problems, fmt.Sprintf(format, args...))
}

// Check reads all packages and unpacked trees of the cache and compares them
// with their sha256. With repair it removes what is wrong; the next build makes
// it again.
func (c *Cache) Check(ctx context.Context, jobs int, repair bool) (*Checked, error) {
	rep := &Checked{Problems: []string{}}
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(max(jobs, 1))
	packages, err := os.ReadDir(c.path("packages"))
	if err != nil {
		return nil, err
	}
	for _, entry := range packages {
		sum, ok := strings.CutSuffix(entry.Name(), pkgfile.MediaSuffix)
		if !ok {
			continue
		}
		rep.Packages++
		group.Go(func() error {
			if within.Err() != nil {
				return context.Cause(within)
			}
			got, err := sumFile(c.path("packages", entry.Name()))
			if err == nil && got == sum {
				return nil
			}
			if err == nil {
				err = fmt.Errorf("its sha256 is %s", got)
			}
			rep.problem("package %s: %v", sum, err)
			return c.drop(rep, repair, "packages", entry.Name())
		})
	}
	trees, err := os.ReadDir(c.path("trees"))
	if err != nil {
		return nil, err
	}
	for _, entry := range trees {
		rep.Trees++
		group.Go(func() error {
			err := c.checkTree(within, entry.Name())
			if within.Err() != nil {
				return context.Cause(within)
			}
			if err == nil {
				return nil
			}
			rep.problem("tree %s: %v", entry.Name(), err)
			return c.drop(rep, repair, "trees", entry.Name())
		})
	}
	err = group.Wait()
	slices.Sort(rep.Problems)
	return rep, err
}

func (c *Cache) drop(rep *Checked, repair bool, parts ...string) error {
	if !repair {
		return nil
	}
	rep.mu.Lock()
	rep.Removed++
	rep.mu.Unlock()
	return sandbox.RemoveTree(c.path(parts...))
}

// checkTree compares an unpacked package with its manifest.
func (c *Cache) checkTree(ctx context.Context, sum string) error {
	file, err := c.openPackage(sum)
	if err != nil {
		return nil // without a package that can be read nothing says what it should be
	}
	defer file.Close()
	expected := map[string]*pkgfile.File{}
	m := file.Manifest()
	for i := range m.Files {
		expected[m.Files[i].Path] = &m.Files[i]
	}
	dir := c.path("trees", sum)
	found := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f := expected[rel]
		if f == nil {
			if d.IsDir() {
				return nil // a folder on the way
			}
			return fmt.Errorf("/%s is not in the package", rel)
		}
		found++
		return checkFile(m, f, path, d)
	})
	if err == nil && found != len(expected) {
		err = fmt.Errorf("%d of %d files are missing", len(expected)-found, len(expected))
	}
	return err
}

// checkFile compares one file of a tree.
func checkFile(m *pkgfile.Manifest, f *pkgfile.File, path string, d fs.DirEntry) error {
	if f.Type == pkgfile.TypeHardlink {
		f = m.File(f.Target)
	}
	if f == nil {
		return errors.New("a hard link leads nowhere")
	}
	switch f.Type {
	case pkgfile.TypeDir:
		if !d.IsDir() {
			return fmt.Errorf("/%s is no folder", f.Path)
		}
	case pkgfile.TypeSymlink:
		if target, err := os.Readlink(path); err != nil || target != f.Target {
			return fmt.Errorf("/%s is no link to %s", f.Path, f.Target)
		}
	default:
		if !d.Type().IsRegular() {
			return fmt.Errorf("/%s is no file", f.Path)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm() != fs.FileMode(f.Mode&0o777) {
			return fmt.Errorf("/%s has mode %04o, not %04o", f.Path, info.Mode().Perm(), f.Mode&0o777)
		}
		if sum, err := sumFile(path); err != nil || sum != f.SHA256 {
			return errors.Join(err, fmt.Errorf("/%s has the sha256 %s, not %s", f.Path, sum, f.SHA256))
		}
	}
	return nil
}

// CheckShared reads all entries of the shared cache that can be listed, else
// those whose results are in the cache of this host, and their packages.
func (e *Engine) CheckShared(ctx context.Context) (*Checked, error) {
	rep := &Checked{Problems: []string{}}
	check := func(key string) error {
		rep.Entries++
		entry, err := e.Shared.Store.Entry(ctx, key)
		if err != nil {
			return err
		}
		res, _, err := remote.Unseal(entry, e.Shared.Keys, e.Shared.Threshold)
		if err != nil {
			rep.problem("entry %s: %v", key, err)
			return nil
		}
		if res.Key != key {
			rep.problem("entry %s: it is that of %s", key, res.Key)
		}
		for _, p := range res.Packages {
			rep.Packages++
			err := remote.Fetch(ctx, e.Shared.Store, p.Blob(), io.Discard)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				rep.problem("%s: package %s: %v", res.Recipe, p.File, err)
			}
		}
		return nil
	}
	if l, ok := e.Shared.Store.(remote.Lister); ok {
		return rep, l.Entries(ctx, check)
	}
	all, err := e.Cache.results()
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		if err := check(k.key); errors.Is(err, fs.ErrNotExist) {
			rep.Entries--
		} else if err != nil {
			return nil, err
		}
	}
	return rep, nil
}

// Part is what one kind of entries of a cache takes.
type Part struct {
	Name    string `json:"name"`
	Entries int    `json:"entries"`
	Bytes   int64  `json:"bytes"` // on disk
}

// Parts measures the cache.
func (c *Cache) Parts() ([]Part, error) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, err
	}
	var parts []Part
	for _, entry := range entries {
		if !entry.IsDir() || entry.Name() == "locks" {
			continue
		}
		inside, err := os.ReadDir(c.path(entry.Name()))
		if err != nil {
			return nil, err
		}
		parts = append(parts, Part{entry.Name(), len(inside), diskUsage(c.path(entry.Name()))})
	}
	return parts, nil
}
