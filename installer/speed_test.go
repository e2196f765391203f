package installer

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system"
)

func TestMain(m *testing.M) {
	sandbox.MaybeInit() // triggers run in one
	os.Exit(m.Run())
}

// everything opens the package files of a folder, but for those with what
// debuggers read.
func everything(b *testing.B, dir string) (packages []system.Addition, bytes, files float64) {
	b.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.ashlar"))
	if err != nil || len(names) == 0 {
		b.Skipf("no packages in %s; make iso builds some, ASHLAR_PACKAGES names another folder", dir)
	}
	for _, name := range names {
		if strings.Contains(name, "-debug-") {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { f.Close() })
		info, err := f.Stat()
		if err != nil {
			b.Fatal(err)
		}
		p, err := pkgfile.Open(f, info.Size())
		if err != nil {
			b.Fatalf("%s: %v", name, err)
		}
		for _, file := range p.Manifest().Files {
			bytes += float64(file.Size)
			files++
		}
		packages = append(packages, system.Addition{Package: p, Requested: true})
	}
	return packages, bytes, files
}

// BenchmarkInstall writes all packages to an ext4 file system and flushes it, as
// an installation does, and lets tar unpack the same tree to one like it.
func BenchmarkInstall(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("only root may attach loop devices")
	}
	dir := os.Getenv("ASHLAR_PACKAGES")
	if dir == "" {
		dir = "../build/packages"
	}
	packages, bytes, files := everything(b, dir)
	device := loopDisk(b, 4<<30)
	tarball := filepath.Join(b.TempDir(), "tree.tar")
	fill := func(work func(dir string) error) {
		b.Helper()
		b.StopTimer()
		if out, err := exec.Command("mkfs.ext4", "-q", "-F", device).CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		b.StartTimer()
		if err := mounted(device, ext4, work); err != nil { // unmounting flushes
			b.Fatal(err)
		}
	}
	report := func(b *testing.B) {
		seconds := b.Elapsed().Seconds() / float64(b.N)
		b.ReportMetric(bytes/1e6/seconds, "MB/s")
		b.ReportMetric(files/seconds, "files/s")
	}
	install := func(dir string) error {
		return commit(context.Background(), dir, system.Change{Add: packages, Reason: "benchmark", Command: []string{"benchmark"}}, nil)
	}
	fill(func(dir string) error {
		if err := install(dir); err != nil {
			return err
		}
		return exec.Command("tar", "-C", dir, "--exclude=./.ashlar", "-cf", tarball, ".").Run()
	})
	b.Run("pkgtool", func(b *testing.B) {
		for b.Loop() {
			fill(install)
		}
		report(b)
	})
	b.Run("tar", func(b *testing.B) {
		for b.Loop() {
			fill(func(dir string) error { return exec.Command("tar", "-C", dir, "-xf", tarball).Run() })
		}
		report(b)
	})
}
