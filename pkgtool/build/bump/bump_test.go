package bump

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/fault"
)

// archive is a tar.gz with one file, of a day.
func archive(t *testing.T, folder string, day time.Time, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: folder + "/" + name, Mode: 0o644, Size: int64(len(text)), ModTime: day, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// upstream is a web server with releases of a project, and its git tags.
func upstream(t *testing.T) *httptest.Server {
	t.Helper()
	day := time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)
	mux := http.NewServeMux()
	var page string
	for _, v := range []string{"1.9", "1.10", "1.2", "1.11rc1", "2.0"} {
		data := archive(t, "thing-"+v, day, map[string]string{"README": v, "go.sum": "sums of " + v + "\n"})
		mux.HandleFunc("/thing-"+v+".tar.gz", func(w http.ResponseWriter, _ *http.Request) { w.Write(data) })
		page += fmt.Sprintf("<li><a href=\"./thing-%s.tar.gz\">thing %s</a> <a href='other-9.9.tar.gz'>x</a><a href=\"thing-%s.tar.gz.asc\">", v, v, v)
	}
	mux.HandleFunc("/list/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>"+page) })
	mux.HandleFunc("/thing.git/info/refs", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("service") != "git-upload-pack" {
			http.Error(w, "dumb", http.StatusForbidden)
			return
		}
		fmt.Fprint(w, "001e# service=git-upload-pack\n0000")
		for _, tag := range []string{"v1.9", "v1.10", "thing_1_12_0", "v1.10^{}", "nightly"} {
			line := strings.Repeat("a", 40) + " refs/tags/" + tag + "\n"
			fmt.Fprintf(w, "%04x%s", len(line)+4, line)
		}
		fmt.Fprint(w, "0000")
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	return server
}

const head = `# A comment at the top.
schema: 1
name: thing
version: "1.2.0"   # ours
upstream: '1.2'
release: 4
date: 2020-01-01
summary: A thing
license: MIT
`

const sources = `sources:
  # where it comes from
  - urls: ["SERVER/thing-${upstream}.tar.gz"]
    sha256: SUM # pinned
    size: 12
  - id: fixed
    urls: [data.txt]
    unpack: false
    sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
`

// finderFor makes a tree with the recipe thing and a finder of its upstream.
func finderFor(t *testing.T, text string) (*Finder, *recipe.Recipe, *httptest.Server) {
	t.Helper()
	server := upstream(t)
	text = strings.NewReplacer("SERVER", server.URL, "SUM", strings.Repeat("ab", 32)).Replace(text)
	dir := filepath.Join(t.TempDir(), "recipes")
	for name, data := range map[string]string{"recipe.yaml": text, "data.txt": "", "go.sum": "old\n"} {
		if err := os.MkdirAll(filepath.Join(dir, "thing"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "thing", name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := recipe.LoadTree(dir, "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	r, err := tree.Recipe("thing")
	if err != nil {
		t.Fatal(err)
	}
	return &Finder{Fetcher: &source.Fetcher{CacheDir: t.TempDir(), Client: server.Client()}}, r, server
}

func writeFile(name string, data []byte) error { return os.WriteFile(name, data, 0o644) }

func TestBumpChangesOnlyWhatItMust(t *testing.T) {
	f, r, server := finderFor(t, head+sources+"  - {id: modules, gosum: thing/go.sum}\nupdate: {source: html, url: SERVER/list/}\n")
	change, err := f.Bump(t.Context(), r, "1.10")
	if err != nil {
		t.Fatal(err)
	}
	if err := change.Write(r, writeFile); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(r.Dir(), "recipe.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Get(server.URL + "/thing-1.10.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var data bytes.Buffer
	if _, err := data.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(
		`"1.2.0"`, `"1.10.0"`, `'1.2'`, `'1.10'`, "release: 4", "release: 1", "2020-01-01", "2025-03-04",
		strings.Repeat("ab", 32), fmt.Sprintf("%x", sha256.Sum256(data.Bytes())), "size: 12", fmt.Sprintf("size: %d", data.Len()),
	).Replace(strings.NewReplacer("SERVER", server.URL, "SUM", strings.Repeat("ab", 32)).Replace(head + sources + "  - {id: modules, gosum: thing/go.sum}\nupdate: {source: html, url: SERVER/list/}\n"))
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if sums, _ := os.ReadFile(filepath.Join(r.Dir(), "go.sum")); string(sums) != "sums of 1.10\n" {
		t.Errorf("go.sum: %q", sums)
	}
}

func TestNewest(t *testing.T) {
	for _, test := range []struct{ name, update, want string }{
		{"a page of files", "update: {source: html, url: SERVER/list/}", "2.0"},
		{"ignoring some", "update: {source: html, url: SERVER/list/, ignore: ['2.*']}", "1.10"},
		{"an expression", `update: {source: html, url: SERVER/list/, match: '^thing-(1\.\d)\.tar'}`, "1.9"},
		{"tags", "update: {source: git-tags, url: SERVER/thing.git}", "1.10"},
		{"tags made of parts", `update: {source: git-tags, url: SERVER/thing.git, match: '^thing_(\d+)_(\d+)_(\d+)$', version: '$1.$2.$3'}`, "1.12.0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, r, _ := finderFor(t, head+sources+test.update+"\n")
			s := f.Check(t.Context(), r)
			if s.Newest != test.want || !s.Outdated || s.Problem != "" {
				t.Errorf("%+v, want %s", s, test.want)
			}
		})
	}
}

// A recipe that has a version before a release is offered the next of them.
func TestPreReleases(t *testing.T) {
	f, r, _ := finderFor(t, strings.NewReplacer(`"1.2.0"`, `"1.11.0-beta.1"`, "'1.2'", "1.11beta1").Replace(head)+sources+"update: {source: html, url: SERVER/list/, ignore: ['2.0']}\n")
	if s := f.Check(t.Context(), r); s.Newest != "1.11rc1" || !s.Outdated {
		t.Errorf("%+v", s)
	}
}

func TestBumpRefuses(t *testing.T) {
	for _, test := range []struct {
		name, text, to, want string
		class                fault.Class
	}{
		{"older", head + sources, "1.1", "older than the recipe's 1.2.0", fault.Usage},
		{"no form", head + sources, "latest", "no obvious semantic form", fault.Usage},
		{"not there", head + sources, "1.77", "404", fault.Network},
		{"nowhere to look", head + sources, "", "does not say where new versions are announced", fault.Usage},
		{"no version in the address", head + strings.ReplaceAll(sources, "${upstream}", "1.2"), "1.10", "no source has the version in its address", fault.Usage},
		{"not git", head + sources + "update: {source: git-tags, url: SERVER/list}\n", "", "not the address of a git repository", fault.Usage},
		{"nothing found", head + sources + "update: {source: html, url: SERVER/list/, match: '^nothing'}\n", "", "no version was found", fault.Failed},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, r, _ := finderFor(t, test.text)
			before, _ := os.ReadFile(filepath.Join(r.Dir(), "recipe.yaml"))
			_, err := f.Bump(t.Context(), r, test.to)
			if err == nil || !strings.Contains(err.Error(), test.want) || fault.ClassOf(err) != test.class {
				t.Errorf("got %v (class %d), want %s (class %d)", err, fault.ClassOf(err), test.want, test.class)
			}
			if after, _ := os.ReadFile(filepath.Join(r.Dir(), "recipe.yaml")); !bytes.Equal(before, after) {
				t.Error("the recipe was changed")
			}
		})
	}
}

func TestSameVersionIsNoChange(t *testing.T) {
	f, r, _ := finderFor(t, head+sources)
	change, err := f.Bump(t.Context(), r, "1.2")
	if change != nil || err != nil {
		t.Errorf("%+v, %v", change, err)
	}
}
