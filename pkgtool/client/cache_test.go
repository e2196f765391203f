package client_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/client"
)

// TestCache: the cache tells what it holds, and cleaning follows the policy.
func TestCache(t *testing.T) {
	w, _ := newWorld(t)
	w.twoVersions(4 << 10)
	if all, err := w.dirs.Cached(); err != nil || len(all) != 0 {
		t.Fatalf("before anything: %v, %v", all, err)
	}
	c := w.client(w.serve(w.dir))
	w.mustWork(c)
	if err := w.upgrade(c); err != nil {
		t.Fatal(err)
	}
	packages := filepath.Join(w.dirs.Cache, "packages")
	bash := filepath.Join(packages, w.entry(c, "bash").SHA256+".ashlar")
	part := filepath.Join(packages, w.entryOf(c, "1.0.1").SHA256+".partial")
	rest := filepath.Join(packages, "url.1234.part")
	old := filepath.Join(w.dirs.Cache, "objects", strings.Repeat("ab", 32))
	gone := filepath.Join(w.dirs.Cache, "catalogues", "gone")
	writing := filepath.Join(packages, "5678.part")
	for _, path := range []string{rest, old, gone, writing} {
		write(t, path, []byte("x"))
	}
	for path, hours := range map[string]int{bash: 240, part: 72, rest: 24, old: 5, gone: 3} {
		at := time.Now().Add(-time.Duration(hours) * time.Hour)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	all, err := w.dirs.Cached()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{bash: "bash", part: "many", rest: "rest", old: "old index", gone: "gone", writing: "writing"}
	sizes := map[string]int64{}
	var listed []string
	for _, f := range all {
		name := names[f.Path]
		if name == "" {
			name = "needed"
		}
		sizes[name] = f.Size
		listed = append(listed, fmt.Sprintf("%s %s %q %t", name, f.Kind, f.Package, f.Needed))
	}
	text := strings.Join(listed, "\n")
	for _, want := range []string{
		`bash package "bash-5.2.15-1.x86_64" false`, `many package "many-1.0.1-1.x86_64" false`, `rest rest "" false`,
		`old index index "" false`, `gone catalogue "" false`, `needed catalogue "" true`, `needed index "" true`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in the list:\n%s", want, text)
		}
	}
	if listed[0][:4] != "bash" || strings.Contains(text, "writing") || sizes["many"] > 1<<20 || sizes["many"] < 50<<10 {
		t.Errorf("%d bytes\n%s", sizes["many"], text)
	}

	clean := func(policy client.CachePolicy) string {
		removed, err := w.dirs.CleanCache(t.Context(), policy)
		if err != nil {
			t.Error(err)
		}
		var got []string
		for _, f := range removed {
			got = append(got, names[f.Path])
			if _, err := os.Stat(f.Path); (err == nil) != policy.DryRun {
				t.Errorf("%s: %v", names[f.Path], err)
			}
		}
		return strings.Join(got, ", ")
	}
	for _, step := range []struct {
		policy client.CachePolicy
		want   string
	}{
		{client.CachePolicy{Age: 5 * 24 * time.Hour, Bytes: -1, DryRun: true}, "bash, rest, old index, gone"},
		{client.CachePolicy{Bytes: -1}, "rest, old index, gone"},
		{client.CachePolicy{Bytes: sizes["many"]}, "bash"},
		{client.CachePolicy{Age: 5 * 24 * time.Hour, Bytes: sizes["many"]}, ""},
		{client.CachePolicy{Bytes: 0}, "many"},
	} {
		if got := clean(step.policy); got != step.want {
			t.Errorf("%+v removed %q, want %q", step.policy, got, step.want)
		}
	}
	w.mustWork(w.client(w.serve(w.dir)))
}

// TestUseIsNoted: what is used again is not what was used least recently.
func TestUseIsNoted(t *testing.T) {
	w, _ := newWorld(t)
	w.twoVersions(4 << 10)
	c := w.client(w.serve(w.dir))
	w.mustWork(c)
	if err := w.upgrade(c); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join(w.dirs.Cache, "packages"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	before := time.Now().AddDate(0, 0, -9)
	for _, f := range files {
		if err := os.Chtimes(filepath.Join(w.dirs.Cache, "packages", f.Name()), before, before); err != nil {
			t.Fatal(err)
		}
	}
	w.mustWork(c)
	if err := w.fetchChanged(c); err != nil {
		t.Fatal(err)
	}
	if removed, err := w.dirs.CleanCache(t.Context(), client.CachePolicy{Age: time.Hour, Bytes: -1}); err != nil || len(removed) != 0 {
		t.Errorf("%v, %v", removed, err)
	}
}
