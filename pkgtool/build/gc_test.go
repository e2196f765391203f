package build

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// age makes everything in a cache look as if it was last used longer ago.
func (b *bench) age(ago time.Duration) {
	b.t.Helper()
	files, err := filepath.Glob(filepath.Join(b.cache, "build/results/*"))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			b.t.Fatal(err)
		}
		if err := os.Chtimes(f, time.Time{}, info.ModTime().Add(-ago)); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) collect(o Collection) *Collected {
	b.t.Helper()
	cache, err := OpenCache(filepath.Join(b.cache, "build"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer cache.users.f.Close()
	rep, err := cache.Collect(b.t.Context(), o)
	if err != nil {
		b.t.Fatal(err)
	}
	return rep
}

// once builds with an engine that is gone afterwards.
func (b *bench) once() string {
	b.t.Helper()
	e := b.engine()
	defer e.Cache.users.f.Close()
	b.events = nil
	if _, err := e.Build(b.t.Context(), nil); err != nil {
		b.t.Fatal(err)
	}
	return b.told(Started)
}

func TestCollect(t *testing.T) {
	b := newBench(t)
	lib := func(content string) {
		b.recipe("lib", "packages: [{name: lib-dev, split: dev}]", "put, usr/include/lib.h, "+content)
	}
	b.recipe("app", "build: {libs: [lib-dev]}", "append, /usr/include/lib.h, usr/share/app")
	for i := range 5 {
		b.age(2 * time.Hour)
		lib(fmt.Sprint("version", i))
		b.once()
	}
	count := func(dir string) int {
		entries, err := os.ReadDir(filepath.Join(b.cache, "build", dir))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	if n := count("results"); n != 10 {
		t.Fatalf("%d results", n)
	}
	if rep := b.collect(Collection{Keep: 2, Grace: 30 * 24 * time.Hour}); rep.Results+rep.Packages+rep.Trees > 0 {
		t.Errorf("young things were removed: %+v", rep)
	}
	dry := b.collect(Collection{Keep: 2, DryRun: true})
	if count("results") != 10 || dry.Results != 6 || dry.Shared {
		t.Errorf("dry run: %+v, %d results", dry, count("results"))
	}
	rep := b.collect(Collection{Keep: 2})
	dry.Other = rep.Other // locks are not counted
	if *rep != *dry {
		t.Errorf("removed %+v\n said %+v", rep, dry)
	}
	for dir, want := range map[string]int{"results": 4, "packages": 4, "trees": 2, "installed": 4, "actions": 4} {
		if n := count(dir); n != want {
			t.Errorf("%d %s, want %d", n, dir, want)
		}
	}
	expect(t, "built after a collection", b.once(), "")
	lib("version3")
	expect(t, "built at the version before", b.once(), "")
	lib("version0")
	expect(t, "built at a version that is gone", b.once(), "app lib")

	b.age(10 * time.Hour)
	expect(t, "built", b.once(), "") // marks what is in use
	b.collect(Collection{Keep: 2, Grace: time.Hour, MaxSize: 1})
	if n := count("results"); n != 2 {
		t.Errorf("%d results in a cache of one byte with two in use", n)
	}
	expect(t, "built after a bound", b.once(), "")
}

// TestCollectBesideABuild: nothing of the last day goes while another engine
// uses the cache.
func TestCollectBesideABuild(t *testing.T) {
	b := newBench(t)
	for i := range 4 {
		b.recipe("a", "", fmt.Sprintf("put, usr/share/x, %d", i))
		b.once()
	}
	e := b.engine() // lives
	if rep := b.collect(Collection{Keep: 1}); !rep.Shared || rep.Results > 0 {
		t.Errorf("%+v", rep)
	}
	e.Cache.users.f.Close()
	if rep := b.collect(Collection{Keep: 1}); rep.Shared || rep.Results != 3 {
		t.Errorf("%+v", rep)
	}
}

func TestCollectKeepsWhatIsPublished(t *testing.T) {
	b := newBench(t)
	var first string
	for i := range 3 {
		b.recipe("a", "", fmt.Sprintf("put, usr/share/x, %d", i))
		b.once()
		if i == 0 {
			first = b.pkg("a-1.0.0-1.x86_64.ashlar").ManifestSHA256()
		}
		b.age(2 * time.Hour)
	}
	b.collect(Collection{Keep: 1, Published: map[string]bool{first: true}})
	b.recipe("a", "", "put, usr/share/x, 0")
	expect(t, "built what is published", b.once(), "")
	b.recipe("a", "", "put, usr/share/x, 1")
	expect(t, "built what is not", b.once(), "a")
}
