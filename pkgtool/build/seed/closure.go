package seed

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"ashlar/pkgtool/build/source/apt"
	"ashlar/pkgtool/fault"
)

// layerOrder is the order in which packages are given to layers: a package
// that two layers need is in the earlier one.
var layerOrder = []string{BaseLayer, LibcDevLayer, "gcc", "extra"}

// order returns the keys of m in layerOrder, others after them by name.
func order[T any](m map[string]T) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	rank := func(name string) int {
		if i := slices.Index(layerOrder, name); i >= 0 {
			return i
		}
		return len(layerOrder)
	}
	sort.Slice(names, func(i, j int) bool {
		if a, b := rank(names[i]), rank(names[j]); a != b {
			return a < b
		}
		return names[i] < names[j]
	})
	return names
}

// chooser computes layers from an index.
type chooser struct {
	packages  map[string]*apt.Package
	providers map[string][]string // by provided name, sorted
	wanted    map[string]bool     // in any layer
	without   map[string]bool
	layer     map[string]string // package -> layer, so far
}

// choose returns the packages of each layer: what is wanted and its
// dependencies, taking of alternatives one that is already there, else one
// that is wanted, else the first.
func choose(packages map[string]*apt.Package, wanted map[string][]string, without []string) (map[string][]*apt.Package, error) {
	c := &chooser{packages: packages, providers: map[string][]string{}, wanted: map[string]bool{},
		without: map[string]bool{}, layer: map[string]string{}}
	for name, p := range packages {
		for _, virtual := range p.Provides {
			c.providers[virtual] = append(c.providers[virtual], name)
		}
	}
	for _, list := range c.providers {
		sort.Strings(list)
	}
	for _, names := range wanted {
		for _, name := range names {
			if packages[name] == nil {
				return nil, fault.Errorf(fault.Usage, "wanted package %q is not in the index", name)
			}
			c.wanted[name] = true
		}
	}
	for _, name := range without {
		c.without[name] = true
	}
	for _, layer := range order(wanted) {
		names := slices.Clone(wanted[layer])
		sort.Strings(names)
		for _, name := range names {
			if err := c.take(layer, name); err != nil {
				return nil, err
			}
		}
	}
	layers := map[string][]*apt.Package{}
	for name, layer := range c.layer {
		layers[layer] = append(layers[layer], packages[name])
	}
	for _, list := range layers {
		sort.Slice(list, func(i, j int) bool { return list[i].Path < list[j].Path })
	}
	return layers, nil
}

func (c *chooser) take(layer, name string) error {
	if c.layer[name] != "" {
		return nil
	}
	c.layer[name] = layer
	for _, dependency := range c.packages[name].Depends {
		next, err := c.pick(layer, dependency)
		if err != nil {
			return fmt.Errorf("package %s: %w", name, err)
		}
		if next == "" {
			continue
		}
		if err := c.take(layer, next); err != nil {
			return err
		}
	}
	return nil
}

// pick returns the package that satisfies the dependency, or "" if it is not
// to be followed or already satisfied.
func (c *chooser) pick(layer string, dependency apt.Dependency) (string, error) {
	var candidates []string
	for _, name := range dependency {
		if c.without[name] {
			return "", nil
		}
		if c.packages[name] != nil {
			candidates = append(candidates, name)
		}
		candidates = append(candidates, c.providers[name]...)
	}
	for _, name := range candidates {
		if c.layer[name] != "" {
			return "", nil
		}
	}
	for _, name := range candidates {
		if c.wanted[name] {
			return name, nil
		}
	}
	if len(candidates) == 0 {
		return "", fmt.Errorf("nothing in the index satisfies its dependency on %s", strings.Join(dependency, " | "))
	}
	if strings.HasSuffix(candidates[0], "-dev") && layer != LibcDevLayer {
		return "", nil
	}
	return candidates[0], nil
}
