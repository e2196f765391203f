package trigger

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

// again runs one test of this program in another surrounding, where the
// environment variable tells it to go on.
func again(t *testing.T, attr *syscall.SysProcAttr, variable, value string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), variable+"="+value)
	cmd.SysProcAttr = attr
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// mapped is a user namespace in which this process is root.
func mapped(flags uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

// TestWithoutNamespaces forbids further user namespaces, as some machines and
// containers do.
func TestWithoutNamespaces(t *testing.T) {
	if os.Getenv("TRIGGER_TEST_FORBID") == "" {
		again(t, mapped(0), "TRIGGER_TEST_FORBID", "1")
		return
	}
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	err := newFixture(t).fails(t, probe("a", "print x"))
	hints := strings.Join(fault.Hints(err), "\n")
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(hints, "user.max_user_namespaces") || !strings.Contains(hints, "--no-triggers") {
		t.Errorf("%v\n%s", err, hints)
	}
}

// TestOnOverlay has everything on an overlay, as a live image does: its changes
// cannot be on one.
func TestOnOverlay(t *testing.T) {
	dir := os.Getenv("TRIGGER_TEST_OVERLAY")
	if dir == "" {
		dir = t.TempDir()
		for _, name := range []string{"lower", "upper", "work", "merged"} {
			if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		again(t, mapped(unix.CLONE_NEWNS), "TRIGGER_TEST_OVERLAY", dir)
		return
	}
	merged := filepath.Join(dir, "merged")
	options := fmt.Sprintf("userxattr,lowerdir=%s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", merged)
	f := newFixture(t)
	f.root.Usr = ""
	f.root.Files = append(f.root.Files, File{Path: "usr/lib/new.so", Type: pkgfile.TypeFile, Source: f.path("staging/1"), Mode: 0o644})
	f.root.Removed = append(f.root.Removed, "usr/lib/old.so")
	got, _ := f.run(t, probe("a", "show /usr/lib/new.so", "missing /usr/lib/old.so", "missing /etc/gone", "write /etc/ld.so.cache x"))
	if want := "file etc/ld.so.cache 0644 x" + owner("0:0") + "\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestMountsInside has file systems mounted inside the live folders, as servers
// have with /var/log: triggers see the folders, and nothing of what is mounted.
func TestMountsInside(t *testing.T) {
	if os.Getenv("TRIGGER_TEST_MOUNTS") == "" {
		again(t, mapped(unix.CLONE_NEWNS), "TRIGGER_TEST_MOUNTS", "1")
		return
	}
	f := newFixture(t)
	for _, name := range []string{"live/var/log", "live/etc/with space", "live/var/lib"} {
		if err := os.MkdirAll(f.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"live/var/log", "live/etc/with space"} {
		if err := unix.Mount("tmpfs", f.path(name), "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(f.path(name), unix.MNT_DETACH) })
		if err := os.WriteFile(f.path(name+"/mounted"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// a folder bound to itself, as with other options
	if err := unix.Mount(f.path("live/var/lib"), f.path("live/var/lib"), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(f.path("live/var/lib"), unix.MNT_DETACH) })
	got, _ := f.run(t, probe("a", "show /var/lib/data", "show /etc/same", "missing /var/log/mounted", "write /etc/ld.so.cache x"))
	if want := "file etc/ld.so.cache 0644 x" + owner("0:0") + "\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, name := range []string{"live/var/log", "live/etc/with space"} {
		if _, err := os.Stat(f.path(name + "/mounted")); err != nil {
			t.Error(err)
		}
	}
}
