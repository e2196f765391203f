package recipe

import (
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"
)

// Seed knows which names of build needs the bootstrap tool chain satisfies,
// and by which of its layers.
type Seed interface {
	LayerOf(name string) (layer string, ok bool)
}

// Needs are the resolved build needs of a recipe.
type Needs struct {
	Layers []string // seed layers, sorted, besides base
	Tools  []*Owned // packages of other recipes that run during the build
	Libs   []*Owned // packages of other recipes that the build links with
}

// Needs resolves the tools and libraries a recipe asks for. A tool comes from
// the seed where the seed has it, so that programs of the tree can be built in
// any order; a library comes from a recipe where there is one.
func (r *Recipe) Needs(seed Seed) (*Needs, error) {
	p := &problems{pos: r.pos}
	n := &Needs{}
	layers := map[string]bool{}
	for _, name := range r.Tools() {
		if layer, ok := seed.LayerOf(name); ok {
			layers[layer] = true
		} else if o := r.tree.Package(name); o != nil && o.Recipe != r {
			n.Tools = append(n.Tools, o)
		} else {
			p.add(r.placeOf(name), "%s: the build tool %q is neither in the seed nor a package of another recipe%s", r.Name, name, didYouMean(name, r.tree.packages))
		}
	}
	for i, name := range r.Build.Libs {
		if o := r.tree.Package(name); o != nil && o.Recipe != r {
			n.Libs = append(n.Libs, o)
		} else if layer, ok := seed.LayerOf(name); ok {
			layers[layer] = true
		} else if broken := r.tree.brokenLike(name); broken != "" {
			p.add(path{"build", "libs", i}, "%s: the recipe %q, which may make %q, has mistakes; see pkgtool recipe lint", r.Name, broken, name)
		} else {
			p.add(path{"build", "libs", i}, "%s: no other recipe makes a package %q%s", r.Name, name, didYouMean(name, r.tree.packages))
		}
	}
	for layer := range layers {
		if layer != "base" {
			n.Layers = append(n.Layers, layer)
		}
	}
	slices.Sort(n.Layers)
	return n, p.err()
}

// placeOf finds where a tool is asked for, for messages.
func (r *Recipe) placeOf(tool string) path {
	for key, list := range map[string][]string{"tools": r.Build.Tools, "check": r.Build.Check} {
		if i := slices.Index(list, tool); i >= 0 {
			return path{"build", key, i}
		}
	}
	return path{"phases"}
}

// brokenLike names a recipe with mistakes that a package seems to come from.
func (t *Tree) brokenLike(name string) string {
	for broken := range t.broken {
		if name == broken || strings.HasPrefix(name, broken+"-") {
			return broken
		}
	}
	return ""
}

// Before returns the recipes whose packages must exist before r is built,
// each once, sorted by name: those of its needs, and those that its needs ask
// for at run time by name. Needs that a package gets automatically lead to
// recipes that were built before it anyway.
func (r *Recipe) Before(seed Seed) ([]*Recipe, error) {
	needs, err := r.Needs(seed)
	if err != nil {
		return nil, err
	}
	found := map[string]*Recipe{}
	seen := map[*Package]bool{}
	var follow func(o *Owned, depends bool)
	follow = func(o *Owned, depends bool) {
		if o.Recipe == r || seen[o.Package] {
			return
		}
		seen[o.Package] = true
		found[o.Recipe.Name] = o.Recipe
		if !depends && !o.Package.IsDev() {
			return
		}
		for _, text := range o.Package.Depends {
			if d, err := version.ParseDependency(text); err == nil {
				if next := r.tree.Package(d.Name); next != nil {
					follow(next, depends)
				}
			}
		}
	}
	for _, o := range needs.Tools {
		follow(o, true)
	}
	for _, o := range needs.Libs {
		follow(o, false)
	}
	for i := range r.Tests {
		needs, err := r.TestNeeds(i, seed)
		if err != nil {
			return nil, err
		}
		for _, o := range append(needs.Packages, needs.Tools...) {
			follow(o, true)
		}
	}
	for i := range r.Packages { // what its own packages need is there when they are tested
		for _, text := range r.Packages[i].Depends {
			if d, err := version.ParseDependency(text); err == nil && len(r.Tests) > 0 {
				if next := r.tree.Package(d.Name); next != nil {
					follow(next, true)
				}
			}
		}
	}
	return sortedRecipes(found), nil
}

func sortedRecipes(m map[string]*Recipe) []*Recipe {
	list := make([]*Recipe, 0, len(m))
	for _, r := range m {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *Recipe) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Order returns the named recipes (all when there are none) and everything
// they need, each after what it needs; ties by name. A cycle is an error that
// shows the whole chain.
func (t *Tree) Order(names []string, seed Seed) ([]*Recipe, map[*Recipe][]*Recipe, error) {
	names, err := t.Expand(names)
	if err != nil {
		return nil, nil, err
	}
	if len(names) == 0 {
		names = t.Names()
	}
	var order []*Recipe
	before := map[*Recipe][]*Recipe{}
	done := map[*Recipe]bool{}
	var chain []string
	var visit func(r *Recipe) error
	visit = func(r *Recipe) error {
		if i := slices.Index(chain, r.Name); i >= 0 {
			return fault.Mark(fmt.Errorf("recipes need each other in a circle: %s", strings.Join(append(chain[i:], r.Name), " -> ")),
				fault.Usage, "remove one of these needs, or move what is needed into a recipe of its own")
		}
		if done[r] {
			return nil
		}
		chain = append(chain, r.Name)
		defer func() { chain = chain[:len(chain)-1] }()
		needs, err := r.Before(seed)
		if err != nil {
			return err
		}
		for _, n := range needs {
			if err := visit(n); err != nil {
				return err
			}
		}
		before[r] = needs
		done[r] = true
		order = append(order, r)
		return nil
	}
	for _, name := range names {
		r, err := t.Recipe(name)
		if err != nil {
			return nil, nil, err
		}
		if err := visit(r); err != nil {
			return nil, nil, err
		}
	}
	return order, before, nil
}
