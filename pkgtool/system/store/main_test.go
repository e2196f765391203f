package store_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ashlar/pkgtool/system/store"

	"golang.org/x/sys/unix"
)

// childRun names the function of children that this test binary, started again
// by runChild, runs instead of tests; childDir is the folder it gets.
const (
	childRun = "ASHLAR_STORE_CHILD"
	childDir = "ASHLAR_STORE_CHILD_DIR"
)

var children = map[string]func(dir string) error{
	"install": install,
	"user":    ordinaryUser,
	"full":    fullDisk,
}

func TestMain(m *testing.M) {
	name := os.Getenv(childRun)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := children[name](os.Getenv(childDir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func childCommand(name, dir string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childRun+"="+name, childDir+"="+dir)
	return cmd
}

// runInNamespace runs a child in a user namespace where it has this number.
func runInNamespace(t *testing.T, name, dir string, uid int) {
	t.Helper()
	cmd := childCommand(name, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// world is a state folder with its store, and a folder for trees beside it.
type world struct {
	testing.TB
	*store.Store
	root string
	dir  int // descriptor of the folder for trees
}

// newWorld makes a world in dir and begins.
func newWorld(t testing.TB, dir string) *world {
	t.Helper()
	w := &world{TB: t, root: dir}
	for _, name := range []string{".ashlar", "tree"} {
		w.check(os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	var err error
	w.dir, err = unix.Open(filepath.Join(dir, "tree"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	w.check(err)
	t.Cleanup(func() { unix.Close(w.dir) })
	w.reopen()
	w.check(w.Begin())
	return w
}

// reopen is what the next process does.
func (w *world) reopen() {
	w.Helper()
	state, err := unix.Open(filepath.Join(w.root, ".ashlar"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	w.check(err)
	defer unix.Close(state)
	s, err := store.Open(state)
	w.check(err)
	w.Store = s
	w.Cleanup(func() { s.Close() })
}

func (w *world) check(err error) {
	if err != nil {
		w.Helper()
		w.Fatal(err)
	}
}

func (w *world) path(o *store.Object) string {
	key := o.Key().String()
	return filepath.Join(w.root, ".ashlar", "store", key[:2], key[2:])
}

func (w *world) tree(name string) string { return filepath.Join(w.root, "tree", name) }

func (w *world) has(o *store.Object) bool {
	w.Helper()
	has, err := w.Has(o)
	w.check(err)
	return has
}

// files lists everything in the store's folders.
func (w *world) files() []string {
	w.Helper()
	names, err := filepath.Glob(filepath.Join(w.root, ".ashlar", "store", "*", "*"))
	w.check(err)
	return names
}

func (w *world) stat(path string) *unix.Stat_t {
	w.Helper()
	var st unix.Stat_t
	w.check(unix.Lstat(path, &st))
	return &st
}

// object describes content that belongs to us.
func object(content string, mode uint32) *store.Object {
	sum := sha256.Sum256([]byte(content))
	return &store.Object{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content)), Mode: mode,
		UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
}

const epoch = 1700000000

// expectFile compares a file with an object in all that an object has.
func (w *world) expectFile(path, content string, o *store.Object) {
	w.Helper()
	data, err := os.ReadFile(path)
	w.check(err)
	if string(data) != content {
		w.Errorf("%s: %d bytes, want %d", path, len(data), len(content))
	}
	st := w.stat(path)
	if st.Mode != unix.S_IFREG|o.Mode || st.Uid != o.UID || st.Gid != o.GID {
		w.Errorf("%s: mode %o, owner %d:%d", path, st.Mode, st.Uid, st.Gid)
	}
	if st.Mtim != (unix.Timespec{Sec: epoch}) {
		w.Errorf("%s: time %v", path, st.Mtim)
	}
	if got, want := attributes(w, path), slices.Sorted(maps.Keys(o.Xattrs)); !slices.Equal(got, want) {
		w.Errorf("%s: attributes %q, want %q", path, got, want)
	}
	for name, value := range o.Xattrs {
		now := make([]byte, len(value)+1)
		n, err := unix.Lgetxattr(path, name, now)
		w.check(err)
		if string(now[:n]) != string(value) {
			w.Errorf("%s: attribute %s is %q", path, name, now[:n])
		}
	}
}

func attributes(w *world, path string) []string {
	w.Helper()
	list := make([]byte, 4096)
	n, err := unix.Llistxattr(path, list)
	w.check(err)
	names := strings.FieldsFunc(string(list[:n]), func(r rune) bool { return r == 0 })
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool { return name == "security.selinux" })
}

// failing reads like content and then fails.
func failing(content string, err error) io.Reader {
	return io.MultiReader(strings.NewReader(content), errorReader{err})
}

type errorReader struct{ error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.error }
