package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sys/unix"
)

// packing is the version of how installed files become packages: how they are
// divided and checked, and what is read from them. Raise it when that changes;
// it packs everything again and compiles nothing.
const packing = 4

// pack divides what an action installed into packages and writes them into the
// cache.
func (e *Engine) pack(ctx context.Context, r *recipe.Recipe, buildRoot *buildRoot, action string, spec *packaging, dir string) (*result, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	divided, err := claims(root, r.Packages)
	if err != nil {
		return nil, err
	}
	needs, err := findNeeds(root, r, divided, buildRoot)
	if err != nil {
		return nil, err
	}
	work, err := e.Cache.newWork("pack")
	if err != nil {
		return nil, err
	}
	defer work.remove()
	res := &result{}
	for i := range r.Packages {
		pkg := &r.Packages[i]
		if pkg.Implicit && len(divided[i]) == 0 {
			continue
		}
		inputs, err := packageInputs(root, r, pkg, divided[i])
		if err != nil {
			return nil, fault.Mark(fmt.Errorf("package %s: %w", pkg.Name, err), fault.Usage, "")
		}
		m := pkgfile.Manifest{
			Format: pkgfile.FormatVersion, Arch: e.Tree.Arch,
			Name: pkg.Name, Version: r.Version, Release: r.Release, Epoch: r.Epoch, Upstream: r.UpstreamVersion(),
			Summary: pkg.Summary, Description: strings.TrimSpace(pkg.Description), License: pkg.License, Homepage: r.Homepage, Vendor: r.Vendor, Recipe: r.Name,
			Requires: needs[i].requires, Provides: needs[i].provides,
			Conflicts: dependencies(pkg.Conflicts), Replaces: dependencies(pkg.Replaces), Recommends: dependencies(pkg.Recommends),
			Supplements: dependencies(pkg.Supplements), InstallOnly: pkg.InstallOnly, Triggers: triggers(pkg),
			Provenance: pkgfile.Provenance{Action: action, Origin: spec.Origin, Epoch: spec.SourceEpoch, Sources: e.provenance(r)},
		}
		if pkg.Arch != "" {
			m.Arch = pkg.Arch
		}
		rp, err := e.writePackage(ctx, work.path, m, inputs)
		if err != nil {
			return nil, err
		}
		res.Packages = append(res.Packages, *rp)
	}
	return res, nil
}

// triggers are a package's triggers as its manifest holds them.
func triggers(pkg *recipe.Package) []pkgfile.Trigger {
	var list []pkgfile.Trigger
	for i := range pkg.Triggers {
		list = append(list, pkg.Triggers[i].Manifest())
	}
	return list
}

// writePackage writes one package file into the cache, named by its sha256.
func (e *Engine) writePackage(ctx context.Context, work string, m pkgfile.Manifest, inputs []pkgfile.Input) (*resultPackage, error) {
	temp, err := os.CreateTemp(work, "package-")
	if err != nil {
		return nil, err
	}
	defer temp.Close()
	h := sha256.New()
	full, err := pkgfile.Write(ctx, io.MultiWriter(temp, h), m, inputs, pkgfile.Options{SpoolDir: work})
	if err != nil {
		return nil, err
	}
	if err := temp.Chmod(0o644); err != nil {
		return nil, err
	}
	if err := temp.Sync(); err != nil {
		return nil, fmt.Errorf("flush %s: %w", temp.Name(), err)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	target := e.Cache.path("packages", sum+pkgfile.MediaSuffix)
	if err := os.Rename(temp.Name(), target); err != nil {
		return nil, err
	}
	if err := durable.SyncDir(filepath.Dir(target)); err != nil {
		return nil, err
	}
	return &resultPackage{m.Name, full.FileName(), sum, buildDigest(full)}, nil
}

// provenance lists the sources of a recipe.
func (e *Engine) provenance(r *recipe.Recipe) []pkgfile.Source {
	var list []pkgfile.Source
	for i := range r.Sources {
		s := &r.Sources[i]
		switch {
		case s.Tree != "":
			list = append(list, pkgfile.Source{URI: "tree:" + s.Tree})
		case s.GoSum != "":
			list = append(list, pkgfile.Source{URI: "gosum:" + s.GoSum})
		default:
			list = append(list, pkgfile.Source{URI: s.Places()[0], SHA256: s.SHA256})
		}
	}
	return list
}

// packageInputs makes the file list of one package. Owner and mode come from
// the recipe, never from the disk.
func packageInputs(root *os.Root, r *recipe.Recipe, pkg *recipe.Package, files []entry) ([]pkgfile.Input, error) {
	var inputs []pkgfile.Input
	place := map[string]int{}
	first := map[uint64]string{}
	modes := newModeRules(pkg)
	for _, en := range files {
		f := pkgfile.File{Path: en.path, Type: pkgfile.TypeFile, Owner: "root", Group: "root", Mode: 0o644}
		in := pkgfile.Input{}
		switch {
		case en.kind == fs.ModeSymlink:
			f.Type, f.Target, f.Mode = pkgfile.TypeSymlink, en.target, 0o777
		case en.links > 1 && first[en.inode] != "":
			f = pkgfile.File{Path: en.path, Type: pkgfile.TypeHardlink, Target: first[en.inode]}
		default:
			first[en.inode] = en.path
			if en.executable {
				f.Mode = 0o755
			}
			f.Size = en.size
			f.Config = modes.config(en.path)
			if !modes.apply(&f) {
				if err := undeclared(r, en); err != nil {
					return nil, err
				}
			}
			if en.executable && f.Xattrs == nil && hasCapabilities(root, en.path) && !allowed(r, "setuid", "/"+en.path) {
				return nil, fmt.Errorf("/%s was installed with capabilities; name them with a reason under modes (caps), or accept the loss under lint (setuid)", en.path)
			}
			if err := etcFile(r, &f); err != nil {
				return nil, err
			}
			in.Open = func() (io.ReadCloser, error) { return root.Open(en.path) }
		}
		in.File = f
		place[f.Path] = len(inputs)
		inputs = append(inputs, in)
	}
	for _, x := range additions(pkg) {
		f := pkgfile.File{Path: x.path, Type: pkgfile.TypeFile, Owner: "root", Group: "root", Mode: x.mode}
		f.Config = modes.config(f.Path)
		modes.apply(&f)
		if _, twice := place[f.Path]; twice {
			return nil, fmt.Errorf("%s: /%s: the build installs this file too", x.key, x.path)
		}
		if err := etcFile(r, &f); err != nil {
			return nil, err
		}
		place[f.Path] = len(inputs)
		inputs = append(inputs, pkgfile.Input{File: f, Open: func() (io.ReadCloser, error) { return x.open(r) }})
	}
	for _, d := range pkg.Dirs {
		f := pkgfile.File{Path: strings.TrimPrefix(d.Path, "/"), Type: pkgfile.TypeDir, Owner: orRoot(d.Owner), Group: orRoot(d.Group), Mode: octal(d.Mode, 0o755)}
		if _, twice := place[f.Path]; twice {
			return nil, fmt.Errorf("dirs: %s is not a folder", d.Path)
		}
		inputs = append(inputs, pkgfile.Input{File: f})
	}
	return inputs, modes.unused()
}

// undeclared refuses permissions that the build set and the recipe does not
// name: they would be lost.
func undeclared(r *recipe.Recipe, en entry) error {
	bits := en.mode.Perm()
	full := "/" + en.path
	switch {
	case en.mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 && !allowed(r, "setuid", full):
		return fmt.Errorf("%s was installed setuid or setgid; give it a mode and a reason under modes, or accept the loss under lint (setuid)", full)
	case bits&0o004 == 0 && !allowed(r, "private", full):
		return fmt.Errorf("%s was installed with mode %04o; say under modes who may read it", full, bits)
	}
	return nil
}

// hasCapabilities reports whether the build gave a file capabilities.
func hasCapabilities(root *os.Root, name string) bool {
	f, err := root.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	size, err := unix.Fgetxattr(int(f.Fd()), recipe.CapabilityAttribute, nil)
	return err == nil && size > 0
}

// etcFile refuses files in /etc that upgrades would overwrite.
func etcFile(r *recipe.Recipe, f *pkgfile.File) error {
	if strings.HasPrefix(f.Path, "etc/") && f.Type == pkgfile.TypeFile && !f.Config && !allowed(r, "etc-file", "/"+f.Path) {
		return fmt.Errorf("/%s is in /etc but not under config; an upgrade would overwrite what the administrator wrote", f.Path)
	}
	return nil
}

// allowed reports whether lint.allow accepts a finding.
func allowed(r *recipe.Recipe, id, name string) bool { return r.Allows(id, name) }

func orRoot(account string) string {
	if account == "" {
		return "root"
	}
	return account
}

func octal(text string, otherwise uint32) uint32 {
	if text == "" {
		return otherwise
	}
	mode, _ := strconv.ParseUint(text, 8, 32) // checked with the recipe
	return uint32(mode)
}

// modeRules applies modes and config of a package, and knows which were used.
type modeRules struct {
	pkg  *recipe.Package
	used map[string]bool
}

func newModeRules(pkg *recipe.Package) *modeRules { return &modeRules{pkg, map[string]bool{}} }

// apply sets owner, group and mode; it reports whether a rule gave the mode.
func (m *modeRules) apply(f *pkgfile.File) bool {
	given := false
	for _, rule := range m.pkg.Modes {
		if !doublestar.MatchUnvalidated(rule.Path, "/"+f.Path) {
			continue
		}
		m.used[rule.Path] = true
		f.Owner, f.Group = orRoot(rule.Owner), orRoot(rule.Group)
		if rule.Mode != "" {
			f.Mode, given = octal(rule.Mode, f.Mode), true
		}
		if rule.Caps != "" && f.Type == pkgfile.TypeFile {
			if value, err := recipe.ParseCaps(rule.Caps); err == nil { // checked with the recipe
				f.Xattrs = map[string][]byte{recipe.CapabilityAttribute: value}
			}
		}
	}
	return given
}

func (m *modeRules) config(name string) bool {
	found := false
	for _, glob := range m.pkg.Config {
		if doublestar.MatchUnvalidated(glob, "/"+name) {
			m.used[glob] = true
			found = true
		}
	}
	return found
}

func (m *modeRules) unused() error {
	for _, rule := range m.pkg.Modes {
		if !m.used[rule.Path] {
			return fmt.Errorf("modes: %s matches no file of the package", rule.Path)
		}
	}
	for _, glob := range m.pkg.Config {
		if !m.used[glob] {
			return fmt.Errorf("config: %s matches no file of the package", glob)
		}
	}
	return nil
}
