package web_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// document is a page as a browser reads it.
type document struct {
	path  string
	nodes []*html.Node // all, in their order
}

func parse(t testing.TB, path string, page []byte) *document {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return &document{path, slices.Collect(root.Descendants())}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func (d *document) elements(name string) (found []*html.Node) {
	for _, n := range d.nodes {
		if n.Type == html.ElementNode && n.Data == name {
			found = append(found, n)
		}
	}
	return found
}

func (d *document) text() string {
	var words []string
	for _, n := range d.nodes {
		if n.Type == html.TextNode {
			words = append(words, strings.Fields(n.Data)...)
		}
	}
	return strings.NewReplacer(" ,", ",", "( ", "(", " )", ")", " .", ".").Replace(strings.Join(words, " "))
}

// links returns where the page leads, resolved as a browser does.
func (d *document) links(t *testing.T) (all []*url.URL) {
	t.Helper()
	here, err := url.Parse("http://example.com" + d.path)
	if err != nil {
		t.Fatal(err)
	}
	base := here
	if b := d.elements("base"); len(b) == 1 {
		if base, err = here.Parse(attribute(b[0], "href")); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range d.nodes {
		for _, name := range []string{"href", "src", "action"} {
			value := attribute(n, name)
			if n.Type != html.ElementNode || value == "" || n.Data == "base" {
				continue
			}
			u, err := base.Parse(value)
			if err != nil {
				t.Fatalf("%s: link %q: %v", d.path, value, err)
			}
			all = append(all, u)
		}
	}
	return all
}

// crawl follows every link from the first page and returns all pages.
func crawl(t *testing.T, site http.Handler, dir string) map[string]*document {
	t.Helper()
	return crawlFrom(t, site, dir, "/")
}

// crawlFrom is crawl of a site whose first page is below start.
func crawlFrom(t *testing.T, site http.Handler, dir, start string) map[string]*document {
	t.Helper()
	pages := map[string]*document{}
	for queue := []string{start}; len(queue) > 0; {
		path := queue[0]
		queue = queue[1:]
		if pages[path] != nil {
			continue
		}
		got := get(t, site, path)
		if got.Code != http.StatusOK {
			t.Fatalf("%s: status %d", path, got.Code)
		}
		if !strings.HasPrefix(got.Header().Get("Content-Type"), "text/html") {
			pages[path] = &document{path: path}
			continue
		}
		doc := parse(t, path, got.Body.Bytes())
		pages[path] = doc
		for _, u := range doc.links(t) {
			switch {
			case u.Host != "example.com":
				if u.Scheme != "https" && u.Scheme != "http" {
					t.Errorf("%s links to %s", path, u)
				}
			case strings.HasPrefix(u.Path, start+"pool/"):
				if _, err := os.Stat(filepath.Join(dir, strings.TrimPrefix(u.Path, start))); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			default:
				u.Fragment, u.Host, u.Scheme = "", "", ""
				queue = append(queue, u.String())
			}
		}
	}
	return pages
}

// TestEveryLinkLeadsSomewhere crawls the site and looks at each page as somebody
// with a screen reader depends on it.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	pages := crawl(t, w.site(t), w.dir)
	for _, path := range []string{"/health.json", "/feed.atom", "/packages/minizip/2.1.0-1.x86_64/files/", "/advisory/ASH-2026-1/", "/browse/z/", "/style.css"} {
		if pages[path] == nil {
			t.Errorf("no link leads to %s", path)
		}
	}
	for path, doc := range pages {
		if doc.nodes != nil {
			checkAccess(t, path, doc)
		}
	}
	// Behind a proxy that takes a prefix away, links work as well.
	if below := crawlFrom(t, http.StripPrefix("/some/where", w.site(t)), w.dir, "/some/where/"); len(below) != len(pages) {
		t.Errorf("%d pages below a prefix, %d without", len(below), len(pages))
	}
}

func checkAccess(t *testing.T, path string, doc *document) {
	t.Helper()
	for _, name := range []string{"h1", "main", "header", "footer", "title"} {
		if n := len(doc.elements(name)); n != 1 {
			t.Errorf("%s has %d %s", path, n, name)
		}
	}
	ids := map[string]bool{}
	for _, n := range doc.nodes {
		if id := attribute(n, "id"); id != "" {
			if ids[id] {
				t.Errorf("%s has the id %s twice", path, id)
			}
			ids[id] = true
		}
	}
	labels := map[string]bool{}
	for _, l := range doc.elements("label") {
		labels[attribute(l, "for")] = true
	}
	for _, name := range []string{"input", "select"} {
		for _, n := range doc.elements(name) {
			if !labels[attribute(n, "id")] {
				t.Errorf("%s: %s %s has no label", path, name, attribute(n, "id"))
			}
		}
	}
	for _, n := range doc.nodes {
		if by := attribute(n, "aria-labelledby"); by != "" && !ids[by] {
			t.Errorf("%s: nothing has the id %s", path, by)
		}
	}
	level := 1
	for _, n := range doc.nodes {
		if n.Type == html.ElementNode && len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
			if next := int(n.Data[1] - '0'); next > level+1 {
				t.Errorf("%s: from heading %d to %d", path, level, next)
			} else {
				level = next
			}
		}
	}
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// replace puts something else in the place of a package file.
func replace(t *testing.T, dir, name string, with func(path string) error) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "pool", "*", "*", "*"+name+".*"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if err := os.Remove(found[0]); err != nil {
		t.Fatal(err)
	}
	if err := with(found[0]); err != nil {
		t.Fatal(err)
	}
}
