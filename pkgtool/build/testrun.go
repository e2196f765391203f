package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/fault"
)

// testFolder is where a test starts: an empty folder.
const testFolder = buildFolder + "/test"

// passed is what a test that succeeded leaves in the cache, by the digest of
// all it could see.
type passed struct {
	Recipe  string  `json:"recipe"`
	Test    string  `json:"test"`
	Seconds float64 `json:"seconds"`
}

// testAction is everything a test can see.
type testAction struct {
	Behaviour int               `json:"behaviour"`
	Env       map[string]string `json:"env"`
	Run       string            `json:"run"`
	Files     []digested        `json:"files"`
	Root      []digested        `json:"root"`
	Seed      []digested        `json:"seed"`
}

// runTests tries the tests of a recipe with its finished packages, each in a
// fresh root. Those that succeeded with the same packages before are not tried
// again.
func (e *Engine) runTests(ctx context.Context, r *recipe.Recipe, own, available []*builtPackage) error {
	if e.NoTests {
		return nil
	}
	for i := range r.Tests {
		test := &r.Tests[i]
		root, err := e.testRoot(r, i, append(slices.Clone(own), available...))
		if err != nil {
			return err
		}
		a := testAction{Behaviour: behaviour, Env: environment(r, e.Tree.Arch), Run: test.Run}
		files, err := e.recipeFiles(r)
		if err != nil {
			return err
		}
		for _, f := range files {
			sum, err := e.digests.sum(f.from)
			if err != nil {
				return err
			}
			a.Files = append(a.Files, digested{f.name, sum})
		}
		for _, p := range root.packages {
			a.Root = append(a.Root, digested{p.manifest.Name, p.digest})
		}
		for _, layer := range root.layers {
			a.Seed = append(a.Seed, digested{layer, e.Seed.Digest(layer)})
		}
		testKey := key(a)
		if e.Cache.readJSON(&passed{}, "tests", testKey+".json") {
			e.Cache.touch("tests", testKey+".json")
			continue
		}
		e.report(Event{Kind: Testing, Recipe: r.Name, Text: test.Title(i)})
		start := time.Now()
		if err := e.runTest(ctx, r, i, testKey, root); err != nil {
			return err
		}
		if err := e.Cache.writeJSON(passed{r.Name, test.Title(i), time.Since(start).Seconds()}, "tests", testKey+".json"); err != nil {
			return err
		}
	}
	return nil
}

// testRoot finds the packages that a test sees: those it installs and its tools,
// with everything they need at run time.
func (e *Engine) testRoot(r *recipe.Recipe, i int, available []*builtPackage) (*buildRoot, error) {
	needs, err := r.TestNeeds(i, e.Seed)
	if err != nil {
		return nil, err
	}
	c := &closure{universe: newUniverse(available), chosen: map[string]*builtPackage{}}
	for _, o := range append(needs.Packages, needs.Tools...) {
		p := c.universe.byName[o.Package.Name]
		if p == nil {
			return nil, fault.Errorf(fault.Usage, "%s: test %s uses the package %s, which is not made before this recipe's packages", r.Name, r.Tests[i].Title(i), o.Package.Name)
		}
		if err := c.follow(p, true); err != nil {
			return nil, err
		}
	}
	return &buildRoot{packages: c.sorted(), layers: append(slices.Clone(needs.Layers), "base")}, nil
}

func (e *Engine) runTest(ctx context.Context, r *recipe.Recipe, i int, testKey string, root *buildRoot) (err error) {
	work, err := e.Cache.newWork(r.Name + "-test")
	if err != nil {
		return err
	}
	defer e.clear(r, work)
	folders, err := makeFolders(work.path, r)
	if err != nil {
		return explainDisk(err)
	}
	objects := filepath.Join(folders.build, filepath.Base(objectsFolder))
	err = errors.Join(os.Remove(folders.source), os.Rename(objects, filepath.Join(folders.build, filepath.Base(testFolder))))
	if err != nil {
		return explainDisk(err)
	}
	if err := e.provideRecipe(r, folders); err != nil {
		return err
	}
	layers, err := e.materialize(ctx, root)
	if err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	file, err := e.logFile(r, testKey)
	if err != nil {
		return err
	}
	defer file.Close()
	log := &buildLog{w: file, engine: e, recipe: r.Name}
	env := environment(r, e.Tree.Arch)
	for _, name := range []string{"SRCDIR", "BUILDDIR", "DESTDIR", "SOURCES"} {
		delete(env, name) // a test sees what is installed, and nothing of the build
	}
	title := r.Tests[i].Title(i)
	w := &Work{
		Recipe: r.Name, Action: testKey, Root: layers, Build: folders.build, Files: folders.recipe, Scratch: folders.scratch,
		Commands: []sandbox.Command{{Name: "test: " + title, Argv: []string{"/usr/bin/bash", "-euo", "pipefail", "-c", r.Tests[i].Run}, Dir: testFolder}},
		Env:      environ(env), Log: log, Jobs: 1,
	}
	if err := e.executor().Run(ctx, w); err != nil {
		return e.explainFailure(ctx, w, file.Name(), log, folders, err)
	}
	return file.Close()
}
