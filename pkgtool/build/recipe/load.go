package recipe

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"

	"github.com/goccy/go-yaml/ast"
)

// FileName is the name of a recipe in its folder.
const FileName = "recipe.yaml"

// Tree is a folder of recipes with the pipelines they share.
type Tree struct {
	Dir  string // absolute path
	Arch string // the architecture built for

	recipes   map[string]*Recipe
	broken    map[string]error // recipes that cannot be used, and why
	pipelines map[string]*Pipeline
	styles    map[string]*Style
	groups    map[string]PackageGroup
	chosen    map[string]map[string]string // values of options by recipe
	packages  map[string]*Owned            // by package name
	provides  map[string][]*Owned          // by declared provide
	problems  []error                      // wrong with pipelines or between recipes
}

// Owned is a package together with its recipe.
type Owned struct {
	Recipe  *Recipe
	Package *Package
}

// LoadTree reads every recipe below dir, with the options of the tree.
func LoadTree(dir, arch string) (*Tree, error) { return LoadTreeWith(dir, Settings{Arch: arch}) }

// LoadTreeWith reads every recipe below dir. It fails only where dir cannot be
// read: what is wrong inside is told by [Tree.Err] and, for one recipe, by
// [Tree.Recipe], so that a recipe in progress does not stop others.
func LoadTreeWith(dir string, settings Settings) (*Tree, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(abs)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("read the folder of recipes: %w", err), fault.Usage, "give the folder with --recipes")
	}
	t := &Tree{
		Dir: abs, Arch: settings.Arch,
		recipes: map[string]*Recipe{}, broken: map[string]error{},
		pipelines: map[string]*Pipeline{}, styles: map[string]*Style{},
		packages: map[string]*Owned{}, provides: map[string][]*Owned{},
	}
	if err := t.loadPipelines(filepath.Join(abs, "pipelines")); err != nil {
		return nil, err
	}
	if err := errors.Join(t.loadSettings(settings.Options), t.loadGroups()); err != nil {
		return nil, err
	}
	for _, e := range entries {
		file := filepath.Join(abs, e.Name(), FileName)
		if _, err := os.Lstat(file); !e.IsDir() || e.Name() == "pipelines" || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		r, err := t.load(file)
		if err != nil {
			t.broken[e.Name()] = err
			continue
		}
		t.recipes[r.Name] = r
	}
	t.index()
	t.checkGroups()
	t.checkChosen()
	return t, nil
}

// loadPipelines reads pipelines/<group>/<name>.yaml and pipelines/styles/.
func (t *Tree) loadPipelines(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.yaml"))
	if err != nil {
		return err
	}
	var styles []string
	for _, file := range files {
		group, base := filepath.Base(filepath.Dir(file)), strings.TrimSuffix(filepath.Base(file), ".yaml")
		if group == "styles" {
			styles = append(styles, file)
			continue
		}
		pl := &Pipeline{file: display(file)}
		pos, err := read(file, pl, nil)
		if err != nil {
			t.problems = append(t.problems, err)
			continue
		}
		pl.pos = pos
		p := &problems{pos: pos}
		if pl.check(p); len(p.list) > 0 {
			t.problems = append(t.problems, p.err())
			continue
		}
		t.pipelines[group+"/"+base] = pl
	}
	for _, file := range styles {
		st := &Style{file: display(file)}
		pos, err := read(file, st, nil)
		if err != nil {
			t.problems = append(t.problems, err)
			continue
		}
		p := &problems{pos: pos}
		for _, name := range PhaseNames {
			before, main, after := st.Phases.phase(name)
			if *before != nil || *after != nil {
				p.add(path{"phases"}, "a style has no before- and after- phases; those are the recipe's")
			}
			t.resolve(name, *main, path{"phases", name}, p)
		}
		if len(p.list) > 0 {
			t.problems = append(t.problems, p.err())
			continue
		}
		t.styles[strings.TrimSuffix(filepath.Base(file), ".yaml")] = st
	}
	return nil
}

// load reads, expands and checks one recipe.
func (t *Tree) load(file string) (*Recipe, error) {
	r := &Recipe{dir: filepath.Dir(file), path: file, file: display(file), tree: t}
	choose := &chooser{file: r.file, arch: t.Arch, given: t.chosen[filepath.Base(r.dir)]}
	pos, err := read(file, r, choose.edit)
	if err != nil {
		return nil, err
	}
	r.pos, r.choices = pos, choose.options()
	p := &problems{pos: pos}
	t.expandRecipe(r, p)
	if len(p.list) == 0 {
		r.validate(p)
	}
	return r, p.err()
}

// expandRecipe fills ${...} in every field, variables first.
func (t *Tree) expandRecipe(r *Recipe, p *problems) {
	s := scopeOf(r, t.Arch)
	for name, value := range r.choices {
		s.values["options."+name] = value
	}
	s.expandAll(reflect.ValueOf(&r.Vars), path{"vars"}, p)
	for name, value := range r.Vars {
		s.values["vars."+name] = value
	}
	s.expandAll(reflect.ValueOf(r), path{}, p)
}

// read decodes a file strictly and keeps the positions of its keys.
func read(file string, into any, edit func(ast.Node) error) (*positions, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, strictyaml.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	root, err := strictyaml.DecodeEdited(display(file), data, into, edit)
	if err != nil {
		return nil, err
	}
	return &positions{display(file), root}, nil
}

// display shortens a path for messages, when it lies below the current folder.
func display(file string) string {
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, file); err == nil && filepath.IsLocal(rel) {
			return rel
		}
	}
	return file
}

// Names are the names of all recipes, broken ones included, sorted.
func (t *Tree) Names() []string {
	names := slices.Collect(maps.Keys(t.recipes))
	names = slices.AppendSeq(names, maps.Keys(t.broken))
	slices.Sort(names)
	return slices.Compact(names)
}

// Recipe returns the recipe of that name, or of the package of that name.
func (t *Tree) Recipe(name string) (*Recipe, error) {
	if err, ok := t.broken[name]; ok {
		return nil, err
	}
	if r, ok := t.recipes[name]; ok {
		return r, nil
	}
	if o, ok := t.packages[name]; ok {
		return o.Recipe, nil
	}
	known := map[string]bool{}
	for _, n := range t.Names() {
		known[n] = true
	}
	return nil, fault.Errorf(fault.Usage, "there is no recipe or package %q in %s%s", name, display(t.Dir), didYouMean(name, known))
}

// Package returns the package of that name, or the one package that declares
// to provide it; nil where there is none.
func (t *Tree) Package(name string) *Owned {
	if o := t.packages[name]; o != nil {
		return o
	}
	if all := t.provides[name]; len(all) > 0 {
		return all[0]
	}
	return nil
}

// Err returns everything wrong with the pipelines, with the recipes and
// between them, or nil.
func (t *Tree) Err() error {
	all := slices.Clone(t.problems)
	for _, name := range slices.Sorted(maps.Keys(t.broken)) {
		all = append(all, t.broken[name])
	}
	return joinUsage(all)
}

func joinUsage(all []error) error { return fault.Mark(errors.Join(all...), fault.Usage, "") }
