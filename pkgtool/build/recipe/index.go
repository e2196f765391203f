package recipe

import (
	"maps"
	"slices"

	"ashlar/pkgtool/version"
)

// index maps package names and declared provides to their recipes, and checks
// what concerns more than one recipe.
func (t *Tree) index() {
	for _, name := range slices.Sorted(maps.Keys(t.recipes)) {
		r := t.recipes[name]
		p := &problems{pos: r.pos}
		for i := range r.Packages {
			pkg := &r.Packages[i]
			if other := t.packages[pkg.Name]; other != nil && other.Recipe != r {
				p.add(path{"packages", i, "name"}, "package %q is also made by %s", pkg.Name, other.Recipe.file)
				continue
			}
			t.packages[pkg.Name] = &Owned{r, pkg}
			for _, text := range pkg.Provides {
				if provide, err := version.ParseProvide(text); err == nil {
					t.provides[provide.Name] = append(t.provides[provide.Name], &Owned{r, pkg})
				}
			}
		}
		t.breakRecipe(r, p)
	}
	for _, name := range slices.Sorted(maps.Keys(t.recipes)) {
		r := t.recipes[name]
		p := &problems{pos: r.pos}
		t.checkDepends(r, p)
		t.problems = append(t.problems, p.list...)
	}
}

// breakRecipe takes a recipe with problems out of use.
func (t *Tree) breakRecipe(r *Recipe, p *problems) {
	if len(p.list) > 0 {
		t.broken[r.Name] = p.err()
		delete(t.recipes, r.Name)
	}
}

// checkDepends reports run-time needs that name no package of the tree.
func (t *Tree) checkDepends(r *Recipe, p *problems) {
	for i, pkg := range r.Packages {
		for key, list := range map[string][]string{"depends": pkg.Depends, "recommends": pkg.Recommends} {
			for j, text := range list {
				d, err := version.ParseDependency(text)
				if err != nil || version.IsCapability(d.Name) || t.Package(d.Name) != nil {
					continue
				}
				p.add(path{"packages", i, key, j}, "no recipe here makes a package %q%s", d.Name, didYouMean(d.Name, t.packages))
			}
		}
	}
}
