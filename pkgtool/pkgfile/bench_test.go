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
	"syscall"
	"testing"
	"time"
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

// measure runs work and, in the same loop, the physical floor: hashing the same
// bytes once. It reports processor time, which other load does not distort:
// MB per second of one core, and how many times the floor that is.
func measure(b *testing.B, inputs []Input, total int64, work func()) {
	b.Helper()
	var spent, floor time.Duration
	for b.Loop() {
		start := processorTime()
		work()
		middle := processorTime()
		for _, in := range inputs {
			r, _ := in.Open()
			io.Copy(sha256.New(), r)
		}
		spent += middle - start
		floor += processorTime() - middle
	}
	b.ReportMetric(float64(total)*float64(b.N)/1e6/spent.Seconds(), "MB/core-s")
	b.ReportMetric(float64(total)*float64(b.N)/1e6/floor.Seconds(), "floor-MB/core-s")
	b.ReportMetric(float64(spent)/float64(floor), "x-floor")
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func BenchmarkWrite(b *testing.B) {
	inputs, total := benchInputs(b)
	for _, level := range []int{1, 3, 9, 19} {
		b.Run(fmt.Sprint("level", level), func(b *testing.B) {
			size := 0
			measure(b, inputs, total, func() { size = len(write(b, manifest(), inputs, Options{Level: level})) })
			b.ReportMetric(float64(size)/float64(total), "size/input")
		})
	}
}

func BenchmarkWalk(b *testing.B) {
	inputs, total := benchInputs(b)
	p := open(b, write(b, manifest(), inputs, Options{}))
	measure(b, inputs, total, func() {
		if err := p.Verify(context.Background()); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkOpen reads and checks a manifest of 5,000 files.
func BenchmarkOpen(b *testing.B) {
	var inputs []Input
	for i := range 5000 {
		inputs = append(inputs, file(fmt.Sprintf("usr/share/locale/%02d/LC_MESSAGES/package-%04d.mo", i%100, i), noise(uint64(i), 100)))
	}
	raw := write(b, manifest(), inputs, Options{Level: 1})
	text := string(open(b, raw).raw)
	measure(b, []Input{file("manifest", text)}, int64(len(text)), func() { open(b, raw) })
}
