package client_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"ashlar/repo/index"
)

// universe makes as many packages as a big distribution has, with names,
// summaries and dependencies of usual lengths.
func universe(n int) []index.Entry {
	rng := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		b := make([]byte, 2+rng.IntN(8))
		for i := range b {
			b[i] = "etaoinshrdlu"[rng.IntN(12)]
		}
		return string(b)
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%s%d", word(), word(), i)
	}
	entries := make([]index.Entry, n)
	for i := range entries {
		var summary []string
		for range 4 + rng.IntN(6) {
			summary = append(summary, word())
		}
		e := index.Entry{Name: names[i], Version: fmt.Sprintf("%d.%d.0", rng.IntN(20), rng.IntN(40)), Release: 1, Arch: "x86_64", Summary: strings.Join(summary, " "),
			Recipe: names[i], Size: 1 << 20, InstalledSize: 3 << 20, MetaSize: 4096,
			SHA256: fmt.Sprintf("%064x", i+1), Manifest: fmt.Sprintf("%064x", i+1)}
		for range rng.IntN(12) {
			e.Requires = append(e.Requires, fmt.Sprintf("%s >=%d", names[rng.IntN(1+i/4)], rng.IntN(9)))
		}
		for range rng.IntN(3) {
			e.Provides = append(e.Provides, fmt.Sprintf("soname(lib%s.so.%d)", names[i], rng.IntN(9)))
		}
		e.Path = e.PoolPath()
		entries[i] = e
	}
	return entries
}

// BenchmarkUniverse measures what commands do with a repository of 63,000
// packages.
func BenchmarkUniverse(b *testing.B) {
	w, _ := newWorld(b)
	entries := universe(63_000)
	w.publishIndex(entries)
	url := "file://" + w.dir
	b.Run("refresh", func(b *testing.B) {
		for b.Loop() {
			n := w.newcomer(b)
			if _, err := n.client(url).Refresh(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	if _, err := w.client(url).Refresh(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Run("one changed", func(b *testing.B) {
		for n := 1; b.Loop(); n++ {
			b.StopTimer()
			e := &entries[30_000]
			e.SHA256 = fmt.Sprintf("%064x", 1<<50+n)
			e.Path = e.PoolPath()
			w.publishIndex(entries)
			b.StartTimer()
			if _, err := w.client(url).Refresh(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("nothing new", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.client(url).Refresh(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.client(url).Load(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, words := range map[string][]string{"rare": {"shri", "ette"}, "common": {"lut"}} {
		b.Run("search/"+name, func(b *testing.B) {
			hits := 0
			for b.Loop() {
				c := w.client(url)
				if _, err := c.Load(b.Context()); err != nil {
					b.Fatal(err)
				}
				hits = len(c.Search(words...))
			}
			b.ReportMetric(float64(hits), "hits")
		})
	}
	b.Run("closure", func(b *testing.B) {
		size := 0
		for b.Loop() {
			c := w.client(url)
			if _, err := c.Load(b.Context()); err != nil {
				b.Fatal(err)
			}
			seen := map[string]bool{entries[60_000].Name: true}
			for queue := []string{entries[60_000].Name}; len(queue) > 0; queue = queue[1:] {
				for _, e := range c.Providers(queue[0]) {
					for _, d := range e.Requires {
						name, _, _ := strings.Cut(d, " ")
						if !seen[name] {
							seen[name] = true
							queue = append(queue, name)
						}
					}
				}
			}
			size = len(seen)
		}
		b.ReportMetric(float64(size), "names")
	})
	b.Run("packages", func(b *testing.B) {
		c := w.client(url)
		if _, err := c.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if len(c.Packages()) != len(entries) {
				b.Fatal("some are missing")
			}
		}
	})
}
