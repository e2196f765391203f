package build

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/source"
)

// again builds a recipe in a place with a second engine, in this process, with
// another number of jobs.
func (b *bench) again(ctx context.Context, r *recipe.Recipe, p *Place) error {
	cache, err := OpenCache(filepath.Join(p.Cache, "build"))
	if err != nil {
		return err
	}
	e := b.engine()
	e.Cache, e.Fetcher, e.Out, e.Jobs = cache, &source.Fetcher{CacheDir: p.Cache}, filepath.Join(p.Dir, "out"), 7
	_, err = e.Build(ctx, []string{r.Name})
	return err
}

func (b *bench) verify(v Verification, names ...string) map[string]Verified {
	b.t.Helper()
	v.Again = b.again
	all, err := b.engine().Verify(b.t.Context(), names, v)
	if err != nil {
		b.t.Fatal(err)
	}
	byName := map[string]Verified{}
	for _, x := range all {
		byName[x.Recipe] = x
	}
	return byName
}

func TestVerify(t *testing.T) {
	b := newBench(t)
	b.recipe("lib", "packages: [{name: lib-dev, split: dev}]", "put, usr/include/lib.h, one")
	b.recipe("app", "build: {libs: [lib-dev]}", "append, /usr/include/lib.h, usr/share/app")
	b.recipe("jobs", "packages: [{name: jobs, files: [/usr/share/j*]}, {name: jobs-data, files: [/usr/share/data]}]", "jobs, usr/share/jobs", "put, usr/share/data, x")
	// What is built upon the recipe that differs is itself the same again.
	b.recipe("upon", "build: {tools: [jobs]}", "put, usr/share/upon, x")
	keep := filepath.Join(t.TempDir(), "keep")
	all := b.verify(Verification{Parallel: 2, Keep: keep})
	for _, name := range []string{"lib", "app", "upon"} {
		if x := all[name]; !x.Same || x.Error != "" || len(x.Packages) != 1 {
			t.Errorf("%s: %+v", name, x)
		}
	}
	x := all["jobs"]
	if x.Same || len(x.Packages) != 2 || x.Packages[0].Same || !x.Packages[1].Same {
		t.Fatalf("jobs: %+v", x)
	}
	p := x.Packages[0]
	if len(p.Difference.Files) != 1 || len(p.Content) != 1 || p.Content[0].Path != "usr/share/jobs" {
		t.Fatalf("%+v", p)
	}
	if text := strings.Join(p.Content[0].What, "\n"); !strings.Contains(text, "+JOBS=7") {
		t.Errorf("content: %s", text)
	}
	for _, side := range []string{"first", "second"} {
		if _, err := os.Stat(filepath.Join(keep, side, "jobs-1.0.0-1.x86_64.ashlar")); err != nil {
			t.Error(err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(b.cache, "build/work/verify-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if built, packed := b.must(); built+packed != "" {
		t.Errorf("verifying changed the cache: %s/%s built again", built, packed)
	}
}

func TestVerifyTellsWhyItCannotCompare(t *testing.T) {
	b := newBench(t)
	b.setUp = func(e *Engine) {
		if e.Jobs == 0 {
			e.Jobs = 1
		}
	}
	b.recipe("moody", "", "onejob", "put, usr/share/x, x")
	x := b.verify(Verification{})["moody"]
	if x.Same || !strings.Contains(x.Error, "more than one job") || len(x.Packages) > 0 {
		t.Errorf("%+v", x)
	}
}
