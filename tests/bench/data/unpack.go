package data

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"ashlar/pkgtool/build/seed"
	"ashlar/pkgtool/build/source/apt"
	"ashlar/pkgtool/pkgfile"
	"ashlar/tests/bench/debian"
)

// unpack fetches the packages and makes the trees of the base set.
func (m *maker) unpack(ctx context.Context, entries []seed.Entry) error {
	debs, err := m.fetch(ctx, entries)
	if err != nil {
		return err
	}
	m.say("unpacking them")
	if err := os.MkdirAll(m.Path(Base, "trees"), 0o755); err != nil {
		return err
	}
	taken := map[string]bool{} // paths that are no folder
	depends := map[string][]apt.Dependency{}
	provides := map[string]string{} // virtual name to the first package that provides it
	for i, deb := range debs {
		name := entries[i].Name()
		tree := m.unpacked(Base, name)
		u, err := debian.Unpack(ctx, deb, tree, func(path string) bool {
			return pkgfile.CheckPath(path) != nil || taken[path] || besides(path)
		})
		if err != nil {
			return fmt.Errorf("unpack %s: %w", name, err)
		}
		e := Entry{Name: name, Version: "1.0.0", Debian: u.Control["Version"], Bytes: map[string]int64{}}
		e.Summary, _, _ = strings.Cut(u.Control["Description"], "\n")
		if err := measure(tree, &e, taken); err != nil {
			return err
		}
		for _, c := range u.Conffiles {
			if info, err := os.Lstat(filepath.Join(tree, c)); err == nil && info.Mode().IsRegular() {
				e.Config = append(e.Config, c)
			}
		}
		sort.Strings(e.Config)
		depends[name] = append(apt.ParseDepends(u.Control["Pre-Depends"]), apt.ParseDepends(u.Control["Depends"])...)
		for _, d := range apt.ParseDepends(u.Control["Provides"]) {
			if provides[d[0]] == "" {
				provides[d[0]] = name
			}
		}
		m.Packages[Base] = append(m.Packages[Base], e)
	}
	m.resolve(depends, provides)
	t := m.Total(Base)
	m.say("%d packages, %d files, %d MB", len(debs), t.Files, t.Size/1e6)
	return nil
}

// besides reports whether a path is one that pkgtool and its rivals leave to
// the system: only the folders themselves can be packaged.
func besides(path string) bool {
	for _, top := range []string{"dev", "proc", "run", "sys", "tmp", "var/run", "var/lock"} {
		if strings.HasPrefix(path, top+"/") {
			return true
		}
	}
	return false
}

// measure counts what a tree holds, and notes its paths but for folders.
func measure(tree string, e *Entry, taken map[string]bool) error {
	return filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == tree {
			return err
		}
		e.Paths++
		rel, _ := filepath.Rel(tree, path)
		if !d.IsDir() && taken != nil {
			taken[rel] = true
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e.Files++
		e.Size += info.Size()
		return nil
	})
}

// resolve turns Debian's dependencies into plain names of packages of the set:
// of alternatives the first that is there, and none of what was left out.
func (m *maker) resolve(depends map[string][]apt.Dependency, provides map[string]string) {
	packages := m.Packages[Base]
	for i := range packages {
		e := &packages[i]
		for _, alternatives := range depends[e.Name] {
			for _, name := range alternatives {
				if depends[name] == nil && provides[name] != "" {
					name = provides[name]
				}
				if _, there := depends[name]; there && name != e.Name {
					e.Requires = append(e.Requires, name)
					break
				}
			}
		}
		sort.Strings(e.Requires)
		e.Requires = slices.Compact(e.Requires)
	}
}
