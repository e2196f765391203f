package pkgfile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// benchInputs is what a distribution package looks like: Go's own tree, about
// 60 MB of programs, sources and data, read into memory.
func benchInputs(b *testing.B) (inputs []Input, total int64) {
	b.Helper()
	root := runtime.GOROOT()
	seen := map[string]bool{}
	for _, sub := range []string{"bin", "pkg/tool", "src/cmd", "lib"} {
		err := filepath.WalkDir(filepath.Join(root, sub), func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || total > 60<<20 {
				return err
			}
			rel, _ := filepath.Rel(root, p)
			if CheckPath(rel) != nil || seen[rel] {
				return nil
			}
			content, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			seen[rel] = true
			total += int64(len(content))
			inputs = append(inputs, Input{File: File{Path: rel, Type: TypeFile, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content))},
				Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }})
			return nil
		})
		if err != nil && !os.IsNotExist(err) {
			b.Fatal(err)
		}
	}
	return inputs, total
}

// BenchmarkFloor is the physical limit for both directions: hashing the same
// bytes once, on one core.
func BenchmarkFloor(b *testing.B) {
	inputs, total := benchInputs(b)
	b.SetBytes(total)
	for b.Loop() {
		for _, in := range inputs {
			r, _ := in.Open()
			io.Copy(sha256.New(), r)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	inputs, total := benchInputs(b)
	for _, level := range []int{1, 3, 9, 19} {
		b.Run(fmt.Sprint("level", level), func(b *testing.B) {
			b.SetBytes(total)
			size := 0
			for b.Loop() {
				size = len(write(b, manifest(), inputs, Options{Level: level}))
			}
			b.ReportMetric(float64(size)/float64(total), "size/input")
		})
	}
}

// BenchmarkOpen reads and checks a manifest of 5,000 files, against hashing it.
func BenchmarkOpen(b *testing.B) {
	var inputs []Input
	for i := range 5000 {
		inputs = append(inputs, file(fmt.Sprintf("usr/share/locale/%02d/LC_MESSAGES/package-%04d.mo", i%100, i), noise(uint64(i), 100)))
	}
	raw := write(b, manifest(), inputs, Options{Level: 1})
	b.SetBytes(int64(len(open(b, raw).raw)))
	for b.Loop() {
		open(b, raw)
	}
}

func BenchmarkWalk(b *testing.B) {
	inputs, total := benchInputs(b)
	p := open(b, write(b, manifest(), inputs, Options{}))
	b.SetBytes(total)
	for b.Loop() {
		if err := p.Walk(context.Background(), func(_ *File, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
}
