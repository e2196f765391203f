package repo_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/repo/repotest"
)

// BenchmarkAddOne adds one package to a channel of 30,000 and publishes.
func BenchmarkAddOne(b *testing.B) {
	now := repotest.Now
	key := repotest.Key(b)
	r, dir := repotest.Repository(b, repo.Settings{}, &now, key)
	entries := make([]index.Entry, 30_000)
	for i := range entries {
		e := &entries[i]
		*e = index.Entry{Name: fmt.Sprintf("package%05d", i), Version: fmt.Sprintf("%d.%d.0", i%7, i%31), Release: 1, Arch: "x86_64",
			Summary: "does one thing and does it well", Recipe: "recipe", Size: 100_000 + int64(i), InstalledSize: 300_000, MetaSize: 900,
			SHA256: fmt.Sprintf("%064x", i*7919), Manifest: fmt.Sprintf("%064x", i*104729)}
		for j := range i % 12 {
			e.Requires = append(e.Requires, fmt.Sprintf("soname(lib%d.so.%d)", (i*31+j*17)%2000, j))
			e.Provides = append(e.Provides, fmt.Sprintf("pkgconfig(lib%d) = 1.2.%d", i, j))
		}
		e.Path = e.PoolPath()
	}
	if err := r.SetListed(b.Context(), "stable", entries...); err != nil {
		b.Fatal(err)
	}
	if _, err := r.Publish(b.Context()); err != nil {
		b.Fatal(err)
	}
	in := b.TempDir()
	before := written(b, dir)
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		file := repotest.Package(b, in, fmt.Sprintf("new%d-1.0.0-1", n), "x", nil, key)
		b.StartTimer()
		repotest.Publish(b, r, file)
	}
	b.ReportMetric(float64(written(b, dir)-before)/float64(b.N), "new-bytes/op")
}

// written is how many bytes a repository's files have.
func written(b *testing.B, dir string) (total int64) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		total += info.Size()
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return total
}
