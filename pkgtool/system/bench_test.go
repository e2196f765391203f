package system

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"ashlar/pkgtool/pkgfile"
)

// synthetic makes a package of about 87 files in folders that it shares with
// others and in some of its own. Version 2 differs in every second file.
func synthetic(tb testing.TB, n, version int) *pkgfile.Package {
	tb.Helper()
	name := fmt.Sprintf("package-%05d", n)
	m := pkgfile.Manifest{Format: 1, Name: name, Version: fmt.Sprintf("%d.0.0", version), Release: 1, Arch: "noarch", Summary: "synthetic", License: "MIT",
		Provenance: pkgfile.Provenance{Origin: "source", Epoch: 1700000000}}
	random := rand.New(rand.NewPCG(uint64(n), 1))
	var inputs []pkgfile.Input
	dir := func(path string) {
		inputs = append(inputs, pkgfile.Input{File: pkgfile.File{Path: path, Owner: "root", Group: "root", Mode: 0o755, Type: pkgfile.TypeDir}})
	}
	file := func(path string, i int) {
		text := make([]byte, 200+random.IntN(6000))
		for j := range text {
			text[j] = byte('a' + random.IntN(26))
		}
		if i%2 == 0 {
			text = append(text, byte('0'+version))
		}
		inputs = append(inputs, pkgfile.Input{
			File: pkgfile.File{Path: path, Owner: "root", Group: "root", Mode: 0o644, Type: pkgfile.TypeFile},
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }})
	}
	for _, path := range []string{"usr", "usr/bin", "usr/lib", "usr/share", "usr/share/doc", "usr/share/doc/" + name, "usr/lib/" + name} {
		dir(path)
	}
	file("usr/bin/"+name, 0)
	for i := range 8 {
		sub := fmt.Sprintf("usr/lib/%s/part-%d", name, i)
		dir(sub)
		for j := range 9 {
			file(fmt.Sprintf("%s/file-%d", sub, j), j)
		}
	}
	for i := range 6 {
		file(fmt.Sprintf("usr/share/doc/%s/text-%d", name, i), i)
	}
	inputs = append(inputs, pkgfile.Input{File: pkgfile.File{Path: "usr/lib/" + name + ".so", Owner: "root", Group: "root", Mode: 0o777, Type: pkgfile.TypeSymlink, Target: name}})
	var buf bytes.Buffer
	if _, err := pkgfile.Write(context.Background(), &buf, m, inputs, pkgfile.Options{Level: 1}); err != nil {
		tb.Fatal(err)
	}
	p, err := pkgfile.Open(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// cpu is the time that this process has used, in milliseconds.
func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}

// timed opens the system anew, as a command does, plans and commits.
func timed(tb testing.TB, root string, plan func(*System) (*Plan, error)) (open, planned, committed time.Duration) {
	tb.Helper()
	start := time.Now()
	s, err := Open(root)
	if err != nil {
		tb.Fatal(err)
	}
	defer s.Close()
	if err := s.Lock([]string{"benchmark"}); err != nil {
		tb.Fatal(err)
	}
	open = time.Since(start)
	start = time.Now()
	p, err := plan(s)
	if err != nil {
		tb.Fatal(err)
	}
	planned = time.Since(start)
	start = time.Now()
	if err := p.Commit(context.Background(), nil); err != nil {
		tb.Fatal(err)
	}
	return open, planned, time.Since(start)
}

// BenchmarkUpgrade shows that the cost of a transaction follows what changes: 14
// packages of 300, and of 3,000. It reports milliseconds of opening, planning
// and committing. ASHLAR_BENCH_DIR names the folder to work in, for a certain
// file system.
func BenchmarkUpgrade(b *testing.B) {
	for _, count := range []int{300, 3000} {
		b.Run(fmt.Sprintf("%d packages", count), func(b *testing.B) {
			root, err := os.MkdirTemp(os.Getenv("ASHLAR_BENCH_DIR"), "ashlar-bench-")
			if err != nil {
				b.Fatal(err)
			}
			defer os.RemoveAll(root)
			var all Change
			for n := range count {
				all.Add = append(all.Add, Addition{Package: synthetic(b, n, 1)})
			}
			report := func(what string, plan func(*System) (*Plan, error)) {
				runtime.GC()
				before := cpu()
				open, planned, committed := timed(b, root, plan)
				b.Logf("%d packages, %-24s open %6.1f ms, plan %6.1f ms, commit %7.1f ms; processor %7.1f ms", count, what,
					open.Seconds()*1000, planned.Seconds()*1000, committed.Seconds()*1000, cpu()-before)
			}
			change := func(c Change) func(*System) (*Plan, error) {
				return func(s *System) (*Plan, error) { return s.Plan(b.Context(), c) }
			}
			report("install everything", change(all))
			for round := 1; round <= 4; round++ {
				var c Change
				for n := range 14 {
					c.Add = append(c.Add, Addition{Package: synthetic(b, n*count/14, round+1)})
				}
				report(fmt.Sprintf("upgrade %d of 14", round), change(c))
			}
			report("rollback", func(s *System) (*Plan, error) {
				return s.PlanRollback(b.Context(), s.Generation().Number-1, nil)
			})
			report("rollback of it", func(s *System) (*Plan, error) {
				return s.PlanRollback(b.Context(), s.Generation().Number-1, nil)
			})
			for b.Loop() {
				report("remove one", func(s *System) (*Plan, error) {
					return s.Plan(b.Context(), Change{Remove: []string{s.Installed()[len(s.Installed())-1].Name}})
				})
			}
		})
	}
}
