package trigger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/build/sandbox"
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
