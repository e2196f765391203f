package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	b := newBench(t)
	b.recipe("lib", "packages: [{name: lib-dev, split: dev}]", "put, usr/include/lib.h, one", "link, lib.h, usr/include/other.h")
	b.recipe("app", "build: {libs: [lib-dev]}", "append, /usr/include/lib.h, usr/share/app")
	b.must()
	cache := b.engine().Cache
	check := func(repair bool) *Checked {
		t.Helper()
		rep, err := cache.Check(t.Context(), 2, repair)
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	if rep := check(false); len(rep.Problems) > 0 || rep.Packages != 2 || rep.Trees != 1 {
		t.Fatalf("%+v", rep)
	}
	trees, _ := filepath.Glob(filepath.Join(b.cache, "build/trees/*/usr/include"))
	packages, _ := filepath.Glob(filepath.Join(b.cache, "build/packages/*"))
	if len(trees) != 1 || len(packages) != 2 {
		t.Fatal(trees, packages)
	}
	for _, c := range []struct {
		want  string
		spoil func() error
	}{
		{"has the sha256", func() error { return os.WriteFile(trees[0]+"/lib.h", []byte("two"), 0o644) }},
		{"has mode 0755", func() error { return os.Chmod(trees[0]+"/lib.h", 0o755) }},
		{"is not in the package", func() error { return os.WriteFile(trees[0]+"/more.h", nil, 0o644) }},
		{"1 of 2 files are missing", func() error { return os.Remove(trees[0] + "/other.h") }},
		{"its sha256 is", func() error { return os.Truncate(packages[0], 100) }},
	} {
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		if rep := check(false); len(rep.Problems) == 0 || !strings.Contains(strings.Join(rep.Problems, "\n"), c.want) || rep.Removed > 0 {
			t.Errorf("want %q: %+v", c.want, rep)
		}
		if rep := check(true); rep.Removed == 0 {
			t.Errorf("want %q: nothing was removed: %+v", c.want, rep)
		}
		if rep := check(false); len(rep.Problems) > 0 {
			t.Errorf("want %q: after a repair: %+v", c.want, rep)
		}
		// What was removed is made again where a build needs it.
		b.recipe("app", "build: {libs: [lib-dev], env: {X: "+strings.ReplaceAll(c.want, " ", "_")+"}}", "append, /usr/include/lib.h, usr/share/app")
		b.must()
		if trees, _ = filepath.Glob(filepath.Join(b.cache, "build/trees/*/usr/include")); len(trees) != 1 {
			t.Fatal(trees)
		}
		packages, _ = filepath.Glob(filepath.Join(b.cache, "build/packages/*"))
	}
}
