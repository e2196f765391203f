package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"ashlar/pkgtool/build/source"
	"ashlar/tests/bench/measure"
)

// compiled are the recipes of the scheduling run: short and long ones, some of
// which need others of them.
var compiled = []string{"bzip2", "diffutils", "expat", "file", "gdbm", "grep", "gzip", "less", "lz4", "ncurses", "procps-ng", "psmisc", "readline", "sed", "xz", "zlib", "zstd"}

// schedule measures how much of the cores a cold build of recipes leaves idle:
// its time beside the processor time of everything that it ran.
func (b *bench) schedule(ctx context.Context) error {
	const group = "build, scheduling"
	dir := filepath.Join(b.dataDir, "build")
	if err := remove(dir); err != nil {
		return err
	}
	defer remove(dir)
	out := filepath.Join(dir, "packages")
	build := func(tree string) []string {
		return append([]string{b.pkgtool, "build", "--json", "--quiet", "--no-test", "--recipes", tree, "--out", out}, compiled...)
	}
	// What they stand on comes from the host's cache, and is built if it is not there.
	b.say("bringing the cache up to date")
	if err := command(ctx, b.pkgtool, build("recipes")[1:]...); err != nil {
		return err
	}
	env, err := ownCache(dir)
	if err != nil {
		return err
	}
	host, err := source.Host()
	if err != nil {
		return err
	}
	for _, name := range []string{"packages", "results", "seconds.json"} {
		into := filepath.Join(dir, "cache/build")
		if err := errors.Join(os.MkdirAll(into, 0o755), command(ctx, "cp", "-a", filepath.Join(host.CacheDir, "build", name), into)); err != nil {
			return err
		}
	}
	tree := filepath.Join(dir, recipeFolder)
	if err := copyOf(ctx, "recipes", tree); err != nil {
		return err
	}
	// A file more in its folder, and a recipe has to be built.
	files := map[string]string{}
	for _, name := range compiled {
		files[name+"/files/built-for-a-benchmark"] = ""
	}
	if err := makeFiles(tree, files); err != nil {
		return err
	}
	check := func(out []byte) error {
		var built []struct {
			Recipe string
			Cached bool
		}
		if err := json.Unmarshal(out, &built); err != nil {
			return err
		}
		fresh := map[string]bool{}
		for _, p := range built {
			if !p.Cached {
				fresh[p.Recipe] = true
			}
		}
		if len(fresh) != len(compiled) {
			return fmt.Errorf("%d recipes were built, not %d", len(fresh), len(compiled))
		}
		return nil
	}
	err = b.group(ctx, group, []measure.Case{{Name: fmt.Sprintf("%d recipes, cold", len(compiled)), Args: build(tree), Env: env, Check: check, Rounds: 1}})
	r := b.report.Results[len(b.report.Results)-1]
	if err != nil || r.Problem != "" {
		return err
	}
	perfect := r.CPU / float64(runtime.NumCPU())
	b.fact(group, "processor time of all builds over the cores", "", "%.1f s", perfect)
	b.fact(group, "time more than that", "15 %", "%.1f %%", (r.Median/perfect-1)*100)
	return nil
}
