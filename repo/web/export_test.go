package web_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ashlar/repo/repotest"
	"ashlar/repo/web"

	"golang.org/x/net/html"
)

// TestExportedPages crawls the pages as a server of files shows them.
func TestExportedPages(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	site := w.site(t)
	out := filepath.Join(t.TempDir(), "www")
	o := web.Options{URL: "http://example.com/", Now: func() time.Time { return *w.clock }}
	files, err := web.Export(t.Context(), w.dir, out, o)
	if err != nil {
		t.Fatal(err)
	}
	pages := crawl(t, http.FileServer(http.Dir(out)), w.dir)
	for path, doc := range pages {
		if len(doc.elements("form")) > 0 {
			t.Errorf("%s has a form that nobody answers", path)
		}
		if doc.nodes != nil && !slices.ContainsFunc(doc.elements("meta"), func(n *html.Node) bool { return attribute(n, "http-equiv") == "Content-Security-Policy" }) {
			t.Errorf("%s brings no policy", path)
		}
	}
	// Whatever the site links to is there, except for what needs a program.
	for path, doc := range crawl(t, site, w.dir) {
		if pages[path] == nil && path != "/search" && doc.nodes != nil {
			t.Errorf("%s is not among the files", path)
		}
	}
	if n := count(t, out); n != files {
		t.Errorf("%d files are said to be there, not %d", files, n)
	}
	// Another state takes the place of the first.
	repotest.Publish(t, w.Repository, w.pack(t, "new-1.0.0-1", nil))
	if _, err := web.Export(t.Context(), w.dir, out, o); err != nil {
		t.Fatal(err)
	}
	if got := get(t, http.FileServer(http.Dir(out)), "/packages/new/"); !strings.Contains(got.Body.String(), "the new package") {
		t.Errorf("the page of a new package: status %d", got.Code)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func count(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
