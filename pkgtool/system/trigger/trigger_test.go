package trigger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	sandbox.MaybeInit()
	if len(os.Args) > 1 && os.Args[1] == "probe" {
		for _, action := range os.Args[2:] {
			if err := act(strings.Fields(action)); err != nil {
				fmt.Println(action, "failed:", err)
				os.Exit(3)
			}
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// act does one thing inside the sandbox.
func act(words []string) error {
	number := func(s string) int {
		n, err := strconv.ParseInt(s, 8, 32)
		if err != nil {
			panic(err)
		}
		return int(n)
	}
	switch words[0] {
	case "write":
		return os.WriteFile(words[1], []byte(words[2]), 0o644)
	case "append":
		f, err := os.OpenFile(words[1], os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(words[2])
		return err
	case "print":
		fmt.Println(strings.Join(words[1:], " "))
		return nil
	case "show":
		data, err := os.ReadFile(words[1])
		fmt.Printf("%s: %q\n", words[1], data)
		return err
	case "missing":
		if _, err := os.Lstat(words[1]); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("it is there (%v)", err)
		}
		return nil
	case "mkdir":
		return os.MkdirAll(words[1], 0o755)
	case "remove":
		return os.RemoveAll(words[1])
	case "link":
		return os.Symlink(words[1], words[2])
	case "rename":
		return os.Rename(words[1], words[2])
	case "chmod":
		return unix.Chmod(words[2], uint32(number(words[1])))
	case "chown":
		return os.Chown(words[3], number(words[1]), number(words[2]))
	case "owner":
		var st unix.Stat_t
		err := unix.Stat(words[1], &st)
		fmt.Printf("%s: %d:%d\n", words[1], st.Uid, st.Gid)
		return err
	case "fifo":
		return unix.Mkfifo(words[1], 0o600)
	case "sleep":
		time.Sleep(time.Minute)
	}
	return fmt.Errorf("unknown action %s", words[0])
}

// fixture is a live system, and the tree that it is about to get.
type fixture struct {
	dir  string
	root Root
}

func (f *fixture) path(name string) string { return filepath.Join(f.dir, name) }

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir()}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.Chmod(f.dir, 0o755))
	for name, text := range map[string]string{
		"live/etc/ld.so.conf": "old", "live/etc/same": "same", "live/etc/gone": "gone", "live/etc/dir/inside": "x", "live/etc/dir/other": "y", "live/etc/whole/a/b": "", "live/etc/whole/c": "", "live/var/turned/a": "",
		"live/usr/lib/old.so": "old", "live/var/lib/data": "data", "spare/usr/lib/new.so": "new", "staging/1": "from the package",
		"live/home/secret": "secret", "store/object": "a program's data",
	} {
		check(os.MkdirAll(filepath.Dir(f.path(name)), 0o755))
		check(os.WriteFile(f.path(name), []byte(text), 0o644))
	}
	for _, bin := range []string{"spare/usr/bin", "live/usr/bin"} {
		check(os.MkdirAll(f.path(bin), 0o755))
		check(copySelf(f.path(bin + "/probe")))
		check(os.Symlink("usr/bin", f.path(strings.TrimSuffix(bin, "/usr/bin")+"/bin")))
	}
	check(os.Link(f.path("store/object"), f.path("spare/usr/lib/data")))
	check(os.Mkdir(f.path("scratch"), 0o700))
	f.root = Root{Live: f.path("live"), Usr: f.path("spare/usr"), Scratch: f.path("scratch"),
		Files: []File{
			{Path: "etc/new.conf", Type: pkgfile.TypeFile, Source: f.path("staging/1"), Mode: 0o640, UID: uint32(os.Getuid()), GID: uint32(os.Getgid())},
			{Path: "etc/new.d", Type: pkgfile.TypeDir, Mode: 0o755, UID: uint32(os.Getuid()), GID: uint32(os.Getgid())},
			{Path: "lib64", Type: pkgfile.TypeSymlink, Target: "usr/lib"},
		},
		Removed: []string{"etc/gone"},
	}
	return f
}

func copySelf(to string) error {
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// probe is a trigger that does these things.
func probe(name string, actions ...string) Trigger {
	return Trigger{"pkg", pkgfile.Trigger{Name: name, Run: append([]string{"/usr/bin/probe", "probe"}, actions...)}}
}

// run runs triggers and returns the changes, one line each, and the log.
func (f *fixture) run(t testing.TB, triggers ...Trigger) (changes, log string) {
	t.Helper()
	before := f.snapshot(t)
	out, err := Run(t.Context(), f.root, triggers)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range out.Changes {
		changes += c.Type + " " + c.Path
		switch c.Type {
		case pkgfile.TypeFile:
			data, err := os.ReadFile(c.Source)
			if err != nil || int64(len(data)) != c.Size {
				t.Error(c.Path, len(data), c.Size, err)
			}
			changes += fmt.Sprintf(" %04o %s", c.Mode, data)
		case pkgfile.TypeDir:
			changes += fmt.Sprintf(" %04o", c.Mode)
		case pkgfile.TypeSymlink:
			changes += " -> " + c.Target
		}
		if c.Type != Removed && os.Getuid() == 0 {
			changes += fmt.Sprintf(" %d:%d", c.UID, c.GID)
		}
		changes += "\n"
	}
	if err := out.Close(); err != nil {
		t.Error(err)
	}
	f.unchanged(t, before)
	return changes, string(out.Log)
}

// fails runs triggers that must not succeed.
func (f *fixture) fails(t testing.TB, triggers ...Trigger) error {
	t.Helper()
	before := f.snapshot(t)
	out, err := Run(t.Context(), f.root, triggers)
	if err == nil {
		t.Fatalf("it succeeded: %v", out)
	}
	f.unchanged(t, before)
	return err
}

// snapshot is everything on disk but access times, and the inode's count of
// links, which a layer may hold for a while.
func (f *fixture) snapshot(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == f.root.Scratch {
			entries, err := os.ReadDir(path)
			if all["scratch"] = fmt.Sprint(entries); err == nil {
				err = fs.SkipDir
			}
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		text := fmt.Sprint(st.Ino, st.Mode, st.Uid, st.Gid, st.Size, st.Mtim, st.Nlink)
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		all[path] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (f *fixture) unchanged(t testing.TB, before map[string]string) {
	t.Helper()
	after := f.snapshot(t)
	if maps.Equal(before, after) {
		return
	}
	for path, text := range after {
		if before[path] != text {
			t.Errorf("%s was %q and is %q", path, before[path], text)
		}
	}
	for path := range before {
		if after[path] == "" {
			t.Errorf("%s is gone", path)
		}
	}
}

// owner is what changes say of the owner of a file that triggers make.
func owner(of string) string {
	if os.Getuid() != 0 {
		return ""
	}
	return " " + of
}

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
