package source

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ashlar/pkgtool/build/source/git"
	"ashlar/pkgtool/fault"
)

// run runs a real program and returns what it prints.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func writeFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// gitServer serves one repository with one commit by the real git.
func gitServer(t *testing.T) (url, id string, requests *atomic.Int64) {
	folder := t.TempDir()
	thing := filepath.Join(folder, "thing")
	writeFile(t, filepath.Join(thing, "file"), content)
	env := []string{"HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@x", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@x",
		"GIT_AUTHOR_DATE=1700000000 +0000", "GIT_COMMITTER_DATE=1700000000 +0000"}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"commit", "-q", "-m", "x"}} {
		run(t, thing, env, "git", args...)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(run(t, "", nil, "git", "--exec-path"), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + folder, "GIT_HTTP_EXPORT_ALL=1", "HOME=/nonexistent"},
	}
	requests = &atomic.Int64{}
	url = server(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		backend.ServeHTTP(w, r)
	})
	return url + "/thing", run(t, thing, env, "git", "rev-parse", "HEAD"), requests
}

func TestGitSourceIsAFileAfterTheFirstFetch(t *testing.T) {
	url, id, requests := gitServer(t)
	f := testFetcher(t)
	c := git.Commit{URL: url, ID: id}
	path, pinned, err := f.FirstCommit(t.Context(), git.Commit{URL: url, Ref: "main"}, nil)
	if err != nil || pinned.Git.ID != id {
		t.Fatalf("%+v, %v", pinned, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s := Source{ID: "main", Git: &c, SHA256: pinned.SHA256, Size: pinned.Size}
	if path, err = f.Fetch(t.Context(), s, nil); err != nil {
		t.Fatal(err)
	}
	asked := requests.Load()
	if _, err = f.Fetch(t.Context(), s, nil); err != nil || requests.Load() != asked {
		t.Errorf("what is in the cache was fetched again (%v)", err)
	}
	dir := t.TempDir()
	if err := Unpack(t.Context(), path, dir, 1); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the unpacked file differs (%v)", err)
	}
	if left, err := filepath.Glob(filepath.Join(f.CacheDir, "sources/partial/*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}

	wrong := Source{ID: "main", Git: &c, SHA256: strings.Repeat("0", 64)}
	_, err = f.Fetch(t.Context(), wrong, nil)
	if fault.ClassOf(err) != fault.Security || !strings.Contains(err.Error(), "wrong sum: got "+pinned.SHA256) {
		t.Errorf("a wrong sum of a git source: %v", err)
	}
	absent := Source{ID: "main", Git: &git.Commit{URL: url, ID: strings.Repeat("1", 40)}, SHA256: strings.Repeat("0", 64)}
	if _, err := f.Fetch(t.Context(), absent, nil); fault.ClassOf(err) != fault.Network || !strings.Contains(err.Error(), "no branch or tag is at commit") {
		t.Errorf("an absent commit: class %d, %v", fault.ClassOf(err), err)
	}
	file := Source{ID: "main", Git: &git.Commit{URL: "file:///srv/x", ID: id}, SHA256: strings.Repeat("0", 64)}
	if _, err := f.Fetch(t.Context(), file, nil); fault.ClassOf(err) != fault.Usage {
		t.Errorf("a file as repository: class %d, %v", fault.ClassOf(err), err)
	}
}

// gpgSigner makes keys and signatures with the real gpg.
type gpgSigner struct {
	t    *testing.T
	home string
}

func newSigner(t *testing.T) *gpgSigner {
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	g := &gpgSigner{t, home}
	t.Cleanup(func() { exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() })
	g.gpg("--passphrase", "", "--quick-generate-key", "Upstream <u@example.org>", "rsa2048", "sign", "0")
	return g
}

func (g *gpgSigner) gpg(args ...string) string {
	g.t.Helper()
	return run(g.t, g.home, nil, "gpg", append([]string{"--homedir", g.home, "--batch", "--quiet", "--pinentry-mode", "loopback"}, args...)...)
}

func (g *gpgSigner) key(name string) string {
	return writeFile(g.t, name, []byte(g.gpg("--armor", "--export")))
}

func (g *gpgSigner) sign(data []byte) []byte {
	file := writeFile(g.t, filepath.Join(g.home, "data"), data)
	os.Remove(file + ".asc")
	g.gpg("--armor", "--detach-sign", file)
	signature, err := os.ReadFile(file + ".asc")
	if err != nil {
		g.t.Fatal(err)
	}
	return signature
}

func TestUpstreamSignature(t *testing.T) {
	upstream, stranger := newSigner(t), newSigner(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(content)
	z.Close()
	files := map[string][]byte{
		"/x.tar.gz":    packed.Bytes(),
		"/file.asc":    upstream.sign(packed.Bytes()),
		"/plain.sign":  upstream.sign(content), // as kernel.org signs: the tar, not the tar.gz
		"/other.asc":   stranger.sign(packed.Bytes()),
		"/damaged.asc": upstream.sign(append(packed.Bytes(), 'x')),
		"/none.asc":    []byte("<html>not found</html>"),
		"/huge.asc":    make([]byte, maxSignature+1),
	}
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		if data, ok := files[r.URL.Path]; ok {
			w.Write(data)
			return
		}
		http.NotFound(w, r)
	})
	folder := t.TempDir()
	key := upstream.key(filepath.Join(folder, "upstream.asc"))
	writeFile(t, filepath.Join(folder, "beside.asc"), files["/file.asc"])
	sum := sha256.Sum256(packed.Bytes())
	for _, c := range []struct {
		name, uri string
		keys      []string
		at        time.Time
		says      string // "" is good
		class     fault.Class
	}{
		{"of the file", url + "/file.asc", []string{key}, time.Time{}, "", 0},
		{"of what it decompresses to", url + "/plain.sign", []string{key}, time.Time{}, "", 0},
		{"beside the recipe", "beside.asc", []string{key}, time.Time{}, "", 0},
		{"one of several keys", url + "/file.asc", []string{stranger.key(filepath.Join(folder, "stranger.asc")), key}, time.Time{}, "", 0},
		{"by a stranger", url + "/other.asc", []string{key}, time.Time{}, "not signed by enough trusted keys", fault.Security},
		{"of another file", url + "/damaged.asc", []string{key}, time.Time{}, "bad signature", fault.Security},
		{"no signature", url + "/none.asc", []string{key}, time.Time{}, "bad signature", fault.Security},
		{"huge", url + "/huge.asc", []string{key}, time.Time{}, "longer than", fault.Network},
		{"absent", url + "/absent.asc", []string{key}, time.Time{}, "404", fault.Network},
		{"absent beside the recipe", "absent.asc", []string{key}, time.Time{}, "no such file", fault.Failed},
		{"a key that is none", url + "/file.asc", []string{filepath.Join(folder, "beside.asc")}, time.Time{}, "read keyring", fault.Security},
		{"no key", url + "/file.asc", nil, time.Time{}, "needs the keys", fault.Usage},
		{"from the future of the recipe", url + "/file.asc", []string{key}, time.Now().Add(-72 * time.Hour), "from the future", fault.Security},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := testFetcher(t)
			s := Source{ID: "main", URIs: []string{url + "/x.tar.gz"}, SHA256: hex.EncodeToString(sum[:]), Base: folder,
				Signature: &Signature{URI: c.uri, Keys: c.keys, At: c.at}}
			_, err := f.Fetch(t.Context(), s, nil)
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				f.Offline = true // the cache has both now
				if _, err := f.Fetch(t.Context(), s, nil); err != nil {
					t.Errorf("again without a network: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || fault.ClassOf(err) != c.class {
				t.Errorf("class %d, %v; want class %d, %q", fault.ClassOf(err), err, c.class, c.says)
			}
		})
	}
}

// TestMirrorReplacesTheNetwork copies files, git archives and signatures, and
// takes them from the folder, and from a web server of it, when all else is gone.
func TestMirrorReplacesTheNetwork(t *testing.T) {
	gitURL, id, _ := gitServer(t)
	upstream := newSigner(t)
	var up atomic.Bool
	up.Store(true)
	signature := upstream.sign(content)
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !up.Load():
			http.NotFound(w, r)
		case r.URL.Path == "/x.asc":
			w.Write(signature)
		default:
			w.Write(content)
		}
	})
	f := testFetcher(t)
	_, commit, err := f.FirstCommit(t.Context(), git.Commit{URL: gitURL, ID: id}, nil)
	if err != nil {
		t.Fatal(err)
	}
	commit.ID = "main"
	recipe := t.TempDir()
	local := writeFile(t, filepath.Join(recipe, "local.conf"), []byte("x=1\n"))
	localSum := sha256.Sum256([]byte("x=1\n"))
	sources := []Source{commit,
		{URIs: []string{url + "/x"}, SHA256: hexSum(content), Signature: &Signature{URI: url + "/x.asc", Keys: []string{upstream.key(filepath.Join(recipe, "key.asc"))}}},
		{URIs: []string{"local.conf"}, SHA256: hex.EncodeToString(localSum[:]), Base: recipe},
	}
	folder := filepath.Join(t.TempDir(), "copies")
	index, err := f.Copy(t.Context(), sources, folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(index.Files) != 4 {
		t.Errorf("%d files in the index, want 4: %+v", len(index.Files), index.Files)
	}
	report, err := f.VerifyRemote(t.Context(), sources)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range report.Sources {
		if !s.Had {
			t.Errorf("%s is told to be gone: %+v", s.Name, s.Places)
		}
	}

	up.Store(false)
	sources[0].Git = &git.Commit{URL: "https://127.0.0.1:1/gone", ID: id}
	if report, err = f.VerifyRemote(t.Context(), sources); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, false, true} {
		if report.Sources[i].Had != want {
			t.Errorf("%s: had %t, want %t: %+v", report.Sources[i].Name, report.Sources[i].Had, want, report.Sources[i].Places)
		}
	}
	os.Remove(local)
	web := server(t, http.FileServer(http.Dir(folder)).ServeHTTP)
	for _, place := range []string{folder, "file://" + folder, web + "/"} {
		f := testFetcher(t)
		f.Mirror = place
		for _, s := range sources {
			if _, err := f.Fetch(t.Context(), s, nil); err != nil {
				t.Errorf("from %s: %v", place, err)
			}
		}
	}
	// A copy that somebody changed is refused, and told.
	writeFile(t, filepath.Join(folder, "sha256", hexSum(content)), []byte("other"))
	f = testFetcher(t)
	f.Mirror = folder
	if _, err := f.Fetch(t.Context(), sources[1], nil); fault.ClassOf(err) != fault.Security {
		t.Errorf("a changed copy: class %d, %v", fault.ClassOf(err), err)
	}
	up.Store(true)
	if _, err := f.Fetch(t.Context(), sources[1], nil); err != nil {
		t.Errorf("a changed copy hides the good place after it: %v", err)
	}
}

func TestVerifyRemoteSeesWrongSizes(t *testing.T) {
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead {
			t.Errorf("%s %s: only HEAD is wanted", r.Method, r.URL)
		}
		w.Header().Set("Content-Length", "5")
	})
	report, err := testFetcher(t).VerifyRemote(t.Context(), []Source{{ID: "a", URIs: []string{url + "/x?token=secret"}, SHA256: hexSum(content), Size: 7}})
	if err != nil {
		t.Fatal(err)
	}
	place := report.Sources[0].Places[0]
	if report.Sources[0].Had || place.Outcome != "5 bytes, where 7 are pinned" || strings.Contains(place.Where, "secret") {
		t.Errorf("%+v", report)
	}
}
