package recipe

import (
	"fmt"
	"slices"
)

// TestNeeds are what a test's root is made of.
type TestNeeds struct {
	Layers   []string // of the seed, sorted, besides base
	Tools    []*Owned // packages of other recipes with programs that the test uses
	Packages []*Owned // packages it installs, of this recipe and of others
}

// Title is what reports call the i-th test of a recipe.
func (t *Test) Title(i int) string {
	if t.Name != "" {
		return t.Name
	}
	return fmt.Sprint(i + 1)
}

// TestNeeds resolves what the i-th test asks for.
func (r *Recipe) TestNeeds(i int, seed Seed) (*TestNeeds, error) {
	test, at := &r.Tests[i], path{"test", i}
	p := &problems{pos: r.pos}
	n := &TestNeeds{}
	layers := map[string]bool{}
	for j, name := range test.Tools {
		if layer, ok := seed.LayerOf(name); ok {
			layers[layer] = true
		} else if o := r.tree.Package(name); o != nil {
			n.Tools = append(n.Tools, o)
		} else {
			p.add(at.with("tools", j), "%s: the tool %q of a test is neither in the seed nor a package of a recipe%s", r.Name, name, didYouMean(name, r.tree.packages))
		}
	}
	for j, name := range test.Packages {
		if o := r.tree.Package(name); o != nil {
			n.Packages = append(n.Packages, o)
		} else {
			p.add(at.with("packages", j), "%s: no recipe makes a package %q that a test installs%s", r.Name, name, didYouMean(name, r.tree.packages))
		}
	}
	if test.Packages == nil {
		for j := range r.Packages {
			if pkg := &r.Packages[j]; !slices.Contains([]string{"dev", "doc", "static", "locale", "debug"}, pkg.Split) {
				n.Packages = append(n.Packages, &Owned{r, pkg})
			}
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
