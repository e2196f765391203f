package recipe

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
)

// Files beside the recipes.
const (
	groupsName  = "groups.yaml"
	optionsName = "options.yaml"
)

// Settings are what whoever builds a tree decides.
type Settings struct {
	Arch string // the architecture built for
	// Options are chosen values by recipe and option; they win over options.yaml.
	Options map[string]map[string]string
}

// optionsFile is recipes/options.yaml: the choices of this tree.
type optionsFile struct {
	Schema  int                       `yaml:"schema"`
	Options map[string]map[string]any `yaml:"options"`
}

// groupsFile is recipes/groups.yaml.
type groupsFile struct {
	Schema int                     `yaml:"schema"`
	Groups map[string]PackageGroup `yaml:"groups"`
}

// PackageGroup is a named set of packages.
type PackageGroup struct {
	Summary  string   `yaml:"summary"`
	Packages []string `yaml:"packages"` // names of packages, and @NAME of other groups
}

// loadSettings reads options.yaml under what was given.
func (t *Tree) loadSettings(given map[string]map[string]string) error {
	var file optionsFile
	if err := optional(filepath.Join(t.Dir, optionsName), &file, func() int { return file.Schema }); err != nil {
		return err
	}
	t.chosen = map[string]map[string]string{}
	set := func(recipe, option, value string) {
		if t.chosen[recipe] == nil {
			t.chosen[recipe] = map[string]string{}
		}
		t.chosen[recipe][option] = value
	}
	for recipe, options := range file.Options {
		for option, value := range options {
			set(recipe, option, text(value))
		}
	}
	for recipe, options := range given {
		for option, value := range options {
			set(recipe, option, value)
		}
	}
	return nil
}

func text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return "?" // of no option's values
}

// optional reads a file that may be missing.
func optional(file string, into any, schema func() int) error {
	err := strictyaml.ReadFile(file, into)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case schema() != 1:
		return fault.Errorf(fault.Usage, "%s: this pkgtool reads schema 1", display(file))
	}
	return nil
}

// loadGroups reads groups.yaml.
func (t *Tree) loadGroups() error {
	var file groupsFile
	if err := optional(filepath.Join(t.Dir, groupsName), &file, func() int { return file.Schema }); err != nil {
		return err
	}
	t.groups = file.Groups
	return nil
}

// checkGroups reports groups that name what is not there.
func (t *Tree) checkGroups() {
	for _, name := range slices.Sorted(maps.Keys(t.groups)) {
		if _, err := t.Group(name); err != nil {
			t.problems = append(t.problems, err)
		}
	}
}

// Groups are the names of all groups, sorted.
func (t *Tree) Groups() []string { return slices.Sorted(maps.Keys(t.groups)) }

// GroupSummary says what a group is for.
func (t *Tree) GroupSummary(name string) string { return t.groups[name].Summary }

// Group returns the packages of a group and of the groups in it, sorted, each
// once.
func (t *Tree) Group(name string) ([]string, error) {
	packages := map[string]bool{}
	seen := map[string]bool{}
	var visit func(name string) error
	visit = func(name string) error {
		group, ok := t.groups[name]
		if !ok {
			return fault.Errorf(fault.Usage, "there is no group %q in %s%s", name, display(filepath.Join(t.Dir, groupsName)), didYouMean(name, t.groups))
		}
		if seen[name] {
			return nil
		}
		seen[name] = true
		for _, p := range group.Packages {
			if inner, ok := strings.CutPrefix(p, "@"); ok {
				if err := visit(inner); err != nil {
					return err
				}
				continue
			}
			if t.Package(p) == nil && t.broken[p] == nil && t.brokenLike(p) == "" {
				return fault.Errorf(fault.Usage, "%s: group %s: no recipe makes a package %q%s", display(filepath.Join(t.Dir, groupsName)), name, p, didYouMean(p, t.packages))
			}
			packages[p] = true
		}
		return nil
	}
	if err := visit(name); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(packages)), nil
}

// Expand replaces every @NAME by the packages of that group.
func (t *Tree) Expand(names []string) ([]string, error) {
	var all []string
	for _, name := range names {
		group, ok := strings.CutPrefix(name, "@")
		if !ok {
			all = append(all, name)
			continue
		}
		packages, err := t.Group(group)
		if err != nil {
			return nil, err
		}
		all = append(all, packages...)
	}
	return all, nil
}
