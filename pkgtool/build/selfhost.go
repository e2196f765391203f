package build

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
)

// Stage says which packages of this tree take the place of the seed: the file
// selfhost.yaml beside the recipes.
type Stage struct {
	Schema int                 `yaml:"schema" jsonschema:"enum=1" jsonschema_description:"Version of this format: 1."`
	Base   []string            `yaml:"base" jsonschema_description:"Packages of every root, with all they need to run."`
	Tools  map[string][]string `yaml:"tools,omitempty" jsonschema_description:"Packages for what recipes call by the seed's name for it. A tool that is not here is the package of its name."`
}

// StageFile is the name of the file in the folder of all recipes.
const StageFile = "selfhost.yaml"

// ReadStage reads selfhost.yaml in the folder of all recipes. Errors are of
// class fault.Usage.
func ReadStage(dir string) (*Stage, error) {
	path, s := filepath.Join(dir, StageFile), &Stage{}
	if err := strictyaml.ReadFile(path, s); err != nil {
		return nil, err
	}
	if s.Schema != 1 || len(s.Base) == 0 {
		return nil, fault.Errorf(fault.Usage, "%s: needs schema 1 and at least one package under base", path)
	}
	return s, nil
}

// Rebuilt is a recipe that was built without the seed.
type Rebuilt struct {
	Verified        // Same is about files and relations; the packages name other builds
	Missing  string `json:"missing,omitempty"` // what only the seed has, so that it was not tried
}

// SelfHost builds the named recipes (all when there are none) and what a stage
// is made of as usual, and then each once more in roots of the packages of that
// first round alone, without any file of the seed. Further rounds stand on the
// packages of the one before; the result compares the last two rounds.
//
// What comes out different is no error: where the seed's compiler is not quite
// ours, only a third round can equal the second. Recipes that fail are noted,
// and their packages of the round before stay in use.
func (e *Engine) SelfHost(ctx context.Context, s *Stage, names []string, rounds int) ([]Rebuilt, error) {
	targets, err := e.targets(names)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, r := range targets {
		wanted[r.Name] = true
	}
	if err := e.addStage(s, targets, wanted); err != nil {
		return nil, err
	}
	first := slices.Sorted(maps.Keys(wanted))
	if _, err := e.Build(ctx, first); err != nil {
		return nil, err
	}
	packages, err := e.standing(ctx, first)
	if err != nil {
		return nil, err
	}
	var rebuilt []Rebuilt
	for round := 2; round <= rounds; round++ {
		if rebuilt, packages, err = e.round(ctx, s, targets, packages); err != nil {
			return nil, err
		}
	}
	return rebuilt, nil
}

// addStage adds the recipes of what the targets' roots are made of.
func (e *Engine) addStage(s *Stage, targets []*recipe.Recipe, wanted map[string]bool) error {
	add := func(name string) bool {
		o := e.Tree.Package(name)
		if o != nil {
			wanted[o.Recipe.Name] = true
		}
		return o != nil
	}
	for _, name := range s.Base {
		if !add(name) {
			return fault.Errorf(fault.Usage, "%s: no recipe makes the package %q", StageFile, name)
		}
	}
	for _, r := range targets {
		for _, tool := range r.Tools() {
			for _, name := range s.packagesFor(tool) {
				add(name) // what is missing is noted with the recipe
			}
		}
	}
	return nil
}

// packagesFor are the packages that stand for a tool.
func (s *Stage) packagesFor(tool string) []string {
	if list, ok := s.Tools[tool]; ok {
		return list
	}
	return []string{tool}
}

// standing returns the packages of recipes that are in the cache.
func (e *Engine) standing(ctx context.Context, names []string) ([]*builtPackage, error) {
	var all []*builtPackage
	return all, e.walk(ctx, names, func(c *current) error {
		if c.result == nil {
			return fmt.Errorf("%s was built, but is no longer in the cache", c.recipe.Name)
		}
		out, err := e.outcome(ctx, c.recipe, c.result, true, nil)
		if err == nil {
			all = append(all, out.packages...)
		}
		return err
	})
}

// round builds the targets on packages, and returns how they compare, and the
// packages to stand on next.
func (e *Engine) round(ctx context.Context, s *Stage, targets []*recipe.Recipe, packages []*builtPackage) ([]Rebuilt, []*builtPackage, error) {
	st := &stage{Stage: s, universe: newUniverse(fromSource(packages))}
	again := &Engine{
		Tree: e.Tree, Seed: noSeed{}, Fetcher: e.Fetcher, Cache: e.Cache, Executor: e.Executor,
		Parallel: e.Parallel, Jobs: e.Jobs, NoTests: true, KeepGoing: true, Report: e.Report, Failed: e.Failed, stage: st,
	}
	again.digests = again.Cache.openDigests()
	var order []*recipe.Recipe
	rebuilt := make([]Rebuilt, 0, len(targets))
	for _, r := range targets {
		x := Rebuilt{Verified: Verified{Recipe: r.Name, Packages: []VerifiedPackage{}}}
		switch _, err := st.root(r); {
		case r.OriginOf() == "seed":
			x.Missing = "it repacks files of the seed"
		case err != nil:
			x.Missing = err.Error()
		default:
			order = append(order, r)
		}
		rebuilt = append(rebuilt, x)
	}
	// Everything that a root needs is there already: no order, no needs.
	schedule := newSchedule(again, order, map[*recipe.Recipe][]*recipe.Recipe{})
	err := schedule.run(ctx)
	if ctx.Err() != nil {
		return nil, nil, err
	}
	if err := again.digests.save(); err != nil {
		return nil, nil, err
	}
	next := newUniverse(packages).byName
	for i := range rebuilt {
		x := &rebuilt[i]
		r, _ := e.Tree.Recipe(x.Recipe)
		out := schedule.outcomes[r]
		if out == nil {
			if failure := schedule.failed[r]; failure != nil {
				x.Error = failure.Error()
			}
			continue
		}
		if err := e.compareRounds(ctx, x, next, out.packages); err != nil {
			return nil, nil, err
		}
	}
	return rebuilt, slices.SortedFunc(maps.Values(next), func(a, b *builtPackage) int { return strings.Compare(a.manifest.Name, b.manifest.Name) }), nil
}

// compareRounds compares the packages of a recipe with those of the round
// before, whose place they take.
func (e *Engine) compareRounds(ctx context.Context, x *Rebuilt, packages map[string]*builtPackage, made []*builtPackage) error {
	x.Same = true
	for _, b := range made {
		p := VerifiedPackage{Package: b.manifest.Name, Second: b.sha256}
		if a := packages[b.manifest.Name]; a != nil {
			p.First = a.sha256
			p.Same = a.digest == b.digest && relations(a.manifest) == relations(b.manifest)
		}
		if !p.Same {
			x.Same = false
			if err := p.explain(ctx, e.Cache, e.Cache); err != nil {
				return fmt.Errorf("compare both packages %s: %w", p.Package, err)
			}
		}
		packages[b.manifest.Name] = b
		x.Packages = append(x.Packages, p)
	}
	return nil
}

// fromSource leaves out what only repacks the seed.
func fromSource(packages []*builtPackage) []*builtPackage {
	return slices.DeleteFunc(slices.Clone(packages), func(p *builtPackage) bool {
		return p.owned.Recipe.OriginOf() == "seed"
	})
}

// stage makes roots without the seed.
type stage struct {
	*Stage
	universe *universe
}

// root finds the packages of a recipe's root.
func (s *stage) root(r *recipe.Recipe) (*buildRoot, error) {
	c := &closure{universe: s.universe, chosen: map[string]*builtPackage{}}
	add := func(what, name string, runs bool) error {
		p := s.universe.find(name)
		if p == nil {
			return fault.Errorf(fault.Failed, "no package here takes the place of the %s %s; write a recipe for it, or name one under tools in %s", what, name, StageFile)
		}
		return c.follow(p, runs)
	}
	for _, name := range s.Base {
		if err := add("base package", name, true); err != nil {
			return nil, err
		}
	}
	for _, tool := range r.Tools() {
		for _, name := range s.packagesFor(tool) {
			if err := add("tool", name, true); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range r.Build.Libs {
		if err := add("library", name, false); err != nil {
			return nil, err
		}
	}
	return &buildRoot{packages: c.sorted()}, nil
}

// noSeed is the seed of a round that has none.
type noSeed struct{}

func (noSeed) LayerOf(string) (string, bool) { return "", false }
func (noSeed) Digest(string) string          { return "" }
func (noSeed) Materialize(context.Context, string) (string, error) {
	return "", fmt.Errorf("a root without the seed has no layers: %w", os.ErrNotExist)
}
