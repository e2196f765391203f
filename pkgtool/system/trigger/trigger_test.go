package trigger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
)

func TestWhatTriggersSeeAndMake(t *testing.T) {
	f := newFixture(t)
	got, log := f.run(t,
		probe("a", "show /etc/new.conf", "show /lib64/new.so", "show /bin/../lib/data", "show /var/lib/data", "missing /etc/gone", "missing /usr/lib/old.so",
			"missing /home/secret", "missing /staging", "missing /.ashlar"),
		probe("b", "write /etc/ld.so.cache cache", "write /etc/same same", "chmod 600 /etc/new.conf", "append /usr/lib/data +", "mkdir /etc/new.d/sub",
			"remove /usr/lib/new.so", "write /home/thrown away", "write /tmp/x y", "write /run/x y", "link ../same /etc/new.d/link"),
		probe("c", "show /etc/ld.so.cache", "remove /etc/dir", "mkdir /etc/dir", "write /etc/dir/inside x", "rename /var/lib/data /var/lib/moved"),
		probe("d", "write /etc/gone again", "remove /etc/gone", "write /etc/gone.txt x", "chmod 755 /var"),
		probe("e", "remove /etc/whole"),
	)
	want := `removed etc/dir/other
file etc/gone.txt 0644 x 0:0
file etc/ld.so.cache 0644 cache 0:0
file etc/new.conf 0600 from the package 0:0
symlink etc/new.d/link -> ../same 0:0
dir etc/new.d/sub 0755 0:0
removed etc/whole
removed etc/whole/a
removed etc/whole/a/b
removed etc/whole/c
file usr/lib/data 0644 a program's data+ 0:0
removed usr/lib/new.so
removed var/lib/data
file var/lib/moved 0644 data 0:0
`
	if os.Getuid() != 0 {
		want = strings.ReplaceAll(want, " 0:0\n", "\n")
	}
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, line := range []string{`==> trigger a of pkg`, `/etc/new.conf: "from the package"`, `/lib64/new.so: "new"`, `/etc/ld.so.cache: "cache"`} {
		if !strings.Contains(log, line) {
			t.Errorf("%q is not in the log:\n%s", line, log)
		}
	}
}

func TestInPlace(t *testing.T) {
	f := newFixture(t)
	f.root.Usr = ""
	f.root.Files = append(f.root.Files,
		File{Path: "usr/lib/new/deep.so", Type: pkgfile.TypeFile, Source: f.path("staging/1"), Mode: 0o644},
		File{Path: "usr/lib/link.so", Type: pkgfile.TypeSymlink, Target: "new/deep.so"})
	f.root.Removed = append(f.root.Removed, "usr/lib/old.so", "usr/lib/never.so", "etc/dir")
	got, _ := f.run(t, probe("a", "show /lib64/link.so", "missing /usr/lib/old.so", "missing /etc/dir", "write /usr/lib/index x"))
	if want := "file usr/lib/index 0644 x" + owner("0:0") + "\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestIntoAnEmptyRoot(t *testing.T) {
	f := newFixture(t)
	f.root.Live = f.path("empty")
	if err := os.Mkdir(f.root.Live, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, _ := f.run(t, probe("a", "show /etc/new.conf")); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
	got, _ := f.run(t, probe("a", "show /etc/new.conf", "write /var/x y"))
	if want := "dir var 0755" + owner("0:0") + "\nfile var/x 0644 y" + owner("0:0") + "\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestOwners needs root, who sees and sets real owners.
func TestOwners(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, who can give files away")
	}
	f := newFixture(t)
	if err := os.Chown(f.path("live/etc/same"), 5, 6); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(f.path("live/etc/same"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.root.Files = append(f.root.Files, File{Path: "var/spool", Type: pkgfile.TypeDir, Mode: 0o2775, UID: 7, GID: 65534})
	got, log := f.run(t, probe("a", "owner /etc/same", "owner /var/spool", "append /etc/same x", "write /etc/given y", "chown 12 13 /etc/given"))
	if want := "file etc/given 0644 y 10:11\nfile etc/same 0600 samex 5:6\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !strings.Contains(log, "/etc/same: 5:6\n/var/spool: 7:65534\n") {
		t.Error(log)
	}
}

func TestFailures(t *testing.T) {
	f := newFixture(t)
	f.root.Timeout = 2 * time.Second
	missing := probe("gone")
	missing.Run = []string{"/usr/bin/gone"}
	for _, c := range []struct {
		triggers []Trigger
		want     string
	}{
		{[]Trigger{probe("a", "print fine"), probe("b", "write /etc/x y", "print I \x1b[31m cannot", "remove"), probe("c", "print no")},
			"trigger b of package pkg: failed with exit status"},
		{[]Trigger{probe("a", "print I \x1b[31m cannot", "missing /etc/same")},
			"trigger a of package pkg: failed with exit status 3; the end of what it printed:\n    I [31m cannot\n    missing /etc/same failed: it is there (<nil>)"},
		{[]Trigger{probe("a", "print x"), missing}, "trigger gone of package pkg: failed with exit status 127; the end of what it printed:\n    cannot start /usr/bin/gone"},
		{[]Trigger{probe("a", "print x"), probe("b", "print slow", "sleep")}, "trigger b of package pkg: stopped: it ran longer than 2s; the end of what it printed:\n    slow"},
		{[]Trigger{probe("a", "write /usr/bin/su x", "chmod 4755 /usr/bin/su")}, "a trigger made /usr/bin/su with mode 4755; triggers make no setuid or setgid files"},
		{[]Trigger{probe("a", "remove /var/turned", "write /var/turned x")}, "a trigger turned the dir /var/turned into a file"},
		{[]Trigger{probe("a", "remove /etc/same", "mkdir /etc/same")}, "a trigger turned the file /etc/same into a dir"},
		{[]Trigger{probe("a", "fifo /var/pipe")}, "a trigger made /var/pipe, which is no file, folder or link"},
	} {
		err := f.fails(t, c.triggers...)
		if !strings.Contains(err.Error(), c.want) || len(fault.Hints(err)) == 0 {
			t.Errorf("got %v\n%q\nwant %q", err, fault.Hints(err), c.want)
		}
		if strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q would be obeyed by a terminal", err)
		}
	}
}

func TestCancelled(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := Run(ctx, f.root, []Trigger{probe("a", "sleep")})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestNothingDue(t *testing.T) {
	out, err := Run(t.Context(), Root{}, nil)
	if err != nil || len(out.Changes) != 0 || out.Close() != nil {
		t.Error(out, err)
	}
}

func TestDue(t *testing.T) {
	all := []Trigger{
		{"kmod", pkgfile.Trigger{Name: "depmod", Run: []string{"/usr/bin/depmod"}, Watch: []string{"usr/lib/modules/*/**"}}},
		{"glibc", pkgfile.Trigger{Name: "ldconfig", Run: []string{"/usr/bin/ldconfig"}, Watch: []string{"etc/ld.so.conf.d/*", "usr/lib/*.so*"}}},
		{"other", pkgfile.Trigger{Name: "ldconfig", Run: []string{"/usr/bin/ldconfig"}, Watch: []string{"usr/lib/*.so"}}},
		{"b", pkgfile.Trigger{Name: "same", Run: []string{"/b"}, Watch: []string{"usr/share/icons/**"}}},
		{"a", pkgfile.Trigger{Name: "same", Run: []string{"/a"}, Watch: []string{"usr/share/icons/**"}}},
	}
	for changed, want := range map[string]string{
		"":                          "[]",
		"usr/lib/x/y.so":            "[]",
		"usr/lib/y.so.1":            "[glibc]",
		"usr/lib/y.so usr/lib/z.so": "[glibc]",
		"usr/lib/modules/6.1/kernel/x.ko usr/lib/a.so": "[kmod glibc]",
		"usr/share/icons":     "[a b]",
		"usr/share/iconset/x": "[]",
	} {
		var got []string
		for _, d := range Due(all, strings.Fields(changed)) {
			got = append(got, d.Package)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", changed, got, want)
		}
	}
}

// TestAsOrdinaryUser runs the tests of this package again without privilege.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		return // they already run so
	}
	dir := t.TempDir()
	binary, tmp := filepath.Join(dir, "test"), filepath.Join(dir, "tmp")
	if err := copySelf(binary); err != nil {
		t.Fatal(err)
	}
	const uid = 54321
	if err := errors.Join(os.Mkdir(tmp, 0o755), os.Chown(tmp, uid, uid)); err != nil {
		t.Fatal(err)
	}
	for path := dir; len(path) > len(os.TempDir()); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binary, "-test.skip", "OrdinaryUser|Real", "-test.v")
	cmd.Dir, cmd.Env = tmp, []string{"TMPDIR=" + tmp, "HOME=" + tmp}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// BenchmarkRun is the cost of a transaction's triggers without their programs:
// the layers, the sandbox and the reading of what was written.
func BenchmarkRun(b *testing.B) {
	f := newFixture(b)
	for b.Loop() {
		out, err := Run(b.Context(), f.root, []Trigger{probe("a", "write /etc/ld.so.cache x")})
		if err != nil {
			b.Fatal(err)
		}
		out.Close()
	}
}
