package farm

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is a built pkgtool with its environment.
type program struct {
	t                      testing.TB
	path, recipes, sources string // sources: a cache folder with the seed
	keys                   string
}

func newProgram(t testing.TB) *program {
	t.Helper()
	if os.Getenv("ASHLAR_TEST_NETWORK") == "" {
		t.Skip("fetches the seed; set ASHLAR_TEST_NETWORK=1")
	}
	dir := t.TempDir()
	p := &program{t: t, path: filepath.Join(dir, "pkgtool"), recipes: filepath.Join(dir, "project/recipes"), keys: filepath.Join(dir, "keys")}
	for name, what := range map[string]string{p.path: "ashlar/pkgtool", p.path + "-buildkit": "ashlar/pkgtool/farm"} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", name, what)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", what, err, out)
		}
	}
	p.sources = os.Getenv("ASHLAR_CACHE")
	if p.sources == "" {
		user, err := os.UserCacheDir()
		check(t, err)
		p.sources = filepath.Join(user, "ashlar")
	}
	check(t, os.MkdirAll(p.recipes, 0o755))
	lock, err := os.ReadFile("../../recipes/seed.lock")
	check(t, err)
	check(t, os.WriteFile(filepath.Join(p.recipes, "seed.lock"), lock, 0o644))
	return p
}

func (p *program) recipe(name, text string) {
	p.t.Helper()
	dir := filepath.Join(p.recipes, name)
	check(p.t, os.MkdirAll(dir, 0o755))
	head := "schema: 1\nname: " + name + "\nversion: \"1.0.0\"\nrelease: 1\ndate: 2026-01-10\nsummary: A test\nlicense: MIT\n"
	check(p.t, os.WriteFile(filepath.Join(dir, "recipe.yaml"), []byte(head+text), 0o644))
}

// build runs pkgtool build with an empty build cache. It returns the packages'
// digests, and what was said on stderr.
func (p *program) build(args ...string) (map[string]string, string, error) {
	p.t.Helper()
	dir := p.t.TempDir()
	cache := filepath.Join(dir, "cache")
	check(p.t, os.MkdirAll(cache, 0o755))
	for _, name := range []string{"seed", "sources"} {
		check(p.t, os.MkdirAll(filepath.Join(p.sources, name), 0o755))
		check(p.t, os.Symlink(filepath.Join(p.sources, name), filepath.Join(cache, name)))
	}
	cmd := exec.CommandContext(p.t.Context(), p.path, append([]string{"build", "--json", "--recipes", p.recipes, "--out", filepath.Join(dir, "out")}, args...)...)
	cmd.Env = append(os.Environ(), "ASHLAR_CACHE="+cache, "ASHLAR_KEYS="+p.keys, "NO_COLOR=1")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var built []struct{ Package, SHA256 string }
	digests := map[string]string{}
	if err == nil {
		check(p.t, json.Unmarshal(out.Bytes(), &built))
	}
	for _, b := range built {
		digests[b.Package] = b.SHA256
	}
	return digests, strings.ReplaceAll(said.String()+out.String(), dir, "DIR"), err
}

func (p *program) farm(daemons ...*daemon) []string {
	args := []string{"--executor", "buildkit", "--tls-ca", daemons[0].tls.CA, "--tls-cert", daemons[0].tls.Cert, "--tls-key=" + daemons[0].tls.Key}
	for _, d := range daemons {
		args = append(args, "--daemon", d.address+",slots=2")
	}
	return args
}

// TestCompiledPackages compiles with the real seed, here and on two daemons: the
// same packages, debugging symbols included, and the same errors.
func TestCompiledPackages(t *testing.T) {
	p := newProgram(t)
	compile := func(more string) string {
		return "build:\n  tools: [gcc, libc-dev" + more
	}
	p.recipe("libsum", compile(`]
phases:
  build:
    - run: |
        echo 'int sum(int a, int b) { return a + b; }' >sum.c
        $CC $CFLAGS $LDFLAGS -nostdlib -shared -fPIC -Wl,-soname,libsum.so.1 -o libsum.so.1 sum.c
  install:
    - run: |
        install -Dm755 libsum.so.1 $DESTDIR/usr/lib/libsum.so.1
        ln -s libsum.so.1 $DESTDIR/usr/lib/libsum.so
        mkdir -p $DESTDIR/usr/include
        echo 'int sum(int a, int b);' >$DESTDIR/usr/include/sum.h
packages:
  - {name: libsum, files: [/usr/lib/libsum.so.1]}
  - {name: libsum-dev, split: dev}
`))
	p.recipe("libtwice", compile(`]
  libs: [libsum-dev]
phases:
  build:
    - run: |
        printf '#include <sum.h>\nint twice(int a) { return sum(a, a); }\nconst char *twice_file(void) { return __FILE__; }\n' >twice.c
        $CC $CFLAGS $LDFLAGS -nostdlib -shared -fPIC -Wl,-soname,libtwice.so.1 -o libtwice.so.1 twice.c -lsum
  install:
    - run: install -Dm755 libtwice.so.1 $DESTDIR/usr/lib/libtwice.so.1
`))
	p.recipe("archive", compile(`]
phases:
  build:
    - run: |
        for i in $(seq 100); do echo "int f$i(int x) { return x * $i; }" >f$i.c; done
        printf 'OBJ = $(patsubst %%.c,%%.o,$(wildcard f*.c))\nlib.a: $(OBJ)\n\tar rcs $@ $(OBJ)\n' >Makefile
        make -j $JOBS
  install:
    - run: |
        install -Dm644 lib.a $DESTDIR/usr/lib/libmany.a
        tar -cf $DESTDIR/usr/lib/owners.tar --mtime=@0 lib.a Makefile
        stat -c '%A %u %g %n' /* /build/* >$DESTDIR/usr/lib/root.txt
        env | sort | grep -v JOBS >$DESTDIR/usr/lib/env.txt
        uname -n >>$DESTDIR/usr/lib/env.txt
packages:
  - {name: archive, files: ["/**"]}
lint: {allow: [{id: build-path, reason: both farms are to say the same}]}
`))
	here, said, err := p.build()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	a := newAuthority(t)
	first, second := startDaemon(t, a), startDaemon(t, a)
	there, said, err := p.build(p.farm(first, second)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if len(here) < 5 {
		t.Errorf("built %v", here)
	}
	for name, sum := range here {
		if there[name] != sum {
			t.Errorf("package %s is %s here and %s on the farm", name, sum, there[name])
		}
	}

	p.recipe("broken", "phases:\n  install:\n    - name: compile\n      run: echo the compiler says no; exit 3\n")
	_, here2, err := p.build("broken")
	_, there2, farmErr := p.build(append(p.farm(first), "broken")...)
	if err == nil || farmErr == nil || !strings.Contains(there2, "compile failed with exit status 3") || !strings.Contains(there2, "the compiler says no") {
		t.Errorf("%v\n%s\n%v\n%s", err, here2, farmErr, there2)
	}

	check(t, os.Remove(p.path+"-buildkit"))
	if _, said, err := p.build(p.farm(first)...); err == nil || !strings.Contains(said, "pkgtool-buildkit") {
		t.Errorf("without pkgtool-buildkit: %v\n%s", err, said)
	}
	if _, said, err := p.build("--daemon", first.address); err == nil || !strings.Contains(said, "--executor buildkit") {
		t.Errorf("a daemon without the executor: %v\n%s", err, said)
	}
}
