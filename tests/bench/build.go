package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/build/source"
	"ashlar/tests/bench/measure"
)

// build measures what building costs besides compiling.
func (b *bench) build(ctx context.Context) error {
	return errors.Join(b.buildNothing(ctx), b.schedule(ctx))
}

// Shape of the tree of recipes that has nothing to do.
const (
	recipes      = 300
	needsEach    = 3  // recipes that one is built with, at most
	filesEach    = 20 // installed by each
	recipeFolder = "recipes"
)

// buildNothing measures a build of many recipes that are all in the cache, and
// the first build of them, whose steps do next to nothing.
func (b *bench) buildNothing(ctx context.Context) error {
	dir := filepath.Join(b.dataDir, "build")
	if err := remove(dir); err != nil {
		return err
	}
	defer remove(dir)
	tree := filepath.Join(dir, recipeFolder)
	if err := makeRecipes(ctx, tree); err != nil {
		return err
	}
	env, err := ownCache(dir)
	if err != nil {
		return err
	}
	args := []string{b.pkgtool, "build", "--json", "--quiet", "--recipes", tree, "--out", filepath.Join(dir, "packages")}
	// Each recipe makes two packages, and a noarch one has no debugging symbols.
	all := func(cached bool) func([]byte) error {
		return func(out []byte) error {
			var built []struct{ Cached bool }
			if err := json.Unmarshal(out, &built); err != nil {
				return err
			}
			if len(built) != 2*recipes {
				return fmt.Errorf("%d packages, not %d", len(built), 2*recipes)
			}
			for _, p := range built {
				if p.Cached != cached {
					return fmt.Errorf("from the cache: %v, not %v", p.Cached, cached)
				}
			}
			return nil
		}
	}
	first := measure.Case{Name: fmt.Sprintf("first build of %d recipes without a compiler", recipes), Args: args, Env: env, Check: all(false), Rounds: 1}
	if err := b.group(ctx, "build, everything new", []measure.Case{first}); err != nil {
		return err
	}
	r := b.report.Results[len(b.report.Results)-1]
	if r.Problem != "" {
		return errors.New(r.Problem)
	}
	b.fact("build, everything new", "one recipe, from its keys to its signed packages", "", "%.0f ms", r.Median/recipes*1000)
	return b.group(ctx, "build, nothing to do", []measure.Case{
		{Name: fmt.Sprintf("pkgtool build, %d recipes", recipes), Goal: "1.0", Args: args, Env: env, Check: all(true)},
		{Name: fmt.Sprintf("make, %d targets with as many files", recipes), Args: []string{"make", "-s", "-f", filepath.Join(tree, "Makefile")}},
	})
}

// makeRecipes writes recipes that need each other, and rules of make with the
// same dependencies.
func makeRecipes(ctx context.Context, tree string) error {
	random := rand.New(rand.NewPCG(5, 1))
	lock, err := os.ReadFile("recipes/seed.lock")
	if err != nil {
		return err
	}
	files := map[string]string{"seed.lock": string(lock)}
	var rules strings.Builder
	rules.WriteString("all:\n")
	for n := range recipes {
		name := fmt.Sprintf("r%03d", n)
		needs := map[string]bool{}
		for range min(n, random.IntN(needsEach+1)) {
			needs[fmt.Sprintf("r%03d", max(0, n-1-random.IntN(40)))] = true
		}
		libs := slices.Sorted(maps.Keys(needs))
		files[name+"/recipe.yaml"] = fmt.Sprintf(`schema: 1
name: %[1]s
version: "1.0.0"
release: 1
date: 2026-01-01
summary: Recipe %[1]s of many
license: MIT
build:
  strip: false
  libs: [%[2]s]
phases:
  install:
    - run: |
        mkdir -p "$DESTDIR/usr/share/%[1]s" "$DESTDIR/usr/share/doc/%[1]s"
        for i in {1..%[3]d}; do cat "$RECIPEDIR/files/text" >"$DESTDIR/usr/share/%[1]s/$i"; done
        cp "$RECIPEDIR/files/text" "$DESTDIR/usr/share/doc/%[1]s/text"
packages:
  - name: %[1]s
    arch: noarch
    files: ["/usr/share/%[1]s/**"]
  - name: %[1]s-doc
    arch: noarch
    split: doc
`, name, strings.Join(libs, ", "), filesEach)
		files[name+"/files/text"] = name + strings.Repeat(" a text of some length", 40) + "\n"
		fmt.Fprintf(&rules, "all: %[1]s/made\n%[1]s/made: %[1]s/recipe.yaml %[1]s/files/text\n", name)
		for _, lib := range libs {
			fmt.Fprintf(&rules, "%s/made: %s/made\n", name, lib)
		}
		for i := range filesEach {
			out := fmt.Sprintf("%s/out/%d", name, i)
			files[out] = ""
			fmt.Fprintf(&rules, "%s/made: %s\n", name, out)
		}
	}
	for n := range recipes { // the last, so that nothing is older than what it is made of
		files[fmt.Sprintf("r%03d/made", n)] = ""
	}
	files["Makefile"] = rules.String()
	if err := makeFiles(tree, files); err != nil {
		return err
	}
	return command(ctx, "sh", "-c", `cd "$1" && for i in r*; do touch -d "2026-01-02" $i/recipe.yaml $i/files/text $i/out/*; touch -d 2026-01-03 $i/made; done; sed -i 's,\(r[0-9]*/\),'"$1"'/\1,g' Makefile`, "sh", tree)
}

// ownCache is the environment of a build that has the sources and the seed of
// this host's cache, and results and keys of its own below dir.
func ownCache(dir string) ([]string, error) {
	host, err := source.Host()
	if err != nil {
		return nil, err
	}
	cache := filepath.Join(dir, "cache")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	for _, name := range []string{"sources", "seed"} {
		shared := filepath.Join(host.CacheDir, name)
		if err := errors.Join(os.MkdirAll(shared, 0o755), os.Symlink(shared, filepath.Join(cache, name))); err != nil {
			return nil, err
		}
	}
	return []string{"ASHLAR_CACHE=" + cache, "ASHLAR_KEYS=" + filepath.Join(dir, "keys")}, nil
}
