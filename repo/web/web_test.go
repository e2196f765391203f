package web_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/repo"
	"ashlar/repo/repotest"
	"ashlar/repo/web"
	"ashlar/signing"
)

// world is a small repository with two channels, dependencies and an advisory.
type world struct {
	*repo.Repository
	dir   string
	in    string // folder of package files
	key   *signing.PrivateKey
	clock *time.Time
}

func newWorld(t testing.TB) *world {
	now := repotest.Now
	w := &world{key: repotest.Key(t), clock: &now, in: t.TempDir()}
	w.Repository, w.dir = repotest.Repository(t, repo.Settings{Name: "example"}, w.clock, w.key)
	return w
}

// pack writes a package that provides and requires these.
func (w *world) pack(t testing.TB, name string, edit func(*pkgfile.Manifest)) string {
	t.Helper()
	return repotest.Package(t, w.in, name, name, edit, w.key)
}

// fill publishes what the tests look at.
func (w *world) fill(t testing.TB) {
	t.Helper()
	zlib := func(m *pkgfile.Manifest) {
		m.Provides = []string{"pkgconfig(zlib) = " + m.Version, "soname(libz.so.1)"}
		m.Summary, m.Homepage, m.License = "compression library", "https://zlib.example.org/", "Zlib"
		m.Description = "Compresses.\n\nAnd decompresses."
	}
	tool := func(m *pkgfile.Manifest) {
		m.Requires = []string{"nosuchthing >=2", "soname(libz.so.1)", "zlib >=1.3"}
		m.Provides = []string{"cmd(minizip)"}
		m.Summary, m.Homepage = "packs files", "javascript:alert(1)"
	}
	repotest.Publish(t, w.Repository, w.pack(t, "filesystem-1.0.0-1.noarch", nil), w.pack(t, "zlib-1.2.13-1", zlib),
		w.pack(t, "zlib-1.3.1-1", zlib), w.pack(t, "minizip-2.0.0-1", tool))
	if _, err := w.Add(t.Context(), "testing", w.pack(t, "minizip-2.1.0-1", tool)); err != nil {
		t.Fatal(err)
	}
	w.advise(t, `{"id":"ASH-2026-1","modified":"2026-02-01T00:00:00Z","aliases":["CVE-2026-77"],"summary":"zlib inflates too much",
		"details":"First line.\nSecond line.","references":[{"type":"WEB","url":"https://example.org/77"},{"type":"WEB","url":"javascript:alert(2)"}],
		"affected":[{"package":{"ecosystem":"Ashlar","name":"zlib"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.3.0"}]}]},
		{"package":{"ecosystem":"Ashlar","name":"elsewhere"},"versions":["1.0.0"]}]}`)
	w.publish(t)
}

func (w *world) advise(t testing.TB, document string) {
	t.Helper()
	if _, err := w.AddAdvisories(t.Context(), []byte(document)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) publish(t testing.TB) {
	t.Helper()
	if _, err := w.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (w *world) site(t testing.TB) *web.Site {
	site := web.New(t.Context(), w.dir, web.Options{Now: func() time.Time { return *w.clock }})
	t.Cleanup(func() { site.Close() })
	return site
}

// get asks for a page.
func get(t testing.TB, site http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	site.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

// text is what a reader sees of a page: no elements, single spaces.
func text(t testing.TB, site http.Handler, path string) string {
	t.Helper()
	w := get(t, site, path)
	if w.Code != http.StatusOK {
		t.Errorf("%s: status %d", path, w.Code)
	}
	return parse(t, path, w.Body.Bytes()).text()
}

// TestPages looks for what each page is for.
func TestPages(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	site := w.site(t)
	root := repotest.Root(t, w.dir)
	for path, wanted := range map[string][]string{
		"/": {"3 packages in 5 builds", "All is well", "pkgtool remote add example http://example.com/ --fingerprint " + sum(root),
			"stable noarch (1 build), x86_64 (3 builds) followed by default", "testing x86_64 (1 build)", "minizip 2.1.0-1 testing"},
		"/packages/zlib/": {"zlib 1.3.1-1", "compression library", "pkgtool install zlib", "Licence Zlib", "Homepage https://zlib.example.org/",
			"Compresses. And decompresses.", "Files 1 file", "Test Packager <packager@example.org> " + w.key.Fingerprint(), "1.2.13-1 x86_64 stable",
			"affected", "filesystem from filesystem", "Required by minizip", "soname(libz.so.1)"},
		"/packages/zlib/1.2.13-1.x86_64/":       {"zlib 1.2.13-1", "pkgtool install zlib@1.2.13-1", "ASH-2026-1 CVE-2026-77 zlib inflates too much Fixed in 1.3.0."},
		"/packages/zlib/1.2.13-1.x86_64/files/": {"1 file, without folders", "/usr/share/zlib/data 13 B 0644"},
		"/packages/minizip/":                    {"minizip 2.0.0-1", "nosuchthing >=2 nothing here provides it", "soname(libz.so.1) from zlib", "zlib >=1.3 from zlib", "2.1.0-1 x86_64 testing"},
		"/packages/minizip/2.1.0-1.x86_64/":     {"minizip 2.1.0-1", "This build is in channel testing"},
		"/advisory/":                            {"ASH-2026-1 CVE-2026-77 2026-02-01 zlib inflates too much zlib not offered here: elsewhere"},
		"/advisory/ASH-2026-1/": {"First line. Second line.", "all versions, fixed in 1.3.0", "Affected here 1.2.13-1 (x86_64, stable)",
			"Not affected here 1.3.1-1 (x86_64, stable)", "this repository does not offer it", "javascript:alert(2) (web)"},
		"/health/":   {"All is well", "timestamp says what is newest", "1 of 1 must sign", "Test Packager", "less than a minute ago"},
		"/browse/":   {"f m z"},
		"/browse/z/": {"zlib compression library"},
		"/search":    {"Name, word, command"},
	} {
		shown := text(t, site, path)
		for _, part := range wanted {
			if !strings.Contains(shown, part) {
				t.Errorf("%s does not say %q:\n%s", path, part, shown)
			}
		}
	}
	for _, path := range []string{"/nope", "/packages/", "/packages/nope/", "/packages/zlib/9-1.x86_64/", "/packages/zlib/1.3.1-1.x86_64/files/2/", "/browse/z/2/",
		"/packages/zlib/1.3.1-1.x86_64/files/1/", "/advisory/NOPE/", "/advisory/~2/", "/packages/zlib//", "//zlib/", "/health/x/", "/packages/zlib/1.3.1-1.x86_64/files/2/3/"} {
		if w := get(t, site, path); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "no such page") {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	if w := get(t, site, "/packages/zlib?format=json"); w.Code != http.StatusMovedPermanently || w.Header().Get("Location") != "./zlib/?format=json" {
		t.Errorf("without slash: %d to %q", w.Code, w.Header().Get("Location"))
	}
}

// TestSearch asks as people do.
func TestSearch(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	site := w.site(t)
	for query, wanted := range map[string]string{
		"q=zlib":                     "zlib minizip?", // by its pkgconfig name only zlib; see below
		"q=ZLIB+compression":         "zlib",
		"q=packs":                    "minizip",
		"q=libz.so":                  "zlib",
		"q=%2Fusr%2Fbin%2Fminizip":   "minizip",
		"q=/usr/lib/libz.so.1":       "zlib",
		"q=/usr/share/nothing":       "",
		"q=i":                        "filesystem minizip zlib",
		"q=i&arch=noarch":            "filesystem",
		"q=i&channel=testing":        "minizip",
		"q=i&channel=nope":           "",
		"q=":                         "",
		"q=zlib&page=2":              "",
		"q=%ff%fe&channel=%zz":       "",
		"q=" + "x" + longWords(1000): "",
	} {
		wanted = strings.TrimSuffix(wanted, " minizip?")
		w := get(t, site, "/search?format=json&"+query)
		var answer struct {
			Packages []struct{ Name, Version string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%.60s: %v: %.200s", query, err, w.Body)
		}
		var names []string
		for _, p := range answer.Packages {
			names = append(names, p.Name)
		}
		if got := strings.Join(names, " "); got != wanted {
			t.Errorf("%.60s finds %q, not %q", query, got, wanted)
		}
	}
	if w := get(t, site, "/search?q="+strings.Repeat("x", 5000)); w.Code != http.StatusRequestURITooLong {
		t.Errorf("endless query: status %d", w.Code)
	}
}

func longWords(n int) string { return strings.Repeat("+x", n/2) }

// TestNewStateReplacesOldOne publishes two packages of equal version again and
// again while readers ask for both: they always see both alike.
func TestNewStateReplacesOldOne(t *testing.T) {
	w := newWorld(t)
	site := w.site(t)
	const publications = 8
	pair := func(n int) []string {
		var files []string
		for _, name := range []string{"left", "right"} {
			files = append(files, w.pack(t, fmt.Sprintf("%s-1.0.%d-1", name, n), func(m *pkgfile.Manifest) { m.Summary = "half of a pair" }))
		}
		return files
	}
	repotest.Publish(t, w.Repository, pair(0)...)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for last := ""; ; {
				var answer struct{ Packages []struct{ Version string } }
				if err := json.Unmarshal(get(t, site, "/search?q=pair&format=json").Body.Bytes(), &answer); err != nil || len(answer.Packages) != 2 {
					t.Errorf("%v: %v", err, answer)
					return
				}
				if answer.Packages[0] != answer.Packages[1] {
					t.Errorf("a mixed state: %v", answer)
				}
				if v := answer.Packages[0].Version; v != last && last != "" && len(v) == len(last) && v < last {
					t.Errorf("back from %s to %s", last, v)
				} else {
					last = v
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for n := 1; n < publications; n++ {
		repotest.Publish(t, w.Repository, pair(n)...)
	}
	newest := fmt.Sprintf("1.0.%d-1", publications-1)
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(get(t, site, "/search?q=pair").Body.String(), newest); {
		if time.Now().After(deadline) {
			t.Error("the newest state never showed up")
			break
		}
	}
	close(done)
	readers.Wait()
}

// TestDamageLeavesTheOldState puts half of another state there, as a copying
// program might.
func TestDamageLeavesTheOldState(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	site := w.site(t)
	text(t, site, "/")
	timestamp := filepath.Join(w.dir, "metadata", "timestamp.json")
	good, err := os.ReadFile(timestamp)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(timestamp, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	wait(t, "the damage in the health", func() bool { return strings.Contains(get(t, site, "/health.json").Body.String(), "timestamp.json") })
	if shown := text(t, site, "/packages/zlib/"); !strings.Contains(shown, "1.3.1-1") {
		t.Error("the old state is gone")
	}
	var h struct {
		Status   string
		Problems []string
	}
	if w := get(t, site, "/health.json"); w.Code != http.StatusOK || json.Unmarshal(w.Body.Bytes(), &h) != nil || h.Status != "warning" {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if all := strings.Join(h.Problems, " "); strings.Contains(all, w.dir) {
		t.Errorf("tells the place on the disk: %s", all)
	}
	if err := os.WriteFile(timestamp, good, 0o644); err != nil {
		t.Fatal(err)
	}
	wait(t, "health to be back", func() bool { return strings.Contains(get(t, site, "/health.json").Body.String(), `"ok"`) })

	// A site that never saw a good state says so.
	empty := web.New(t.Context(), t.TempDir(), web.Options{})
	defer empty.Close()
	for _, path := range []string{"/", "/health.json"} {
		if w := get(t, empty, path); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s of nothing: status %d", path, w.Code)
		}
	}
}

// wait waits until something that goes on in the background has happened.
func wait(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// TestHealthFollowsTheClock lets signatures expire.
func TestHealthFollowsTheClock(t *testing.T) {
	w := newWorld(t)
	site := w.site(t)
	if got := get(t, site, "/health.json"); got.Code != http.StatusServiceUnavailable || !strings.Contains(got.Body.String(), "nothing has been published yet") {
		t.Errorf("unpublished: %d %s", got.Code, got.Body)
	}
	if got := get(t, site, "/"); got.Code != http.StatusOK {
		t.Errorf("first page of an unpublished repository: %d %s", got.Code, got.Body)
	}
	w.fill(t)
	published := *w.clock
	wait(t, "the publication", func() bool { return get(t, site, "/health.json").Code == http.StatusOK })
	before := get(t, site, "/packages/zlib/")
	for _, c := range []struct {
		after  time.Duration
		code   int
		status string
	}{
		{0, 200, "ok"}, {10 * 24 * time.Hour, 200, "ok"}, {12 * 24 * time.Hour, 200, "warning"},
		{14*24*time.Hour - time.Second, 200, "warning"}, {14 * 24 * time.Hour, 503, "refused"}, {900 * 24 * time.Hour, 503, "refused"},
	} {
		*w.clock = published.Add(c.after)
		got := get(t, site, "/health.json")
		var h struct {
			Status string
			Age    int64 `json:"age_seconds"`
		}
		if err := json.Unmarshal(got.Body.Bytes(), &h); err != nil || got.Code != c.code || h.Status != c.status || h.Age != int64(c.after/time.Second) {
			t.Errorf("after %s: %d %s", c.after, got.Code, got.Body)
		}
	}
	shown := get(t, site, "/packages/zlib/")
	if !strings.Contains(shown.Body.String(), "Systems refuse this repository") || shown.Header().Get("Last-Modified") == before.Header().Get("Last-Modified") {
		t.Error("a page does not tell that signatures have expired")
	}
	if err := os.RemoveAll(filepath.Join(w.dir, "pool", "m")); err != nil {
		t.Fatal(err)
	}
	*w.clock = published
	w.publish(t)
	fresh := w.site(t)
	if shown := text(t, fresh, "/health/"); !strings.Contains(shown, "2 package files missing") {
		t.Error("missing packages are not noticed: ", shown)
	}
	if shown := text(t, fresh, "/packages/minizip/"); !strings.Contains(shown, "not the one that the signed index names") || strings.Contains(shown, w.dir) {
		t.Error(shown)
	}
}

// TestManners looks at methods, validators and headers.
func TestManners(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	site := w.site(t)
	for _, path := range []string{"/", "/packages/zlib/", "/style.css", "/icon.svg", "/feed.atom", "/health.json", "/nope"} {
		got := get(t, site, path)
		for name, wanted := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Content-Security-Policy": "default-src 'none'"} {
			if !strings.Contains(got.Header().Get(name), wanted) {
				t.Errorf("%s: %s is %q", path, name, got.Header().Get(name))
			}
		}
		if got.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s sets a cookie", path)
		}
		head := httptest.NewRecorder()
		site.ServeHTTP(head, httptest.NewRequest("HEAD", path, nil))
		if head.Code != got.Code || head.Body.Len() != 0 || head.Header().Get("Content-Length") != fmt.Sprint(got.Body.Len()) {
			t.Errorf("HEAD %s: %d, %d bytes, Content-Length %s", path, head.Code, head.Body.Len(), head.Header().Get("Content-Length"))
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE"} {
			other := httptest.NewRecorder()
			site.ServeHTTP(other, httptest.NewRequest(method, path, strings.NewReader("x")))
			if other.Code != http.StatusMethodNotAllowed || other.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d", method, path, other.Code)
			}
		}
		if path == "/nope" {
			continue
		}
		again := httptest.NewRequest("GET", path, nil)
		again.Header.Set("If-None-Match", got.Header().Get("ETag"))
		unchanged := httptest.NewRecorder()
		site.ServeHTTP(unchanged, again)
		if unchanged.Code != http.StatusNotModified {
			t.Errorf("%s again: %d", path, unchanged.Code)
		}
	}
	// What a visitor says of the host goes into a command only if it is one.
	for host, wanted := range map[string]string{"packages.example.net:8080": "http://packages.example.net:8080/", "[::1]:80": "http://[::1]:80/",
		"$(reboot)": "https://repository.example.org/", "a b": "https://repository.example.org/", "": "https://repository.example.org/"} {
		req := httptest.NewRequest("GET", "/", nil)
		req.Host = host
		rec := httptest.NewRecorder()
		site.ServeHTTP(rec, req)
		if shown := parse(t, "/", rec.Body.Bytes()).text(); !strings.Contains(shown, "remote add example "+wanted+" --fingerprint") {
			t.Errorf("host %q: %s", host, shown)
		}
	}
	var feed struct {
		Entries []struct {
			Title string `xml:"title"`
		} `xml:"entry"`
	}
	if err := xml.Unmarshal(get(t, site, "/feed.atom").Body.Bytes(), &feed); err != nil || len(feed.Entries) != 5 {
		t.Errorf("feed: %v, %d entries", err, len(feed.Entries))
	}
	if !json.Valid(get(t, site, "/advisory/ASH-2026-1/?format=json").Body.Bytes()) || !json.Valid(get(t, site, "/?format=json").Body.Bytes()) {
		t.Error("a page is no JSON")
	}
}

// TestNewRootIsNoticed changes a key, which publishes a root and may leave the
// rest as it is.
func TestNewRootIsNoticed(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	site := w.site(t)
	text(t, site, "/")
	key, err := repo.NewRoleKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddKey(t.Context(), "root", key); err != nil {
		t.Fatal(err)
	}
	before := repotest.Root(t, w.dir)
	w.publish(t)
	root := repotest.Root(t, w.dir)
	if bytes.Equal(root, before) {
		t.Fatal("no new root")
	}
	wait(t, "the new fingerprint", func() bool { return strings.Contains(get(t, site, "/").Body.String(), sum(root)) })
}
