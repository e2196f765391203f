package sandbox

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	if programDir != "" {
		os.RemoveAll(programDir)
	}
	os.Exit(code)
}

var programDir string

// programs builds pkgtool and packs the seed, once. Everybody may read them.
var programs = sync.OnceValues(func() (dir string, err error) {
	if programDir, err = os.MkdirTemp("", "ashlar-sandbox-"); err != nil {
		return "", err
	}
	dir = programDir
	for name, what := range map[string]string{"pkgtool": "ashlar/pkgtool", "tree/usr/bin/probe": "ashlar/tests/sandbox/probe"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), what)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", what, err, out)
		}
	}
	return dir, errors.Join(packSeed(dir), os.Chmod(dir, 0o755))
})

// packSeed packs bash, busybox and probe, with the libraries they need, as the
// only package of a seed.
func packSeed(dir string) error {
	tree := filepath.Join(dir, "tree")
	copyTo := func(from, to string) error {
		data, err := os.ReadFile(from)
		to = filepath.Join(tree, to)
		return errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o755))
	}
	for _, name := range []string{"bash", "busybox"} {
		program, err := exec.LookPath(name)
		if err != nil {
			return fmt.Errorf("%s is not installed; run pkgtool/bootstrap.sh test", name)
		}
		if err := copyTo(program, "usr/bin/"+name); err != nil {
			return err
		}
		libraries, _ := exec.Command("ldd", program).Output() // fails for a static one
		for word := range strings.FieldsSeq(string(libraries)) {
			if strings.HasPrefix(word, "/") {
				if err := copyTo(word, "usr/lib/x86_64-linux-gnu/"+filepath.Base(word)); err != nil {
					return err
				}
			}
		}
	}
	for _, name := range []string{"mkdir", "cp", "ln", "rm", "sleep", "touch", "patch", "chmod", "cat"} {
		if err := os.Symlink("busybox", filepath.Join(tree, "usr/bin", name)); err != nil {
			return err
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(tree, "usr/share"), 0o755), os.WriteFile(filepath.Join(tree, "usr/share/seed"), []byte("of the seed"), 0o644)); err != nil {
		return err
	}
	control := "Package: busybox\nVersion: 1\nArchitecture: amd64\nMaintainer: test <test@example.org>\nDescription: test\n"
	if err := errors.Join(os.MkdirAll(filepath.Join(tree, "DEBIAN"), 0o755), os.WriteFile(filepath.Join(tree, "DEBIAN/control"), []byte(control), 0o644)); err != nil {
		return err
	}
	out, err := exec.Command("dpkg-deb", "-Zgzip", "--root-owner-group", "-b", tree, filepath.Join(dir, "seed.deb")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// world is a project with a cache and keys of its own, and a user who builds.
type world struct {
	*testing.T
	pkgtool, dir string
	user         int // number; 0 is root
	env          []string
	extra        []*os.File // descriptors that pkgtool inherits
}

// each runs a test as root and as an ordinary user; without root only as
// whoever runs it.
func each(t *testing.T, fn func(w *world)) {
	t.Helper()
	if os.Getuid() != 0 {
		fn(newWorld(t, 0))
		return
	}
	t.Run("root", func(t *testing.T) { fn(newWorld(t, 0)) })
	t.Run("user", func(t *testing.T) { fn(newWorld(t, 54321)) })
}

// sub is a part of a test in the same world.
func (w *world) sub(name string, fn func(w *world)) {
	w.Helper()
	w.T.Run(name, func(t *testing.T) {
		part := *w
		part.T = t
		fn(&part)
	})
}

func newWorld(t *testing.T, user int) *world {
	t.Helper()
	programs, err := programs()
	check(t, err)
	dir, err := os.MkdirTemp("", "sandbox-world-")
	check(t, err)
	t.Cleanup(func() {
		if err := exec.Command("rm", "-rf", dir).Run(); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	check(t, os.Chmod(dir, 0o755))
	w := &world{T: t, pkgtool: filepath.Join(programs, "pkgtool"), dir: dir, user: user}
	data, err := os.ReadFile(filepath.Join(programs, "seed.deb"))
	check(t, err)
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	w.write("cache/sources/sha256/"+sum, string(data))
	w.write("recipes/seed.lock", fmt.Sprintf("schema: 1\ndistribution: debian\nrelease: \"12\"\nsuite: bookworm\narch: amd64\nwanted: {base: [busybox]}\nwithout: []\n"+
		"layers:\n  base:\n    - {path: \"pool/b/busybox_1_amd64.deb\", sha256: %q, size: %d}\n", sum, len(data)))
	w.write("canary/secret", secret)
	w.write("keys/canary", secret)
	check(t, os.Chmod(w.path("keys"), 0o700))
	w.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "NO_COLOR=1",
		"ASHLAR_CACHE=" + filepath.Join(dir, "cache"), "ASHLAR_KEYS=" + filepath.Join(dir, "keys"),
	}
	return w
}

// secret is what must not be seen in any build.
const secret = "canary-4f1d8c"

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, text string) {
	w.Helper()
	check(w, os.MkdirAll(filepath.Dir(w.path(name)), 0o755))
	check(w, os.WriteFile(w.path(name), []byte(text), 0o644))
}

// recipe writes a recipe; more is whatever it has besides its head.
func (w *world) recipe(name, more string) {
	w.Helper()
	w.write("recipes/"+name+"/recipe.yaml", "schema: 1\nname: "+name+"\nversion: \"1.0.0\"\nrelease: 1\ndate: 2026-01-10\nsummary: s\nlicense: MIT\n"+more)
}

// act writes a recipe that lets probe act and then installs a file.
func (w *world) act(name, build string, args ...string) {
	w.Helper()
	w.recipe(name, "build: {strip: false, debug: false"+build+"}\nphases:\n  install:\n    - exec: [probe, "+strings.Join(args, ", ")+"]\n"+
		"    - run: |\n        mkdir -p $DESTDIR/usr/share\n        echo x > $DESTDIR/usr/share/"+name+"\n")
}

// own gives everything to the user who builds.
func (w *world) own() {
	w.Helper()
	if w.user == 0 {
		return
	}
	check(w, filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, w.user, w.user))
	}))
}

// command is pkgtool in the world's folder, as its user.
func (w *world) command(args ...string) *exec.Cmd {
	w.own()
	cmd := exec.CommandContext(w.Context(), w.pkgtool, args...)
	cmd.Dir, cmd.Env, cmd.ExtraFiles = w.dir, w.env, w.extra
	if w.user != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(w.user), Gid: uint32(w.user)}}
	}
	return cmd
}

// build runs pkgtool build and returns all it printed.
func (w *world) build(args ...string) (string, error) {
	out, err := w.command(append([]string{"build", "--out", "out"}, args...)...).CombinedOutput()
	return string(out), err
}

// built builds and fails the test where that does not work. It returns the
// recipe's log.
func (w *world) built(name string, args ...string) string {
	w.Helper()
	out, err := w.build(append([]string{name}, args...)...)
	log := w.log(name)
	if err != nil {
		w.Fatalf("build %s: %v\n%s\nlog:\n%s", name, err, out, log)
	}
	return log
}

// log is what the builds of a recipe printed.
func (w *world) log(name string) string {
	var all strings.Builder
	files, _ := filepath.Glob(w.path("cache/build/logs/" + name + "-*.log"))
	for _, f := range files {
		data, _ := os.ReadFile(f)
		all.Write(data)
	}
	return all.String()
}

// refused builds and wants a failure that says so.
func (w *world) refused(name string, want ...string) {
	w.Helper()
	out, err := w.build(name)
	if err == nil {
		w.Errorf("%s was built:\n%s", name, out)
		return
	}
	for _, text := range want {
		if !strings.Contains(out, text) {
			w.Errorf("%s: want %q in\n%s", name, text, out)
		}
	}
	w.clean()
}

// clean checks that no build left anything where builds work.
func (w *world) clean() {
	w.Helper()
	if left, _ := os.ReadDir(w.path("cache/build/work")); len(left) > 0 {
		w.Errorf("left in the work folder: %v", left)
	}
}

// report reads what probe told: results of acts, and facts, by name.
func report(log string) (acts map[string]string, facts map[string][]string) {
	acts, facts = map[string]string{}, map[string][]string{}
	for line := range strings.Lines(log) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, value, _ := strings.Cut(rest, ": ")
		switch kind {
		case "ACT":
			acts[name] = value
		case "FACT":
			facts[name] = append(facts[name], value)
		}
	}
	return acts, facts
}

// denied checks that probe tried each act and none was possible.
func denied(t *testing.T, acts map[string]string, names ...string) {
	t.Helper()
	for _, name := range names {
		switch result := acts[name]; result {
		case "possible":
			t.Errorf("%s was possible", name)
		case "":
			t.Errorf("%s was not tried", name)
		}
	}
}
