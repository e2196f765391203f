package mirror_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/repo/mirror"
	"ashlar/repo/repotest"
	"ashlar/repo/store"
	"ashlar/repo/transport"
)

// benchOrigin is an origin of many packages of 1 KiB.
func benchOrigin(b *testing.B, packages int) (r *repo.Repository, dir string, add func(n int)) {
	now := repotest.Now
	key := repotest.Key(b)
	r, dir = repotest.Repository(b, repo.Settings{}, &now, key)
	entries := make([]index.Entry, packages)
	for i := range entries {
		content := []byte(noise(1024, fmt.Sprint(i)))
		sum := sha256.Sum256(content)
		e := &entries[i]
		*e = index.Entry{Name: fmt.Sprintf("package%05d", i), Version: fmt.Sprintf("%d.%d.0", i%7, i%31), Release: 1, Arch: "x86_64",
			Summary: "does one thing and does it well", Recipe: "recipe", Size: 1024, InstalledSize: 300_000, MetaSize: 900,
			SHA256: hex.EncodeToString(sum[:]), Manifest: fmt.Sprintf("%064x", i*104729)}
		for j := range i % 12 {
			e.Requires = append(e.Requires, fmt.Sprintf("soname(lib%d.so.%d)", (i*31+j*17)%2000, j))
			e.Provides = append(e.Provides, fmt.Sprintf("pkgconfig(lib%d) = 1.2.%d", i, j))
		}
		e.Path = e.PoolPath()
		file := filepath.Join(dir, e.Path)
		check(b, os.MkdirAll(filepath.Dir(file), 0o755))
		check(b, os.WriteFile(file, content, 0o644))
	}
	check(b, r.SetListed(b.Context(), "stable", entries...))
	_, err := r.Publish(b.Context())
	check(b, err)
	in := b.TempDir()
	return r, dir, func(n int) {
		repotest.Publish(b, r, repotest.Package(b, in, fmt.Sprintf("new%d-1.0.0-1", n), "x", nil, key))
	}
}

// BenchmarkSync measures the first copy of a repository of 60,000 packages, a
// run in which nothing is new, and one with one new package.
func BenchmarkSync(b *testing.B) {
	const packages = 60_000
	_, dir, add := benchOrigin(b, packages)
	root, err := mirror.OwnRoot(dir)
	check(b, err)
	to, err := store.OpenDir(filepath.Join(b.TempDir(), "mirror"))
	check(b, err)
	defer to.Close()
	sync := func() *mirror.Result {
		r, err := mirror.Sync(b.Context(), to, []transport.Source{transport.Folder{Dir: dir}}, mirror.Options{Root: root, Now: func() time.Time { return repotest.Now }})
		check(b, err)
		return r
	}
	begin := time.Now()
	sync()
	first := time.Since(begin)
	b.Run("nothing new", func(b *testing.B) {
		for b.Loop() {
			sync()
		}
		b.ReportMetric(first.Seconds(), "first-s")
	})
	n := 0
	b.Run("one package", func(b *testing.B) {
		var moved int64
		for b.Loop() {
			b.StopTimer()
			n++
			add(n)
			b.StartTimer()
			r := sync()
			if r.Fetched != 2 && r.Fetched != 3 {
				b.Fatalf("%+v", r)
			}
			moved += r.FetchedBytes
		}
		b.ReportMetric(float64(moved)/float64(b.N), "fetched-bytes/op")
	})
}

// BenchmarkSyncHTTP measures the first copy of many small packages from a web
// server to the disk that temporary folders are on.
func BenchmarkSyncHTTP(b *testing.B) {
	const packages = 3000
	_, dir, _ := benchOrigin(b, packages)
	root, err := mirror.OwnRoot(dir)
	check(b, err)
	web := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer web.Close()
	source, err := transport.Open(web.URL, transport.NewHTTPClient(transport.Limits{}.OrDefault()))
	check(b, err)
	for b.Loop() {
		to, err := store.OpenDir(filepath.Join(b.TempDir(), "mirror"))
		check(b, err)
		_, err = mirror.Sync(b.Context(), to, []transport.Source{source}, mirror.Options{Root: root, Now: func() time.Time { return repotest.Now }})
		check(b, err)
		to.Close()
	}
	b.ReportMetric(packages*float64(b.N)/b.Elapsed().Seconds(), "packages/s")
}
