package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"

	"golang.org/x/sys/unix"
)

// The test binary is the tests, pid 1 of the sandboxes, the only program in
// them, and an engine that gets killed.
func TestMain(m *testing.M) {
	sandbox.MaybeInit()
	if filepath.Base(os.Args[0]) == "bash" { // of the probes' seed: a script is one probe
		words := strings.Fields(os.Args[len(os.Args)-1])
		os.Exit(do(words[0], words[1:]))
	}
	if len(os.Args) > 2 && os.Args[1] == "do" {
		os.Exit(do(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

// do is the program `probe` of the build roots of these tests.
func do(what string, args []string) int {
	dest := func(name string) string {
		path := filepath.Join(os.Getenv("DESTDIR"), name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		return path
	}
	var err error
	switch what {
	case "put":
		err = os.WriteFile(dest(args[0]), []byte(args[1]), 0o644)
	case "copy": // a file of the recipe's folder
		var data []byte
		if data, err = os.ReadFile(os.Getenv("RECIPEDIR") + "/" + args[0]); err == nil {
			err = os.WriteFile(dest(args[1]), data, 0o755)
		}
	case "append": // what a dependency installed, with a letter more
		var data []byte
		if data, err = os.ReadFile(args[0]); err == nil {
			err = os.WriteFile(dest(args[1]), append(data, '+'), 0o644)
		}
	case "env":
		var text string
		for _, entry := range os.Environ() {
			if !strings.HasPrefix(entry, "JOBS=") {
				text += entry + "\n"
			}
		}
		wd, _ := os.Getwd()
		err = os.WriteFile(dest(args[0]), []byte(text+wd), 0o644)
	case "link":
		err = os.Symlink(args[0], dest(args[1]))
	case "hardlink":
		err = os.Link(dest(args[0]), dest(args[1]))
	case "fifo":
		err = unix.Mkfifo(dest(args[0]), 0o644)
	case "mode":
		var bits uint64
		if bits, err = strconv.ParseUint(args[0], 8, 32); err == nil {
			err = unix.Chmod(dest(args[1]), uint32(bits))
		}
	case "fill":
		err = os.WriteFile(dest(args[0]), make([]byte, 256<<20), 0o644)
	case "jobs": // how many, which no package should depend on
		err = os.WriteFile(dest(args[0]), []byte("JOBS="+os.Getenv("JOBS")+"\n"), 0o644)
	case "onejob":
		if os.Getenv("JOBS") != "1" {
			err = errors.New("more than one job")
		}
	case "note": // a word in a file of the build folder
		var f *os.File
		if f, err = os.OpenFile("/build/notes", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
			_, err = f.WriteString(args[0] + " ")
			err = errors.Join(err, f.Close())
		}
	case "notes": // installed
		var data []byte
		if data, err = os.ReadFile("/build/notes"); err == nil {
			err = os.WriteFile(dest(args[0]), data, 0o644)
		}
	case "want": // files that have to be there, and with - that must not
		for _, name := range args {
			name, absent := strings.CutPrefix(name, "-")
			if _, statErr := os.Stat(name); (statErr != nil) != absent {
				err = errors.Join(err, fmt.Errorf("%s: absent %v is not so", name, absent))
			}
		}
	case "sleep":
		time.Sleep(time.Minute)
	case "fail":
		fmt.Println("the compiler says no")
		return 1
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// probeSeed is a seed of one layer with one program.
type probeSeed string

func (probeSeed) LayerOf(name string) (string, bool) { return name, name == "base" || name == "probe" }
func (probeSeed) Digest(string) string               { return "probe" }
func (s probeSeed) Materialize(context.Context, string) (string, error) {
	return string(s), nil
}

var seedDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "probe-seed-")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(dir, "usr/bin"), 0o755); err != nil {
		return "", err
	}
	return dir, errors.Join(copyFile("/proc/self/exe", filepath.Join(dir, "usr/bin/probe"), 0o755), os.Symlink("probe", filepath.Join(dir, "usr/bin/bash")))
})

// bench is a place to build in.
type bench struct {
	t       testing.TB
	recipes string
	cache   string
	out     string
	mu      sync.Mutex
	events  []Event
	setUp   func(*Engine)
}

func newBench(t testing.TB) *bench {
	dir := t.TempDir()
	return &bench{t: t, recipes: filepath.Join(dir, "project/recipes"), cache: filepath.Join(dir, "cache"), out: filepath.Join(dir, "out")}
}

// recipe writes a recipe whose install steps are `probe do` commands.
func (b *bench) recipe(name, more string, steps ...string) {
	text := "schema: 1\nname: " + name + "\nversion: \"1.0.0\"\nrelease: 1\ndate: 2026-01-10\nsummary: s\nlicense: MIT\n" + more + "\nphases:\n  install:\n"
	for _, s := range steps {
		text += "    - exec: [probe, do, " + s + "]\n"
	}
	if len(steps) == 0 {
		text = strings.TrimSuffix(text, "phases:\n  install:\n")
	}
	b.write(name+"/recipe.yaml", text)
}

func (b *bench) write(name, text string) {
	path := filepath.Join(b.recipes, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) engine() *Engine {
	b.t.Helper()
	dir, err := seedDir()
	if err != nil {
		b.t.Fatal(err)
	}
	tree, err := recipe.LoadTree(b.recipes, "x86_64")
	if err != nil {
		b.t.Fatal(err)
	}
	if err := tree.Err(); err != nil {
		b.t.Fatal(err)
	}
	cache, err := OpenCache(filepath.Join(b.cache, "build"))
	if err != nil {
		b.t.Fatal(err)
	}
	e := &Engine{Tree: tree, Seed: probeSeed(dir), Fetcher: &source.Fetcher{CacheDir: b.cache}, Cache: cache, Out: b.out}
	e.Report = func(ev Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, ev)
	}
	if b.setUp != nil {
		b.setUp(e)
	}
	return e
}

func (b *bench) build(names ...string) ([]Built, error) {
	b.t.Helper()
	b.events = nil
	return b.engine().Build(b.t.Context(), names)
}

// must builds and returns the recipes that were really built, and those that
// were divided again, in alphabetical order.
func (b *bench) must(names ...string) (built, packed string) {
	b.t.Helper()
	if _, err := b.build(names...); err != nil {
		b.t.Fatal(err)
	}
	return b.told(Started), b.told(Packaging)
}

func (b *bench) told(kind Kind) string {
	var names []string
	for _, ev := range b.events {
		if ev.Kind == kind {
			names = append(names, ev.Recipe)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// fails builds and expects an error with all the texts in it.
func (b *bench) fails(want ...string) error {
	b.t.Helper()
	_, err := b.build()
	if err == nil {
		b.t.Fatalf("nothing failed; want %q", want)
	}
	for _, text := range want {
		if !strings.Contains(err.Error()+strings.Join(fault.Hints(err), "\n"), text) {
			b.t.Errorf("got  %v\nwant %s", err, text)
		}
	}
	return err
}

func (b *bench) pkg(file string) *pkgfile.Package {
	b.t.Helper()
	p, err := pkgfile.OpenFile(filepath.Join(b.out, file))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { p.Close() })
	if err := p.Verify(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return p
}

func expect(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestBuildsOnlyWhatChanged(t *testing.T) {
	b := newBench(t)
	lib := func(more, content string) {
		b.recipe("lib", more+"\npackages: [{name: lib-dev, split: dev}]", "put, usr/include/lib.h, "+content)
	}
	lib("", "one")
	b.recipe("app", "build: {libs: [lib-dev]}", "append, /usr/include/lib.h, usr/share/app")
	b.recipe("alone", "", "env, usr/share/doc/env")
	built, _ := b.must()
	expect(t, "first", built, "alone app lib")
	built, packed := b.must()
	expect(t, "again", built+packed, "")

	lib("description: more words", "one")
	built, packed = b.must()
	expect(t, "built after a change of text", built, "")
	expect(t, "packed after a change of text", packed, "lib")

	lib("vars: {x: y}\nbuild: {env: {UNUSED: x}}", "one")
	built, _ = b.must()
	expect(t, "an output that is the same stops the rebuild", built, "lib")

	lib("", "two")
	built, _ = b.must()
	expect(t, "a changed library", built, "app lib")
	p := b.pkg("app-1.0.0-1.x86_64.ashlar")
	r, err := p.OpenFrameFile(p.Manifest().File("usr/share/app"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	content := make([]byte, 10)
	n, _ := r.Read(content)
	expect(t, "content", string(content[:n]), "two+")
	for _, ev := range b.events {
		if ev.Kind == Started && ev.Recipe == "app" {
			expect(t, "reason", ev.Text, "package lib-dev changed")
		}
	}
}

func TestSamePackagesEverywhere(t *testing.T) {
	var sums []string
	for i := range 2 {
		b := newBench(t)
		b.setUp = func(e *Engine) { e.Jobs = 1 + 5*i }
		b.recipe("a", "", "env, usr/share/doc/env", "put, usr/bin/x, y", "link, x, usr/bin/z")
		old := unix.Umask([]int{0o077, 0o002}[i])
		built, err := b.build()
		unix.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, built[0].SHA256)
	}
	expect(t, "sha256", sums[0], sums[1])
}

func TestClaims(t *testing.T) {
	b := newBench(t)
	steps := []string{"put, usr/share/a/one, x", "put, usr/share/a/two, x", "put, usr/bin/tool, x", "put, usr/share/man/man1/tool.1, x"}
	b.recipe("a", "packages: [{name: a, files: [/usr/bin/*, '/usr/lib/**']}, {name: a-doc, split: doc}, {name: a-dev, split: dev}]", steps...)
	err := b.fails("belong to no package", "- /usr/share/a/one", "package a: the claim /usr/lib/** matches nothing", "package a-dev: split dev finds nothing")
	if fault.ClassOf(err) != fault.Usage {
		t.Errorf("class %v", fault.ClassOf(err))
	}
	b.recipe("a", "packages: [{name: a, files: [/usr/bin/*, '/usr/share/a/**']}, {name: a-doc, split: doc}]", steps...)
	built, packed := b.must()
	expect(t, "nothing is compiled again for a claim", built+"/"+packed, "/a")
	b.recipe("b", "", "put, usr/sbin/tool, x")
	b.fails("/usr/sbin/tool", "symbolic link")
}

func TestWhatPackagesHold(t *testing.T) {
	b := newBench(t)
	b.write("a/files/conf", "v=1\n")
	b.recipe("a", `
packages:
  - name: a
    files: [/usr/**, /etc/secret]
    config: [/etc/*]
    modes: [{path: /etc/secret, owner: root, group: adm, mode: "0640"}, {path: /usr/bin/su, mode: "4755", reason: test}]
    dirs: [{path: /var/lib/a, owner: daemon, mode: "0700"}]
    extra: [{from: files/conf, to: /etc/conf}]
    depends: ["a-libs >=1"]
    provides: ["pkgconfig(a) = 1.2"]
  - name: a-libs
    files: [/opt/**]
`, "put, usr/bin/su, x", "mode, '4711', usr/bin/su", "put, usr/bin/run, x", "mode, '0755', usr/bin/run",
		"link, /etc/passwd, usr/share/passwd", "hardlink, usr/bin/run, usr/bin/again", "put, etc/secret, x", "mode, '0600', etc/secret",
		"put, opt/target, x", "link, ../../opt/target, usr/share/sibling")
	b.must()
	m := b.pkg("a-1.0.0-1.x86_64.ashlar").Manifest()
	var lines []string
	for _, f := range m.Files {
		lines = append(lines, fmt.Sprintf("%s %s %04o %s:%s %s %v", f.Path, f.Type, f.Mode, f.Owner, f.Group, f.Target, f.Config))
	}
	expect(t, "files", strings.Join(lines, "\n"), strings.TrimSpace(`
etc/conf file 0644 root:root  true
etc/secret file 0640 root:adm  true
usr/bin/again file 0755 root:root  false
usr/bin/run hardlink 0000 : usr/bin/again false
usr/bin/su file 4755 root:root  false
usr/share/passwd symlink 0777 root:root /etc/passwd false
usr/share/sibling symlink 0777 root:root ../../opt/target false
var/lib/a dir 0700 daemon:root  false`))
	expect(t, "requires", strings.Join(m.Requires, ", "), "a-libs =1.0.0-1, a-libs >=1")
	expect(t, "provides", strings.Join(m.Provides, ", "), "cmd(again), cmd(run), cmd(su), pkgconfig(a) = 1.2.0")
	expect(t, "origin", m.Provenance.Origin, "source")
}

func TestRefusesWhatABuildShouldNotInstall(t *testing.T) {
	for _, c := range []struct{ step, want string }{
		{"fifo, usr/lib/pipe", "a named pipe"},
		{"mode, '4755', usr/bin/tool", "was installed setuid"},
		{"mode, '0600', usr/bin/tool", "say under modes who may read it"},
		{"put, etc/a.conf, x", "an upgrade would overwrite"},
	} {
		b := newBench(t)
		b.recipe("a", "", "put, usr/bin/tool, x", c.step)
		b.fails(c.want)
	}
}

func TestFailureShowsTheLog(t *testing.T) {
	b := newBench(t)
	b.recipe("bad", "", "fail")
	b.recipe("next", "build: {tools: [bad]}", "put, usr/share/x, x")
	b.recipe("other", "", "put, usr/share/y, y")
	b.setUp = func(e *Engine) { e.KeepGoing, e.Parallel = true, 1 }
	b.fails("bad: install failed with exit status 1", "| the compiler says no", ".log", "--shell-on-failure", "1 recipes that need them were not built")
	expect(t, "skipped", b.told(Skipped), "next")
	expect(t, "built", b.told(Done), "other")
}

func TestSourceTrees(t *testing.T) {
	b := newBench(t)
	b.recipe("a", "sources: [{id: tree, tree: .., include: ['src/**'], exclude: ['**/*_test.go']}]", "append, src/main.go, usr/share/a")
	b.write("../src/main.go", "package main")
	b.write("../src/main_test.go", "package main")
	built, _ := b.must()
	expect(t, "first", built, "a")
	b.write("../src/main_test.go", "package other")
	b.write("../other.go", "package other")
	built, _ = b.must()
	expect(t, "files that are left out", built, "")
	b.write("../src/main.go", "package mine")
	built, _ = b.must()
	expect(t, "a changed file", built, "a")
}

func TestExportIsSignedAndRepaired(t *testing.T) {
	key, err := signing.Generate("test", "", time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := signing.NewKeyring(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.setUp = func(e *Engine) { e.Signer = key }
	b.recipe("a", "", "put, usr/bin/tool, x")
	b.must()
	file := filepath.Join(b.out, "a-1.0.0-1.x86_64.ashlar")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.pkg("a-1.0.0-1.x86_64.ashlar").VerifySignature(keyring, signing.Policy{}); err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, good[:len(good)-5], good[:100]} {
		if err := os.WriteFile(file, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		b.must()
		if now, err := os.ReadFile(file); err != nil || string(now) != string(good) {
			t.Errorf("%d bytes were not repaired: %v", len(bad), err)
		}
	}
}

// TestKilledEngine kills an engine in the middle of a build; the next one goes
// on as if nothing had happened.
func TestKilledEngine(t *testing.T) {
	b := newBench(t)
	if dir := os.Getenv("ENGINE_TEST_DIR"); dir != "" {
		b.recipes, b.cache, b.out = dir+"/project/recipes", dir+"/cache", dir+"/out"
		_, err := b.build("slow")
		t.Fatalf("it was not killed: %v", err)
	}
	b.recipe("slow", "", "put, usr/share/half, x", "sleep")
	b.recipe("quick", "", "put, usr/share/x, x")
	cmd := exec.Command("/proc/self/exe", "-test.run", "TestKilledEngine")
	cmd.Env = append(os.Environ(), "ENGINE_TEST_DIR="+filepath.Dir(b.cache))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(b.cache, "build/work")
	waitFor(t, func() bool {
		half, _ := filepath.Glob(work + "/slow-*/dest/usr/share/half")
		return len(half) == 1
	})
	// While it lives, another engine leaves it alone.
	b.must("quick")
	if half, _ := filepath.Glob(work + "/slow-*/dest/usr/share/half"); len(half) != 1 {
		t.Fatal("a living build was swept away")
	}
	cmd.Process.Kill()
	cmd.Wait()
	waitFor(t, func() bool {
		b.must("quick")
		left, _ := filepath.Glob(work + "/slow-*")
		return len(left) == 0
	})
	b.recipe("slow", "", "put, usr/share/half, x")
	built, _ := b.must("slow")
	expect(t, "built", built, "slow")
}

func waitFor(t *testing.T, good func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !good(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}

func TestTwoEnginesBuildOnce(t *testing.T) {
	b := newBench(t)
	b.recipe("a", "", "put, usr/share/x, x", "env, usr/share/doc/env")
	var wait sync.WaitGroup
	engines := []*Engine{b.engine(), b.engine(), b.engine()}
	for _, e := range engines {
		wait.Go(func() {
			if _, err := e.Build(t.Context(), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	expect(t, "built", b.told(Started), "a")
}

// TestFullDisk builds on a file system of 64 MiB, in a mount namespace.
func TestFullDisk(t *testing.T) {
	b := newBench(t)
	if dir := os.Getenv("ENGINE_TEST_FULL"); dir != "" {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
			t.Fatal(err)
		}
		b.cache = dir
		b.recipe("a", "", "fill, usr/share/big")
		b.fails("the file system of the cache is full", "no space left on device", "ASHLAR_CACHE")
		b.recipe("a", "", "put, usr/share/small, x")
		b.must()
		return
	}
	dir := t.TempDir()
	cmd := exec.Command("/proc/self/exe", "-test.run", "TestFullDisk", "-test.v")
	cmd.Env = append(os.Environ(), "ENGINE_TEST_FULL="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestCancel(t *testing.T) {
	b := newBench(t)
	b.recipe("a", "", "sleep")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := b.engine().Build(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(b.cache, "build/work/a-*")); len(left) != 0 {
		t.Fatal(left)
	}
}

// BenchmarkNothingToDo is a build of twenty recipes that are all in the cache.
func BenchmarkNothingToDo(b *testing.B) {
	bench := newBench(b)
	for i := range 20 {
		needs := ""
		if i > 0 {
			needs = fmt.Sprintf("build: {tools: [r%02d]}", i/2)
		}
		if i == 1 {
			needs = "build: {tools: [r00]}"
		}
		bench.recipe(fmt.Sprintf("r%02d", i), needs, fmt.Sprintf("put, usr/share/%d, x", i))
	}
	bench.must()
	for b.Loop() {
		if built, _ := bench.must(); built != "" {
			b.Fatal(built)
		}
	}
}
