package build

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/version"
)

// buildRoot is what a build stands on.
type buildRoot struct {
	packages []*builtPackage // sorted by name; they lie above the seed
	layers   []string        // of the seed, base last
	runs     map[string]bool // packages of tools and what they need, by name; with the others it is only linked
}

// builtPackage is a package in the cache.
type builtPackage struct {
	owned    *recipe.Owned
	manifest *pkgfile.Manifest
	sha256   string // of the unsigned file
	digest   string // of what a build sees of it
}

// universe are the packages a root can be made of.
type universe struct {
	byName   map[string]*builtPackage
	provides map[string][]*builtPackage // sorted by package name
}

func newUniverse(packages []*builtPackage) *universe {
	u := &universe{map[string]*builtPackage{}, map[string][]*builtPackage{}}
	for _, p := range packages {
		u.byName[p.manifest.Name] = p
	}
	for _, name := range slices.Sorted(maps.Keys(u.byName)) {
		p := u.byName[name]
		for _, text := range p.manifest.Provides {
			if provide, err := version.ParseProvide(text); err == nil {
				u.provides[provide.Name] = append(u.provides[provide.Name], p)
			}
		}
	}
	return u
}

// find returns the package that satisfies a dependency's name, or nil. A tree
// has one version of each, so versions do not matter here.
func (u *universe) find(name string) *builtPackage {
	if p := u.byName[name]; p != nil {
		return p
	}
	if all := u.provides[name]; len(all) > 0 {
		return all[0]
	}
	return nil
}

// resolveRoot finds the packages of a root: tools with everything they need to
// run, libraries with everything that linking with them needs.
func (e *Engine) resolveRoot(r *recipe.Recipe, u *universe) (*buildRoot, error) {
	if e.stage != nil {
		return e.stage.root(r)
	}
	needs, err := r.Needs(e.Seed)
	if err != nil {
		return nil, err
	}
	c := &closure{universe: u, chosen: map[string]*builtPackage{}}
	var tools map[string]*builtPackage
	for _, list := range []struct {
		owned []*recipe.Owned
		runs  bool
	}{{needs.Tools, true}, {needs.Libs, false}} {
		if !list.runs {
			tools = maps.Clone(c.chosen)
		}
		for _, o := range list.owned {
			p := u.byName[o.Package.Name]
			if p == nil {
				return nil, fmt.Errorf("%s needs the package %s, which was not built", r.Name, o.Package.Name)
			}
			if err := c.follow(p, list.runs); err != nil {
				return nil, err
			}
		}
	}
	root := &buildRoot{packages: c.sorted(), layers: append(slices.Clone(needs.Layers), "base"), runs: map[string]bool{}}
	for name := range tools {
		root.runs[name] = true
	}
	if layer, ok := e.Seed.LayerOf(stripPackage); ok && r.Build.Strips() && !slices.Contains(root.layers, layer) {
		root.layers = append([]string{layer}, root.layers...)
	}
	return root, nil
}

// closure is a set of packages with what they need.
type closure struct {
	universe *universe
	chosen   map[string]*builtPackage
}

// follow takes in a package, with what it needs to run or to be linked with.
func (c *closure) follow(p *builtPackage, runs bool) error {
	if c.chosen[p.manifest.Name] != nil {
		return nil
	}
	c.chosen[p.manifest.Name] = p
	for _, text := range p.manifest.Requires {
		d, err := version.ParseDependency(text)
		if err != nil {
			return fmt.Errorf("package %s: %w", p.manifest.Name, err)
		}
		if !runs && !linksWith(p, d.Name) {
			continue
		}
		if next := c.universe.find(d.Name); next != nil {
			if err := c.follow(next, runs); err != nil {
				return err
			}
		}
	}
	return nil
}

// sorted lists the chosen packages by name.
func (c *closure) sorted() []*builtPackage {
	var list []*builtPackage
	for _, name := range slices.Sorted(maps.Keys(c.chosen)) {
		list = append(list, c.chosen[name])
	}
	return list
}

// linksWith reports whether linking with a package leads to something that it
// needs: libraries, modules of pkg-config, and what -dev packages need by name.
// What else a package needs by name, and the programs that run its scripts, are
// needed where it is installed.
func linksWith(p *builtPackage, need string) bool {
	if kind, _, ok := strings.Cut(need, "("); ok {
		return slices.Contains([]string{"soname", "symver", "pkgconfig"}, kind)
	}
	return p.owned.Package.IsDev()
}

// stripPackage is the package of the seed that has strip.
const stripPackage = "binutils"

// buildDigest is the digest of what a build that has the package in its root
// can see: its files. What a package needs and provides only decides which
// others come along, and those are in the root themselves.
func buildDigest(m *pkgfile.Manifest) string {
	type file struct {
		Path, Type, SHA256, Target string
		Executable                 bool
	}
	files := []file{}
	for _, f := range m.Files {
		files = append(files, file{f.Path, f.Type, f.SHA256, f.Target, f.Mode&0o111 != 0})
	}
	return key(files)
}

// relations is the digest of what a package provides and needs: that decides
// what packages which were built beside it say they need.
func relations(m *pkgfile.Manifest) string {
	requires := []string{}
	exact := fmt.Sprintf("=%s-%d", m.Version, m.Release)
	for _, text := range m.Requires {
		requires = append(requires, strings.Replace(text, exact, "="+m.Version, 1))
	}
	return key([][]string{m.Provides, requires})
}

// materialize returns the layers of a root, topmost first, making those that
// are not there yet.
func (e *Engine) materialize(ctx context.Context, root *buildRoot) ([]Layer, error) {
	var layers []Layer
	for _, p := range root.packages {
		dir, err := e.treeOf(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("unpack %s for the build root: %w", p.manifest.Name, explainDisk(err))
		}
		layers = append(layers, Layer{p.manifest.Name, p.digest, dir})
	}
	for _, layer := range root.layers {
		dir, err := e.Seed.Materialize(ctx, layer)
		if err != nil {
			return nil, fmt.Errorf("seed layer %s: %w", layer, explainDisk(err))
		}
		layers = append(layers, Layer{layer, e.Seed.Digest(layer), dir})
	}
	return layers, nil
}

// treeOf returns the folder with a package's files.
func (e *Engine) treeOf(ctx context.Context, p *builtPackage) (string, error) {
	name := p.sha256
	if e.Cache.exists("trees", name) {
		return e.Cache.path("trees", name), nil
	}
	l, err := e.Cache.lock(ctx, "tree-"+name[:16], func() {})
	if err != nil {
		return "", err
	}
	defer l.release()
	if e.Cache.exists("trees", name) {
		return e.Cache.path("trees", name), nil
	}
	w, err := e.Cache.newWork("tree")
	if err != nil {
		return "", err
	}
	defer w.remove()
	file, err := pkgfile.OpenFile(e.Cache.path("packages", name+pkgfile.MediaSuffix))
	if err != nil {
		return "", err
	}
	defer file.Close()
	dir := filepath.Join(w.path, "tree")
	if err := file.Extract(ctx, dir); err != nil {
		return "", err
	}
	return e.Cache.path("trees", name), e.Cache.keep(dir, "trees", name)
}
