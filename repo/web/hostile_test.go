package web_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/repo/repotest"

	"golang.org/x/net/html"
)

// evil are texts that must stay texts.
var evil = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `{{.}} {{template "main"}}`,
	`</title></main><iframe src=//evil.example.org>`, `<!-- `, `javascript:alert(1)`, `&lt;b&gt; &amp;`, `]]></summary>`, `مرحبا בעולם`,
}

// maxHTML is what no page may exceed in bytes.
const maxHTML = 2 << 20

// checkHarmless looks for anything in a page that a text could have put there.
func checkHarmless(t *testing.T, path string, doc *document) {
	t.Helper()
	for _, n := range doc.nodes {
		if n.Type == html.ElementNode {
			switch n.Data {
			case "script", "iframe", "img", "object", "embed", "style", "svg":
				t.Errorf("%s has a %s", path, n.Data)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
					t.Errorf("%s: %s has %s=%q", path, n.Data, a.Key, a.Val)
				}
			}
		}
		if n.Type == html.CommentNode {
			t.Errorf("%s has a comment", path)
		}
		if n.Type == html.TextNode && strings.ContainsAny(n.Data, "\u202e\u2066\u200f\x1b\x00\u200b") {
			t.Errorf("%s shows a character that deceives: %.100q", path, n.Data)
		}
	}
	for _, u := range doc.links(t) {
		if u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
			t.Errorf("%s links to %s", path, u)
		}
		if u.Host != "example.com" && !strings.Contains(u.Host, "harmless") {
			t.Errorf("%s leads out to %s", path, u)
		}
	}
}

// TestHostilePackages shows packages whose every text is made to break out.
func TestHostilePackages(t *testing.T) {
	w := newWorld(t)
	for i, text := range evil {
		file := w.pack(t, fmt.Sprintf("evil%d-1.0.0-1", i), func(m *pkgfile.Manifest) {
			m.Summary, m.Description, m.License, m.Homepage, m.Recipe, m.Vendor, m.Upstream = text, text+"\n"+text, text, text, text, text, text
			m.Provenance.Sources = []pkgfile.Source{{URI: text, SHA256: strings.Repeat("ab", 32)}}
		})
		repotest.Publish(t, w.Repository, file)
	}
	deceiving := "\u202egnp.exe \u2066 \u200f \u001b[2J \u200b \u0000"
	for i, text := range append(evil, deceiving, "https://user@evil.example.org/", "//evil.example.org", "https://evil.example.org@harmless/ x") {
		document, err := json.Marshal(map[string]any{"id": fmt.Sprintf("EVIL-%d", i), "modified": "2026-02-01T00:00:00Z", "summary": text, "details": strings.Repeat(text, 2000),
			"aliases": []string{text}, "severity": []any{map[string]string{"type": text, "score": text}}, "references": []any{map[string]string{"type": text, "url": text}},
			"affected": []any{map[string]any{"package": map[string]string{"ecosystem": "Ashlar", "name": fmt.Sprintf("evil%d", i)},
				"ranges": []any{map[string]any{"type": "ECOSYSTEM", "events": []any{map[string]string{"introduced": "0"}}}}}}})
		if err != nil {
			t.Fatal(err)
		}
		w.advise(t, string(document))
	}
	w.publish(t)
	for path, doc := range crawl(t, w.site(t), w.dir) {
		if doc.nodes != nil {
			checkHarmless(t, path, doc)
			checkAccess(t, path, doc)
		}
	}
	site := w.site(t)
	for _, text := range append(evil, deceiving) {
		path := "/search?q=" + strings.NewReplacer("%", "%25", "&", "%26", "#", "%23", " ", "+", "\x00", "%00", "\x1b", "%1b", "\"", "%22", "<", "%3C", ">", "%3E").Replace(text)
		checkHarmless(t, path, parse(t, path, get(t, site, path).Body.Bytes()))
		path = "/packages/" + strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23", " ", "%20", "\x00", "%00", "\x1b", "%1b", "\"", "%22", "<", "%3C", ">", "%3E").Replace(text) + "/"
		checkHarmless(t, path, parse(t, path, get(t, site, path).Body.Bytes()))
	}
}

// TestEndlessTexts lists packages that are as large as an index allows.
func TestEndlessTexts(t *testing.T) {
	w := newWorld(t)
	entry := func(i int, edit func(*index.Entry)) index.Entry {
		e := index.Entry{Name: fmt.Sprintf("big%d", i), Version: "1.0.0", Release: 1, Arch: "x86_64", Size: 1, MetaSize: 1,
			SHA256: fmt.Sprintf("%064x", i+1), Manifest: fmt.Sprintf("%064x", i+1)}
		edit(&e)
		e.Path = e.PoolPath()
		return e
	}
	many := func(format string, n int) (texts []string) {
		for i := range n {
			texts = append(texts, fmt.Sprintf(format, i))
		}
		return texts
	}
	var entries []index.Entry
	for i := range 6 {
		entries = append(entries, entry(i, func(e *index.Entry) {
			e.Summary, e.Upstream, e.Recipe = strings.Repeat("endless", 9000), strings.Repeat("x", 60_000), strings.Repeat("y", 60_000)
			e.Provides = append(many("p%d", 70_000), "wanted")
		}))
	}
	entries = append(entries, entry(6, func(e *index.Entry) {
		e.Requires = append(many("p%d", 60_000), strings.Join(many("p%d", 400), " | "), "wanted", strings.Repeat("z", 60_000))
	}))
	entries = append(entries, entry(7, func(e *index.Entry) { e.Requires = many("need%d", 1000) }))
	if err := w.SetListed(t.Context(), repo.DefaultChannel, entries...); err != nil {
		t.Fatal(err)
	}
	w.publish(t)
	site := w.site(t)
	get(t, site, "/")
	for _, path := range []string{"/", "/packages/big0/", "/packages/big6/", "/packages/big7/", "/search?q=endless", "/search?q=p69999", "/search?q=p1+p2+p3", "/browse/b/", "/feed.atom",
		"/packages/big6/?format=json", "/search?q=wanted&format=json"} {
		start := time.Now()
		got := get(t, site, path)
		if took := time.Since(start); got.Code != 200 || got.Body.Len() > maxHTML || took > 3*time.Second {
			t.Errorf("%s: status %d, %d bytes in %s", path, got.Code, got.Body.Len(), took)
		}
	}
}

// TestHostileFiles puts things in the place of a package file.
func TestHostileFiles(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	replace(t, w.dir, "zlib-1.3.1-1", func(path string) error { return syscall.Mkfifo(path, 0o644) })
	replace(t, w.dir, "zlib-1.2.13-1", func(path string) error { return syscall.Symlink("/etc/hostname", path) })
	site := w.site(t)
	for _, path := range []string{"/packages/zlib/", "/packages/zlib/1.2.13-1.x86_64/"} {
		if shown := text(t, site, path); !strings.Contains(shown, "not the one that the signed index names") {
			t.Errorf("%s: %s", path, shown)
		}
	}
	if got := get(t, site, "/packages/zlib/1.2.13-1.x86_64/files/"); got.Code == 200 {
		t.Error("files of what is no package are listed")
	}
}

// FuzzVisit asks for any path and query.
func FuzzVisit(f *testing.F) {
	w := newWorld(f)
	w.fill(f)
	site := w.site(f)
	for _, seed := range [][2]string{{"/", ""}, {"/search", "q=zlib&page=2&arch=noarch&channel=stable"}, {"/search", "q=%2Fusr%2Fbin%2F&q=;&page=-1"}, {"/search", "q=a+b+c+d+e+f+g+h+i"},
		{"/packages/zlib/", "format=json"}, {"/packages/zlib/1.3.1-1.x86_64/files/", ""}, {"/advisory/~2/", ""}, {"/browse/z/", ""}, {"/health.json", "q"}, {"/%00/../", "%"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		req := httptest.NewRequest("GET", "/", nil)
		req.URL.Path, req.URL.RawQuery = "/"+path, query
		got := httptest.NewRecorder()
		site.ServeHTTP(got, req)
		if got.Code >= 500 || got.Body.Len() > maxHTML {
			t.Fatalf("status %d, %d bytes", got.Code, got.Body.Len())
		}
		if strings.HasPrefix(got.Header().Get("Content-Type"), "text/html") {
			for _, n := range parse(t, "/", got.Body.Bytes()).nodes {
				if n.Type == html.ElementNode && (n.Data == "script" || n.Data == "img") || n.Type == html.CommentNode {
					t.Fatalf("a %q of the visitor's", n.Data)
				}
			}
		}
		if to := got.Header().Get("Location"); to != "" && !strings.HasPrefix(to, "./") {
			t.Fatalf("leads away to %q", to)
		}
	})
}

// stuck is a client that takes no byte of an answer before it is released.
type stuck struct {
	*httptest.ResponseRecorder
	came    chan<- struct{}
	release <-chan struct{}
}

func (s stuck) Write(p []byte) (int, error) {
	s.came <- struct{}{}
	<-s.release
	return s.ResponseRecorder.Write(p)
}

// TestSlowClientsBlockNobody lets more clients than there are cores take their
// pages slowly.
func TestSlowClientsBlockNobody(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	site := w.site(t)
	came, release := make(chan struct{}), make(chan struct{})
	var slow sync.WaitGroup
	n := 2*runtime.NumCPU() + 2
	for range n {
		slow.Go(func() {
			site.ServeHTTP(stuck{httptest.NewRecorder(), came, release}, httptest.NewRequest("GET", "/", nil))
		})
	}
	for range n {
		<-came
	}
	text(t, site, "/packages/zlib/")
	close(release)
	slow.Wait()
}
