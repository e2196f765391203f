package web_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/repo/repotest"
	"ashlar/repo/web"
)

// large makes a repository that lists n packages, which are not in its pool.
func large(t testing.TB, n int) string {
	now := repotest.Now
	r, dir := repotest.Repository(t, repo.Settings{}, &now, repotest.Key(t))
	rng := rand.New(rand.NewPCG(4, 2))
	words := strings.Fields("library server client tool for the fast secure network audio video image text parser compiler runtime of data files " +
		"development documentation debugging symbols graphical terminal database driver kernel module plugin theme font language")
	entries := make([]index.Entry, n)
	for i := range entries {
		e := &entries[i]
		*e = index.Entry{Name: fmt.Sprintf("%s-%s%d", words[rng.IntN(len(words))], words[rng.IntN(len(words))], i), Version: fmt.Sprintf("%d.%d.0", i%7, i%31),
			Release: 1, Arch: "x86_64", Recipe: "recipe", Size: 100_000 + int64(i), InstalledSize: 300_000, MetaSize: 900,
			SHA256: fmt.Sprintf("%064x", rng.Uint64()), Manifest: fmt.Sprintf("%064x", i*104729)}
		for range 8 {
			e.Summary += words[rng.IntN(len(words))] + " "
		}
		e.Provides = append(e.Provides, fmt.Sprintf("soname(lib%d.so.1)", i), fmt.Sprintf("cmd(run%d)", i))
		e.Requires = append(e.Requires, "soname(lib0.so.1)") // as all need the C library
		for range rng.IntN(20) {
			e.Requires = append(e.Requires, fmt.Sprintf("soname(lib%d.so.1)", rng.IntN(n)))
		}
		e.Path = e.PoolPath()
	}
	if err := r.SetListed(t.Context(), repo.DefaultChannel, entries...); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// BenchmarkPages makes pages of a repository of 30,000 packages.
func BenchmarkPages(b *testing.B) {
	dir := large(b, 30_000)
	site := web.New(b.Context(), dir, web.Options{Now: func() time.Time { return repotest.Now }})
	defer site.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	get(b, site, "/")
	loaded := time.Since(start)
	runtime.GC()
	runtime.GC() // what pools keep goes with the second
	runtime.ReadMemStats(&after)
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
		}
		b.ReportMetric(float64(loaded.Milliseconds()), "ms")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-held")
	})
	first := strings.Split(between(get(b, site, "/search?q=runtime").Body.String(), `href="packages/`, `/"`), "/")[0]
	for name, path := range map[string]string{
		"search-word": "/search?q=network", "search-two": "/search?q=audio+driver", "search-letter": "/search?q=a", "search-none": "/search?q=zzzz",
		"search-soname": "/search?q=lib29999.so.1", "search-path": "/search?q=/usr/bin/run777", "search-last-page": "/search?q=the&page=300",
		"start": "/", "package": "/packages/" + first + "/", "browse": "/browse/l/", "health": "/health/",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w := httptest.NewRecorder()
				site.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
				if w.Code != http.StatusOK {
					b.Fatal(path, w.Code)
				}
			}
		})
	}
}

func between(text, before, after string) string {
	_, rest, _ := strings.Cut(text, before)
	found, _, _ := strings.Cut(rest, after)
	return found
}

// BenchmarkExport writes the pages of 30,000 packages as files.
func BenchmarkExport(b *testing.B) {
	dir, out := large(b, 30_000), b.TempDir()
	for n := 0; b.Loop(); n++ {
		files, err := web.Export(b.Context(), dir, fmt.Sprintf("%s/%d", out, n), web.Options{URL: "https://packages.example.org/"})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(files), "files")
	}
}
