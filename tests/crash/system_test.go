package crash

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ashlar/tests/crash/killat"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	killat.Main()
	code := m.Run()
	if programDir != "" {
		os.RemoveAll(programDir)
	}
	os.Exit(code)
}

// programDir is where program was built; "" if no test needed it.
var programDir string

// program is the pkgtool under test, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ashlar-crash-")
	if err != nil {
		return "", err
	}
	programDir = dir
	path := filepath.Join(dir, "pkgtool")
	cmd := exec.Command("go", "build", "-o", path, "ashlar/pkgtool")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build pkgtool: %w\n%s", err, out)
	}
	return path, nil
})

// bench is where a test's packages and repository are.
type bench struct {
	t       testing.TB
	pkgtool string
	dir     string
}

func newBench(t testing.TB) *bench {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, pkgtool: path, dir: scratch(t)}
	t.Setenv("ASHLAR_KEYS", filepath.Join(b.dir, "keys"))
	t.Setenv("ASHLAR_CACHE", filepath.Join(b.dir, "cache"))
	return b
}

// scratch is a folder on a file system in memory, where there is one.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "ashlar-crash-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// run runs pkgtool, which must succeed.
func (b *bench) run(args ...string) string {
	b.t.Helper()
	out, err := b.try(args...)
	if err != nil {
		b.t.Fatalf("pkgtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (b *bench) try(args ...string) (string, error) {
	cmd := exec.Command(b.pkgtool, args...)
	cmd.Dir = b.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// item is a path of a package: a file's content, "-> target" of a symbolic
// link, "= path" of a hard link, or "/" for a folder.
type item struct {
	path, content string
	mode          fs.FileMode // 0 means 0644
}

// pack makes a package and adds it to the repository. head holds further lines
// of its description.
func (b *bench) pack(name, version, head string, items ...item) {
	b.t.Helper()
	tree := filepath.Join(b.dir, "trees", name+"-"+version)
	for _, i := range items {
		full := filepath.Join(tree, i.path)
		check(b.t, os.MkdirAll(filepath.Dir(full), 0o755))
		switch {
		case i.content == "/":
			check(b.t, os.MkdirAll(full, 0o755))
		case strings.HasPrefix(i.content, "-> "):
			check(b.t, os.Symlink(i.content[3:], full))
		case strings.HasPrefix(i.content, "= "):
			check(b.t, os.Link(filepath.Join(tree, i.content[2:]), full))
		default:
			mode := i.mode
			if mode == 0 {
				mode = 0o644
			}
			check(b.t, os.WriteFile(full, []byte(i.content), mode))
		}
	}
	description := filepath.Join(b.dir, name+"-"+version+".yaml")
	text := fmt.Sprintf("schema: 1\nname: %s\nversion: %s\nsummary: A package of the crash test\ndate: 2026-01-31\n%s", name, version, head)
	check(b.t, os.WriteFile(description, []byte(text), 0o644))
	b.run("pkg", "create", tree, "--description", description)
	b.run("repo", "add", "repo", fmt.Sprintf("%s-%s-1.noarch.ashlar", name, version))
}

func (b *bench) initRepository() { b.run("repo", "init", "repo", "--name", "crash") }

// root makes an empty system that knows the repository, refreshed.
func (b *bench) root(name string) string {
	b.t.Helper()
	root := filepath.Join(b.dir, name)
	check(b.t, os.MkdirAll(filepath.Join(root, "etc/pkgtool/repositories.d"), 0o755))
	b.run("repo", "trust", "repo", "-o", filepath.Join(root, "etc/pkgtool/trust/crash/root.json"))
	config := fmt.Sprintf("schema: 1\nname: crash\nurls: [%q]\n", "file://"+filepath.Join(b.dir, "repo"))
	check(b.t, os.WriteFile(filepath.Join(root, "etc/pkgtool/repositories.d/crash.yaml"), []byte(config), 0o644))
	b.run("--root", root, "refresh")
	return root
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// copyTree copies a system with its hard links, owners and times.
func copyTree(ctx context.Context, from, to string) error {
	if out, err := exec.CommandContext(ctx, "cp", "-a", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// state describes everything below a root that belongs to the system: path,
// type, mode, owner, content. Not its own records, and no times.
func state(root string) (string, error) {
	var lines []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		for _, own := range []string{".ashlar", "var/lib/pkgtool", "var/cache/pkgtool", "usr/lib/ashlar"} {
			if rel == own {
				return fs.SkipDir
			}
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		line := fmt.Sprintf("%s %o %d:%d", rel, st.Mode, st.Uid, st.Gid)
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		case d.Type().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(data)
			line += " " + hex.EncodeToString(sum[:])
		}
		lines = append(lines, line)
		return nil
	})
	return strings.Join(lines, "\n"), err
}

// difference tells two states apart, for a message.
func difference(got, want string) string {
	var out []string
	have, expect := strings.Split(got, "\n"), strings.Split(want, "\n")
	for _, line := range have {
		if !slices.Contains(expect, line) {
			out = append(out, "+ "+line)
		}
	}
	for _, line := range expect {
		if !slices.Contains(have, line) {
			out = append(out, "- "+line)
		}
	}
	return strings.Join(out[:min(len(out), 12)], "\n")
}

// leftovers lists what an unfinished transaction would have left in the
// system's records.
func leftovers(root string) error {
	for _, path := range []string{"staging", "journal.json", "journal.json.tmp", "store/.open", "current.tmp"} {
		if _, err := os.Lstat(filepath.Join(root, ".ashlar", path)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf(".ashlar/%s is left (%v)", path, err)
		}
	}
	return nil
}

// objects counts the objects in the store.
func objects(root string) (n int) {
	filepath.WalkDir(filepath.Join(root, ".ashlar/store"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return nil
	})
	return n
}

// hostCommand runs a program of the host.
func hostCommand(argv ...string) (string, error) {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	return string(out), err
}
