package places

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/build/remote"
	"ashlar/pkgtool/build/remote/remotetest"

	"golang.org/x/crypto/bcrypt"
)

func openCache(t *testing.T, url string) remote.Store {
	t.Helper()
	s, err := remote.Open(url)
	check(t, err)
	return s
}

// startNginx serves a folder, and takes files by PUT.
func startNginx(t *testing.T) server {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program = "/usr/sbin/nginx"; exec.Command(program, "-v").Run() != nil {
			t.Fatal("nginx is not installed; run pkgtool/bootstrap.sh test")
		}
	}
	dir, address := t.TempDir(), freeAddress(t)
	data := filepath.Join(dir, "data")
	check(t, os.Mkdir(data, 0o777))
	config := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log stderr; worker_processes 1; %[3]s
events {}
http {
  access_log off; client_max_body_size 0;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server { listen %[2]s; location / { root %[1]s/data; dav_methods PUT; create_full_put_path on; } }
}
`, dir, address, map[bool]string{true: "user root;"}[os.Geteuid() == 0])
	check(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600))
	run(t, address, exec.Command(program, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr"))
	return server{address, data}
}

func TestRegistryIsABuildCache(t *testing.T) {
	remotetest.Run(t, openCache(t, "oci+http://"+startRegistry(t, "").address+"/acme/cache"))
}

func TestNginxIsABuildCache(t *testing.T) {
	remotetest.Run(t, openCache(t, "http://"+startNginx(t).address+"/some/folder"))
}

// seedDeb packs bash and busybox, with the libraries it needs, as the only package of a
// seed, and puts it into a cache of sources.
func seedDeb(t *testing.T, cache string) (sum string, size int64) {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	copyTo := func(from, to string) {
		data, err := os.ReadFile(from)
		check(t, err)
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(tree, to)), 0o755))
		check(t, os.WriteFile(filepath.Join(tree, to), data, 0o755))
	}
	for _, name := range []string{"bash", "busybox"} {
		program, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("%s is not installed; run pkgtool/bootstrap.sh test", name)
		}
		copyTo(program, "usr/bin/"+name)
		libraries, _ := exec.Command("ldd", program).Output() // fails for a static one
		for word := range strings.FieldsSeq(string(libraries)) {
			if strings.HasPrefix(word, "/") {
				copyTo(word, "usr/lib/x86_64-linux-gnu/"+filepath.Base(word))
			}
		}
	}
	for _, name := range []string{"mkdir", "cp"} {
		check(t, os.Symlink("busybox", filepath.Join(tree, "usr/bin", name)))
	}
	check(t, os.MkdirAll(filepath.Join(tree, "DEBIAN"), 0o755))
	control := "Package: busybox\nVersion: 1\nArchitecture: amd64\nMaintainer: test <test@example.org>\nDescription: test\n"
	check(t, os.WriteFile(filepath.Join(tree, "DEBIAN/control"), []byte(control), 0o644))
	deb := filepath.Join(dir, "busybox.deb")
	cmd := exec.Command("dpkg-deb", "-Zgzip", "--root-owner-group", "-b", tree, deb)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1") // all builders have the same seed
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(deb)
	check(t, err)
	sum = fmt.Sprintf("%x", sha256.Sum256(data))
	check(t, os.MkdirAll(filepath.Join(cache, "sources/sha256"), 0o755))
	check(t, os.WriteFile(filepath.Join(cache, "sources/sha256", sum), data, 0o644))
	return sum, int64(len(data))
}

// builder builds two recipes with a key and a cache of its own.
type builder struct {
	*testing.T
	pkgtool, dir, key string // key: file with the public one
}

func newBuilder(t *testing.T, script string) *builder {
	t.Helper()
	pkgtool, err := programs()
	check(t, err)
	b := &builder{T: t, pkgtool: pkgtool, dir: t.TempDir()}
	sum, size := seedDeb(t, filepath.Join(b.dir, "cache"))
	b.write("recipes/seed.lock", fmt.Sprintf("schema: 1\ndistribution: debian\nrelease: \"12\"\nsuite: bookworm\narch: amd64\nwanted: {base: [busybox]}\nwithout: []\n"+
		"layers:\n  base:\n    - {path: \"pool/b/busybox_1_amd64.deb\", sha256: %q, size: %d}\n", sum, size))
	const recipe = "schema: 1\nname: %s\nversion: \"1.0.0\"\nrelease: 1\ndate: 2026-01-10\nsummary: s\nlicense: MIT\nbuild: {strip: false, tools: [%s]}\nphases:\n  install:\n    - run: |\n%s"
	b.write("recipes/first/recipe.yaml", fmt.Sprintf(recipe, "first", "", "        mkdir -p $DESTDIR/usr/share\n        echo one > $DESTDIR/usr/share/first\n"))
	b.write("recipes/second/recipe.yaml", fmt.Sprintf(recipe, "second", "first", "        mkdir -p $DESTDIR/usr/share\n        cp /usr/share/first $DESTDIR/usr/share/second\n"+script))
	b.key = filepath.Join(b.dir, "key.asc")
	b.run("key", "generate", "--name", "builder")
	check(t, os.WriteFile(b.key, []byte(b.run("key", "export")), 0o644))
	return b
}

func (b *builder) write(name, text string) {
	path := filepath.Join(b.dir, name)
	check(b, os.MkdirAll(filepath.Dir(path), 0o755))
	check(b, os.WriteFile(path, []byte(text), 0o644))
}

func (b *builder) try(args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(b.Context(), b.pkgtool, args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "ASHLAR_CACHE="+filepath.Join(b.dir, "cache"), "ASHLAR_KEYS="+filepath.Join(b.dir, "keys"))
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

func (b *builder) run(args ...string) string {
	b.Helper()
	out, errOut, err := b.try(args...)
	if err != nil {
		b.Fatalf("pkgtool %s: %v\n%s%s", strings.Join(args, " "), err, out, errOut)
	}
	return out
}

// sharing plays two builders with one cache: what one has built the other takes.
func sharing(t *testing.T, url string) {
	one, two := newBuilder(t, ""), newBuilder(t, "")
	first := one.run("--json", "build", "--cache", url, "--push")
	out, errOut, err := two.try("--json", "build", "--cache", url, "--cache-key", one.key)
	if err != nil || strings.Contains(errOut, "building") || strings.Count(errOut, "received") != 2 {
		t.Errorf("%v\n%s", err, errOut)
	}
	var a, b []struct{ SHA256 string }
	check(t, json.Unmarshal([]byte(first), &a))
	check(t, json.Unmarshal([]byte(out), &b))
	if len(a) != 2 || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("packages %v and %v", a, b)
	}
	if out := two.run("cache", "verify", "--shared", "--cache", url, "--cache-key", one.key); !strings.Contains(out, "0 are wrong") {
		t.Error(out)
	}
	// Whoever does not know the key builds himself.
	stranger := newBuilder(t, "")
	_, errOut, err = stranger.try("build", "--cache", url)
	if err != nil || strings.Count(errOut, "building") != 2 || !strings.Contains(errOut, "not signed by enough trusted keys") {
		t.Errorf("%v\n%s", err, errOut)
	}
}

func TestBuildersShareARegistry(t *testing.T) {
	sharing(t, "oci+http://"+startRegistry(t, "").address+"/acme/cache")
}
func TestBuildersShareAWebServer(t *testing.T) { sharing(t, "http://"+startNginx(t).address+"/cache") }

// TestBuildCacheWithPassword: builders sign on with what docker login leaves;
// without it a build goes on alone and says what to do.
func TestBuildCacheWithPassword(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	check(t, err)
	s := startRegistry(t, "ashlar:"+string(hash)+"\n")
	url, docker := "oci+http://"+s.address+"/cache", t.TempDir()
	t.Setenv("DOCKER_CONFIG", docker)
	b := newBuilder(t, "")
	_, errOut, err := b.try("build", "--cache", url, "--push")
	if err != nil || !strings.Contains(errOut, "docker login") {
		t.Errorf("without a password: %v\n%s", err, errOut)
	}
	check(t, os.WriteFile(filepath.Join(docker, "config.json"), fmt.Appendf(nil, `{"auths":{%q:{"auth":"YXNobGFyOnNlY3JldA=="}}}`, s.address), 0o600))
	if out := b.run("cache", "push", "--cache", url); !strings.Contains(out, "2 of 2 recipes pushed") {
		t.Error(out)
	}
}

// TestBuildVerify: what is the same elsewhere is said to be, and what is not is
// named, down to the line.
func TestBuildVerify(t *testing.T) {
	good := newBuilder(t, "")
	if out := good.run("build", "verify", "--all"); !strings.Contains(out, "second: the same 1 packages") {
		t.Error(out)
	}
	bad := newBuilder(t, "        echo \"jobs $JOBS\" >> $DESTDIR/usr/share/second\n")
	out, errOut, err := bad.try("build", "verify", "first", "second", "--keep", "kept", "--jobs", "77")
	if err == nil || !strings.Contains(errOut, "1 of 2 recipes did not give the same packages again: second") {
		t.Errorf("%v\n%s", err, errOut)
	}
	for _, want := range []string{"first: the same", "~ /usr/share/second (content", "+jobs 77"} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
	for _, side := range []string{"first", "second"} {
		if _, err := os.Stat(filepath.Join(bad.dir, "kept", side, "second-1.0.0-1.x86_64.ashlar")); err != nil {
			t.Error(err)
		}
	}
}
