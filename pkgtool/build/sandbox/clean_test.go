package sandbox

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// deepTree makes a chain of folders below dir, longer than any path may be.
func deepTree(t *testing.T, dir string, depth int) {
	t.Helper()
	at, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range depth {
		if err := unix.Mkdirat(at, "folder", 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(at, "folder", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(at)
		at = next
	}
	unix.Close(at)
}

func TestRemoveTreeRemovesWhatABuildLeft(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("stays"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T, dir string) error
	}{
		{"nothing", func(t *testing.T, dir string) error { return nil }},
		{"no permissions", func(t *testing.T, dir string) error {
			if err := os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o755); err != nil {
				return err
			}
			return errors.Join(os.WriteFile(filepath.Join(dir, "a/b/f"), nil, 0), os.Chmod(filepath.Join(dir, "a/b"), 0), os.Chmod(filepath.Join(dir, "a"), 0o100), os.Chmod(dir, 0))
		}},
		{"a deep tree", func(t *testing.T, dir string) error { deepTree(t, dir, 5000); return nil }},
		{"a wide tree", func(t *testing.T, dir string) error {
			for i := range 3*batch + 7 {
				name := filepath.Join(dir, strconv.Itoa(i))
				if err := os.MkdirAll(filepath.Join(name, "x"), 0o755); err != nil {
					return err
				}
			}
			return nil
		}},
		{"many files", func(t *testing.T, dir string) error {
			for i := range 3*batch + 7 {
				if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o644); err != nil {
					return err
				}
			}
			return nil
		}},
		{"a link to outside", func(t *testing.T, dir string) error {
			return errors.Join(os.Symlink(filepath.Dir(outside), filepath.Join(dir, "folder")), os.Symlink(outside, filepath.Join(dir, "file")), os.Link(outside, filepath.Join(dir, "hard")))
		}},
		{"a pipe and a socket", func(t *testing.T, dir string) error {
			t.Chdir(dir)
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: "socket", Net: "unix"})
			if err != nil {
				return err
			}
			l.SetUnlinkOnClose(false)
			return errors.Join(l.Close(), unix.Mkfifo("pipe", 0))
		}},
		{"strange names", func(t *testing.T, dir string) error {
			name := filepath.Join(dir, "-rf\n\xff")
			return errors.Join(os.MkdirAll(filepath.Join(name, "..x"), 0o755), os.Chmod(name, 0))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "left")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := c.make(t, dir); err != nil {
				t.Fatal(err)
			}
			if err := RemoveTree(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("still there: %v", err)
			}
			if data, err := os.ReadFile(outside); err != nil || string(data) != "stays" {
				t.Errorf("a file outside: %q, %v", data, err)
			}
			if err := RemoveTree(dir); err != nil {
				t.Errorf("what is not there: %v", err)
			}
		})
	}
}

// TestRemoveTreeNeedsFewDescriptors: a tree is deeper than the number of files
// that may be open.
func TestRemoveTreeNeedsFewDescriptors(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "left")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	deepTree(t, dir, 500)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	err := RemoveTree(dir)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestRemoveTreeRemovesImmutableFiles needs root and a file system with flags.
func TestRemoveTreeRemovesImmutableFiles(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "left")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sub/file", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, flag := range map[string]int{"sub/file": flagImmutable, "sub": flagAppend, "other": flagAppend, ".": flagImmutable} {
		if err := setFlag(filepath.Join(dir, name), flag); err != nil {
			for _, name := range []string{"sub/file", "sub", "other", "."} {
				setFlag(filepath.Join(dir, name), 0)
			}
			t.Skipf("this user and file system cannot make a file immutable: %v", err)
		}
	}
	if err := RemoveTree(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}

func setFlag(name string, flag int) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flag)
}
