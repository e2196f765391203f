package places

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if programDir != "" {
		os.RemoveAll(programDir)
	}
	os.Exit(code)
}

// programDir is where programs were built; "" if no test needed them.
var programDir string

// programs builds pkgtool and pkgtool-objects, once.
var programs = sync.OnceValues(func() (pkgtool string, err error) {
	dir, err := os.MkdirTemp("", "ashlar-places-")
	if err != nil {
		return "", err
	}
	programDir = dir
	pkgtool = filepath.Join(dir, "pkgtool")
	for path, what := range map[string]string{pkgtool: "ashlar/pkgtool", pkgtool + "-objects": "ashlar/pkgtool/objects"} {
		cmd := exec.Command("go", "build", "-o", path, what)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", what, err, out)
		}
	}
	return pkgtool, nil
})

// world is a publisher with a repository of two packages.
type world struct {
	*testing.T
	pkgtool, dir string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	pkgtool, err := programs()
	check(t, err)
	w := &world{t, pkgtool, t.TempDir()}
	t.Setenv("ASHLAR_KEYS", filepath.Join(w.dir, "keys"))
	t.Setenv("ASHLAR_CACHE", filepath.Join(w.dir, "cache"))
	w.run("repo", "init", "repo", "--name", "places")
	w.run("repo", "trust", "repo", "-o", "root.json")
	w.pack("lib", "the library")
	w.pack("c++-tool", "a name with a plus") // which some servers take for a blank
	w.run("repo", "publish", "repo")
	return w
}

// command runs pkgtool in the world's folder.
func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.Context(), w.pkgtool, args...)
	cmd.Dir = w.dir
	return cmd
}

func (w *world) try(args ...string) (string, error) {
	out, err := w.command(args...).CombinedOutput()
	return string(out), err
}

func (w *world) run(args ...string) string {
	w.Helper()
	out, err := w.try(args...)
	if err != nil {
		w.Fatalf("pkgtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// pack makes a package with one file and adds it to the repository.
func (w *world) pack(name, content string) {
	w.Helper()
	tree := filepath.Join(w.dir, "trees", name)
	check(w, os.MkdirAll(filepath.Join(tree, "usr/share"), 0o755))
	check(w, os.WriteFile(filepath.Join(tree, "usr/share", name), []byte(content), 0o644))
	text := fmt.Sprintf("schema: 1\nname: %s\nversion: 1.0.0\nsummary: A package\ndate: 2026-01-31\n", name)
	check(w, os.WriteFile(filepath.Join(w.dir, name+".yaml"), []byte(text), 0o644))
	w.run("pkg", "create", tree, "--description", name+".yaml")
	w.run("repo", "add", "repo", name+"-1.0.0-1.noarch.ashlar")
}

// system makes an empty system that takes packages from a url.
func (w *world) system(name, url string) string {
	w.Helper()
	root := filepath.Join(w.dir, name)
	check(w, os.MkdirAll(filepath.Join(root, "etc/pkgtool/repositories.d"), 0o755))
	w.run("repo", "trust", "repo", "-o", filepath.Join(root, "etc/pkgtool/trust/places/root.json"))
	config := fmt.Sprintf("schema: 1\nname: places\nurls: [%q]\n", url)
	check(w, os.WriteFile(filepath.Join(root, "etc/pkgtool/repositories.d/places.yaml"), []byte(config), 0o644))
	return root
}

// installed installs packages and holds their files against what was packed.
func (w *world) installed(root string, names ...string) {
	w.Helper()
	w.run("--root", root, "refresh")
	w.run(append([]string{"--root", root, "install", "-y"}, names...)...)
	for _, name := range names {
		got, err := os.ReadFile(filepath.Join(root, "usr/share", name))
		want, _ := os.ReadFile(filepath.Join(w.dir, "trees", name, "usr/share", name))
		if err != nil || string(got) != string(want) {
			w.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

// good has pkgtool judge a place, which shows what the repository shows.
func (w *world) good(url string) {
	w.Helper()
	out := w.run("repo", "mirror", "status", url, "--root-file", "root.json", "--verify", "--origin", "repo")
	if !strings.Contains(out, "the origin shows nothing newer") {
		w.Errorf("%s: %s", url, out)
	}
}

// mirrored is what `repo mirror --json` says.
type mirrored struct {
	Mirror struct {
		Version int64 `json:"version"`
		Objects int   `json:"objects"`
		Fetched int   `json:"fetched"`
		Changed bool  `json:"changed"`
	} `json:"mirror"`
}

func (w *world) mirror(url string) (m mirrored) {
	w.Helper()
	cmd := w.command("--json", "repo", "mirror", "repo", url)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	check(w, err)
	check(w, json.Unmarshal(out, &m))
	return m
}

// lifecycle publishes to a place, installs from it, publishes one package more
// and lets every request of that be the last one of the publisher. count says
// how many files the server keeps.
func (w *world) lifecycle(url, public string, count func() int) {
	first := w.mirror(url)
	if !first.Mirror.Changed || first.Mirror.Fetched != first.Mirror.Objects {
		w.Errorf("the first copy: %+v", first)
	}
	root := w.system("root", public)
	w.installed(root, "lib", "c++-tool")
	if again := w.mirror(url); again.Mirror.Changed || again.Mirror.Fetched != 0 {
		w.Errorf("nothing new: %+v", again)
	}
	w.good(url)

	for i := range 20 {
		w.pack(fmt.Sprint("other", i), "content")
	}
	w.run("repo", "publish", "repo", "--to", url)
	w.pack("new", "of the next state")
	w.run("repo", "publish", "repo")
	before := count()
	next := w.mirror(url)
	if next.Mirror.Fetched > 4 || next.Mirror.Objects < 23 {
		w.Errorf("one package more: %+v", next)
	}
	if more := count() - before; more > 20 {
		w.Errorf("one package more made %d new files at the server", more)
	}
	w.installed(root, "new")
	w.good(url)
}
