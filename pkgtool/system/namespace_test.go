package system

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ashlar/pkgtool/fault"
)

// These tests run this test binary again in a user namespace: as root over an
// overlay file system, which is what a live system has, on a full disk, and as
// an ordinary user.
const envNamespace = "ASHLAR_NAMESPACE"

// namespaceChild upgrades, removes and installs in a root, and reports.
func namespaceChild(root string) {
	t := child{}
	switch lower := os.Getenv(envNamespace); lower {
	case "user":
	case "full":
		fullDiskChild(t, root)
	default:
		upper, work := filepath.Join(root, "upper"), filepath.Join(root, "work")
		root = filepath.Join(root, "merged")
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,userxattr", lower, upper, work)
		t.check(syscall.Mount("overlay", root, "overlay", 0, options))
	}
	ctx := context.Background()
	if os.Getenv(envNamespace) != "user" { // a mount point keeps what is mounted
		t.check(syscall.Mount("none", filepath.Join(root, "root"), "tmpfs", syscall.MS_RDONLY, ""))
		changed := base
		changed.version, changed.files = "1.1.0", strings.Replace(base.files, "dir root 0700", "dir root 0750", 1)
		_, err := commit(ctx, root, add(t, changed))
		t.check(err)
		_, err = commit(ctx, root, add(t, base))
		t.check(err)
		t.check(syscall.Unmount(filepath.Join(root, "root"), 0))
	}
	if os.Getenv(envNamespace) == "user" {
		leaveLocked(t, filepath.Join(root, stagingDir, "triggers/x"))
	}
	for _, change := range []Change{
		add(t, tool("2.0.0", "two")), // a file over one of the lower layer
		{Remove: []string{"tool"}},
		add(t, spec{"p", "1.0.0", "dir usr/share 0555\nfile usr/share/tool 0755 was a folder below\ndir usr/lib/x 0700"}),
		add(t, spec{"p", "2.0.0", "dir usr/share 0555\nfile usr/share/tool/x 0755 is one again"}),
		{Remove: []string{"p"}}, // also out of a folder that we may not write to
	} {
		_, err := commit(ctx, root, change)
		t.check(err)
		s, err := Open(root)
		t.check(err)
		problems, err := s.Verify(ctx, VerifyOptions{})
		t.check(err)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		s.Close()
	}
	fmt.Println("good")
	os.Exit(0)
}

// leaveLocked leaves what a transaction does that is killed while a trigger runs:
// folders without permissions.
func leaveLocked(t child, dir string) {
	for _, name := range []string{"work/usr/work", "changes/var/locked/in", "changes/var/unwritable/in"} {
		t.check(os.MkdirAll(filepath.Join(dir, name), 0o700))
		t.check(os.WriteFile(filepath.Join(dir, name, "file"), nil, 0o600))
	}
	t.check(os.Chmod(filepath.Join(dir, "work/usr/work"), 0))
	t.check(os.Chmod(filepath.Join(dir, "changes/var/locked"), 0))
	t.check(os.Chmod(filepath.Join(dir, "changes/var/unwritable/in"), 0o500))
}

// fullDiskChild checks that a lack of space, foreseen or not, changes nothing.
func fullDiskChild(t child, root string) {
	ctx := context.Background()
	big := spec{"big", "1.0.0", "file usr/big 0644 " + noise(3<<20)}
	many := spec{"many", "1.0.0", ""}
	for i := range 300 {
		many.files += fmt.Sprintf("file usr/many/%d 0644 %d\n", i, i)
	}
	for _, c := range []struct {
		options string
		fill    bool // fill the disk after the plan was made
		pkg     spec
		want    string
	}{
		{"size=3m", false, big, "are needed"},
		{"nr_inodes=200", false, many, "has room for"},
		{"size=6m", true, big, "no space left on device"},
	} {
		t.check(syscall.Mount("none", root, "tmpfs", 0, c.options))
		_, err := commit(ctx, root, add(t, base))
		t.check(err)
		before := snapshot(t, root)
		s, err := Open(root)
		t.check(err)
		p, err := s.Plan(ctx, add(t, c.pkg))
		if c.fill {
			t.check(err)
			filler, _ := os.Create(filepath.Join(root, "filler"))
			filler.Write(make([]byte, 5<<20))
			filler.Close()
			err = p.Commit(ctx, nil)
			os.Remove(filler.Name())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !slices.Contains(fault.Hints(err), makeRoom) {
			t.Fatal(c.options, err, fault.Hints(err))
		}
		s.Close()
		if after := snapshot(t, root); after != before {
			t.Fatal("something is left:", after)
		}
		verified(t, root)
		t.check(syscall.Unmount(root, 0))
	}
	fmt.Println("good")
	os.Exit(0)
}

// noise is text that does not compress.
func noise(size int) string {
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, size)
	for i := range data {
		data[i] = byte('0' + random.IntN(64))
	}
	return string(data)
}

func runInNamespace(t *testing.T, root, mode string, uid, gid int) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envRoot+"="+root, envNamespace+"="+mode)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "good" {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestOnOverlay(t *testing.T) {
	work := fastTempDir(t)
	lower := filepath.Join(work, "lower")
	for _, dir := range []string{lower, filepath.Join(work, "upper"), filepath.Join(work, "work"), filepath.Join(work, "merged")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	install(t, lower, base, tool("1.0.0", "one"))
	before := snapshot(t, lower)
	runInNamespace(t, work, lower, 0, 0)
	// The kernel's own folder has no permissions; let an ordinary user remove it.
	if err := os.Chmod(filepath.Join(work, "work", "work"), 0o700); err != nil {
		t.Error(err)
	}
	if after := snapshot(t, lower); after != before {
		t.Error("the lower layer changed")
	}
}

func TestFullDiskChangesNothing(t *testing.T) {
	runInNamespace(t, t.TempDir(), "full", 0, 0)
}

func TestAsOrdinaryUser(t *testing.T) {
	root := t.TempDir()
	install(t, root, base, tool("1.0.0", "one"))
	runInNamespace(t, root, "user", 1000, 1000)
}
