package boot_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ashlar/iso/cpio"
	"ashlar/iso/tree"
	"ashlar/pkgtool/pkgfile"
	"ashlar/tests/boot"
)

// kernel returns the project's kernel: the file ASHLAR_KERNEL names, or the
// one in the repository that `make iso` publishes.
func kernel(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("ASHLAR_KERNEL"); path != "" && !testing.Short() {
		return path
	}
	pool := built(t, "ASHLAR_REPO", "repo")
	files, err := filepath.Glob(filepath.Join(pool, "pool/*/*/*linux-virt-[0-9]*.ashlar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no linux-virt in %s (%v); build it first: make iso", pool, err)
	}
	p, err := pkgfile.OpenFile(files[len(files)-1])
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	dir := t.TempDir()
	if err := p.Extract(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	images, _ := filepath.Glob(filepath.Join(dir, "usr/lib/modules/*/vmlinuz"))
	if len(images) != 1 {
		t.Fatalf("linux-virt holds %d kernels", len(images))
	}
	return images[0]
}

// initrd makes an initrd whose only program is testdata/init.
func initrd(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program, archive := filepath.Join(dir, "init"), filepath.Join(dir, "initrd")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", program, "./testdata/init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = cpio.Write(t.Context(), f, []tree.Entry{
		{Path: "dev", Kind: tree.Dir, Perm: 0o755},
		{Path: "dev/console", Kind: tree.CharDevice, Perm: 0o600, Major: 5, Minor: 1},
		{Path: "init", Kind: tree.File, Perm: 0o755, Size: int64(len(data)), Open: tree.Bytes(data)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

// The project's kernel starts an init, and each way it can fail is told apart
// in seconds.
func TestKernel(t *testing.T) {
	image, root := kernel(t), initrd(t)
	start := func(t *testing.T, mode string, idle time.Duration) *boot.VM {
		vm, err := boot.Start(t.Context(), boot.Options{
			Kernel: image, Initrd: root, Cmdline: "console=ttyS0 quiet -- " + mode,
			Memory: 512, Limit: 2 * time.Minute, Idle: idle, Artifacts: artifacts(t),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { vm.Close() })
		return vm
	}
	t.Run("pass", func(t *testing.T) {
		vm := start(t, "pass", time.Minute)
		m, err := vm.Expect(t.Context(), regexp.MustCompile(`^INIT after ([0-9.]+) s of (Linux .*)$`))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("init after %s s by the guest's clock, %.1f s by ours: %s", m[1], vm.Elapsed().Seconds(), m[2])
		if reason, err := vm.Wait(t.Context()); err != nil || reason != "guest-shutdown" {
			t.Errorf("ended with %q, %v", reason, err)
		}
	})
	failures := []struct {
		mode, want string
		idle       time.Duration
	}{
		{"exit", "Kernel panic - not syncing: Attempted to kill init", time.Minute},
		{"crash", "Kernel panic - not syncing: sysrq triggered crash", time.Minute},
		{"hang", "nothing on the console for 20s", 20 * time.Second},
	}
	for _, c := range failures {
		t.Run(c.mode, func(t *testing.T) {
			vm := start(t, c.mode, c.idle)
			_, err := vm.Expect(t.Context(), regexp.MustCompile(`^never$`))
			var failure *boot.Failure
			if !errors.As(err, &failure) || !strings.Contains(failure.Err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(failure.Artifacts, "screen.png")); err != nil {
				t.Error(err)
			}
			t.Logf("told after %.1f s", failure.After.Seconds())
			os.RemoveAll(failure.Artifacts)
		})
	}
	t.Run("power button", func(t *testing.T) {
		vm := start(t, "button", time.Minute)
		if _, err := vm.Expect(t.Context(), regexp.MustCompile(`^waiting for the power button$`)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := vm.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
}
