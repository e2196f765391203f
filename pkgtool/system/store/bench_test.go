package store_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/store"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// The benchmark needs real packages: ASHLAR_BENCH_PACKAGES is a folder of
// package files. It works in ASHLAR_BENCH_DIR, by default /dev/shm.
const (
	benchPackages = "ASHLAR_BENCH_PACKAGES"
	benchDir      = "ASHLAR_BENCH_DIR"
	benchProfile  = "ASHLAR_BENCH_PROFILE"
)

// install unpacks all packages into a store and a tree below root.
func install(root string) error {
	if name := os.Getenv(benchProfile); name != "" {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	names, err := filepath.Glob(filepath.Join(os.Getenv(benchPackages), "*"+pkgfile.MediaSuffix))
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return errors.New("no package files in " + os.Getenv(benchPackages))
	}
	packages := make([]*pkgfile.Package, len(names))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, name := range names {
		group.Go(func() (err error) {
			packages[i], err = pkgfile.OpenFile(name)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	defer func() {
		for _, p := range packages {
			p.Close()
		}
	}()
	return installPackages(root, packages)
}

func installPackages(root string, packages []*pkgfile.Package) error {
	dir, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	s, err := store.Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Begin(); err != nil {
		return err
	}
	tree := &benchTree{root: dir, made: map[string]bool{}}
	if err := tree.folder("tree"); err != nil {
		return err
	}
	for _, p := range packages {
		m := p.Manifest()
		for i := range m.Files {
			name := "tree/" + m.Files[i].Path
			if m.Files[i].Type != pkgfile.TypeDir {
				name = path.Dir(name)
			}
			if err := tree.folder(name); err != nil {
				return err
			}
		}
	}
	wanted := make([]pkgfile.Wanted, len(packages))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, p := range packages {
		group.Go(func() (err error) {
			wanted[i], err = linkPresent(s, dir, p)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	err = pkgfile.Unpack(context.Background(), runtime.GOMAXPROCS(0), wanted, func(p *pkgfile.Package, f *pkgfile.File, data []byte, stream io.Reader) error {
		o := objectOf(p, f)
		var err error
		if stream != nil {
			err = s.PutFrom(o, o.Time, stream)
		} else {
			err = s.Put(o, o.Time, data)
		}
		if err != nil {
			return err
		}
		return s.Link(o, dir, "tree/"+f.Path)
	})
	if err != nil {
		return err
	}
	for _, p := range packages {
		m := p.Manifest()
		for i := range m.Files {
			if f := &m.Files[i]; f.Type == pkgfile.TypeHardlink {
				if err := s.Link(objectOf(p, m.File(f.Target)), dir, "tree/"+f.Path); err != nil {
					return err
				}
			}
		}
	}
	return s.Seal()
}

var me, us = uint32(os.Geteuid()), uint32(os.Getegid())

// linkPresent puts into the tree what needs no unpacking, and returns the rest.
func linkPresent(s *store.Store, dir int, p *pkgfile.Package) (pkgfile.Wanted, error) {
	w := pkgfile.Wanted{Package: p}
	m := p.Manifest()
	for i := range m.Files {
		f := &m.Files[i]
		var err error
		switch f.Type {
		case pkgfile.TypeSymlink:
			err = unix.Symlinkat(f.Target, dir, "tree/"+f.Path)
		case pkgfile.TypeFile:
			var has bool
			o := objectOf(p, f)
			if has, err = s.Has(o); err == nil && has {
				err = s.Link(o, dir, "tree/"+f.Path)
			} else {
				w.Files = append(w.Files, f)
			}
		}
		if err != nil {
			return w, err
		}
	}
	return w, nil
}

func objectOf(p *pkgfile.Package, f *pkgfile.File) *store.Object {
	return &store.Object{SHA256: f.SHA256, Size: f.Size, Mode: f.Mode, UID: me, GID: us,
		Xattrs: f.Xattrs, Time: p.Manifest().Provenance.Epoch}
}

type benchTree struct {
	root int
	made map[string]bool
}

func (t *benchTree) folder(name string) error {
	if t.made[name] {
		return nil
	}
	if parent := path.Dir(name); parent != "." {
		if err := t.folder(parent); err != nil {
			return err
		}
	}
	t.made[name] = true
	return unix.Mkdirat(t.root, name, 0o755)
}

// contender is one way to make a tree in an empty folder.
type contender struct {
	name    string
	command func(into string) *exec.Cmd
	wall    []time.Duration
	cpu     []time.Duration
	peak    int64 // of the resident memory, in KiB
}

// BenchmarkUnpack unpacks real packages into a store and a tree, each time in a
// process of its own, taking turns with what the same tree costs otherwise.
func BenchmarkUnpack(b *testing.B) {
	if os.Getenv(benchPackages) == "" {
		b.Skip("give a folder of package files in " + benchPackages)
	}
	base := os.Getenv(benchDir)
	if base == "" {
		base = "/dev/shm"
	}
	work, err := os.MkdirTemp(base, "bench-*")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(work)
	model := filepath.Join(work, "model")
	archive := filepath.Join(work, "tree.tar.zst")
	stored := filepath.Join(work, "stored")
	worker := func(into string) *exec.Cmd { return childCommand("install", into) }
	for _, dir := range []string{model, stored} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		if out, err := worker(dir).CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
	shell := func(text string, args ...string) *exec.Cmd {
		return exec.Command("bash", append([]string{"-c", "set -o pipefail; " + text, "bash"}, args...)...)
	}
	if out, err := shell(`tar -C "$1" -c . | zstd -q -9 -o "$2"`, model+"/tree", archive).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	contenders := []*contender{
		{name: "zstd+tar", command: func(into string) *exec.Cmd { return shell(`zstd -dcq "$1" | tar -x -C "$2"`, archive, into) }},
		{name: "cp-a", command: func(into string) *exec.Cmd { return exec.Command("cp", "-a", model+"/tree", into) }},
		{name: "cp-al", command: func(into string) *exec.Cmd { return exec.Command("cp", "-al", model+"/tree", into) }},
		{name: "cold", command: worker},
		{name: "warm", command: worker},
	}
	for b.Loop() {
		for _, c := range contenders {
			into := filepath.Join(work, c.name)
			if c.name == "warm" { // objects, but no tree
				into = stored
				if err := os.RemoveAll(filepath.Join(stored, "tree")); err != nil {
					b.Fatal(err)
				}
			} else if err := os.Mkdir(into, 0o755); err != nil {
				b.Fatal(err)
			}
			c.run(b, into)
			if into != stored {
				if err := os.RemoveAll(into); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	report(b, contenders)
}

func (c *contender) run(b *testing.B, into string) {
	b.Helper()
	cmd := c.command(into)
	var text strings.Builder
	cmd.Stderr = &text
	start := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s: %v\n%s", c.name, err, text.String())
	}
	c.wall = append(c.wall, time.Since(start))
	c.cpu = append(c.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	c.peak = max(c.peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
}

func report(b *testing.B, contenders []*contender) {
	floor := median(contenders[0].wall)
	for _, c := range contenders {
		wall := median(c.wall)
		b.Logf("%-9s wall %6.3f s (fastest %6.3f) = %.2f of zstd|tar, processors %6.3f s, peak %3d MiB", c.name, wall.Seconds(),
			slices.Min(c.wall).Seconds(), float64(wall)/float64(floor), median(c.cpu).Seconds(), c.peak>>10)
		b.ReportMetric(float64(wall)/float64(floor), c.name+"-x-floor")
	}
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}
