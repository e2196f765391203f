package recipe

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Dependents returns the named recipes (or recipes of named packages) and all
// that are built with something of theirs, directly or not, sorted.
func (t *Tree) Dependents(names []string, seed Seed) ([]string, error) {
	names, err := t.Expand(names)
	if err != nil {
		return nil, err
	}
	_, before, err := t.Order(nil, seed)
	if err != nil {
		return nil, err
	}
	after := map[*Recipe][]*Recipe{}
	for r, needs := range before {
		for _, n := range needs {
			after[n] = append(after[n], r)
		}
	}
	found := map[string]bool{}
	var visit func(r *Recipe)
	visit = func(r *Recipe) {
		if found[r.Name] {
			return
		}
		found[r.Name] = true
		for _, a := range after[r] {
			visit(a)
		}
	}
	for _, name := range names {
		r, err := t.Recipe(name)
		if err != nil {
			return nil, err
		}
		visit(r)
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// Touched returns the recipes that files (absolute paths) belong to: files of
// their folders, pipelines and styles that they use, folders that are a source.
func (t *Tree) Touched(files []string) []string {
	found := map[string]bool{}
	for _, r := range t.recipes {
		for _, file := range files {
			if r.touches(file) {
				found[r.Name] = true
				break
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func (r *Recipe) touches(file string) bool {
	if within(r.dir, file) {
		return true
	}
	for _, s := range r.Sources {
		for _, name := range []string{s.Tree, s.GoSum} {
			if name == "" {
				continue
			}
			// A tree leaves out the recipes of others, as what it excludes.
			if dir, err := r.tree.ProjectPath(name); err == nil && within(dir, file) && (name == s.GoSum || s.takes(dir, file)) {
				return true
			}
		}
	}
	pipelines := filepath.Join(r.tree.Dir, "pipelines")
	rel, err := filepath.Rel(pipelines, file)
	if err != nil || !filepath.IsLocal(rel) {
		return false
	}
	name := strings.TrimSuffix(filepath.ToSlash(rel), ".yaml")
	if style, ok := strings.CutPrefix(name, "styles/"); ok {
		return r.Build.Style == style
	}
	return slices.Contains(r.pipelines(), name)
}

// takes reports whether a file of the folder dir is part of the source.
func (s *Source) takes(dir, file string) bool {
	rel, err := filepath.Rel(dir, file)
	return err == nil && (len(s.Include) == 0 || matchAny(s.Include, rel)) && !matchAny(s.Exclude, rel)
}

func matchAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(g string) bool { return doublestar.MatchUnvalidated(g, name) })
}

// within reports whether a file is a folder or lies in it.
func within(dir, file string) bool {
	rel, err := filepath.Rel(dir, file)
	return err == nil && filepath.IsLocal(rel)
}
