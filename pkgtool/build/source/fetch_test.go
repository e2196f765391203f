package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ashlar/pkgtool/fault"
)

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func testFetcher(t *testing.T) *Fetcher {
	return &Fetcher{CacheDir: t.TempDir(), GoProxy: "off", backoff: time.Millisecond, attempts: 3}
}

var content = bytes.Repeat([]byte("source text\n"), 10_000)

// server answers every path by the named behaviour.
func server(t *testing.T, handler http.HandlerFunc) string {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

func TestFetchFailuresNameEveryPlace(t *testing.T) {
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/wrong":
			w.Write(bytes.Repeat([]byte("x"), len(content)))
		case "/long":
			w.Header().Set("Content-Length", fmt.Sprint(len(content)+1))
			w.Write(append(bytes.Clone(content), '!'))
		case "/long-chunked":
			w.(http.Flusher).Flush()
			w.Write(append(bytes.Clone(content), '!'))
		case "/short":
			w.Write(content[:100])
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/cut":
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			w.Write(content[:5000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		default:
			http.NotFound(w, r)
		}
	})
	for _, c := range []struct {
		path, says string
		class      fault.Class
	}{
		{"/absent", "404 Not Found", fault.Network},
		{"/wrong", "wrong sum: got " + hexSum(bytes.Repeat([]byte("x"), len(content))) + ", want " + hexSum(content), fault.Security},
		{"/long", "wrong sum: got 120001 bytes, want 120000 bytes", fault.Security},
		{"/long-chunked", "more than 120000 bytes", fault.Security},
		{"/short", "wrong sum: got 100 bytes", fault.Security},
		{"/broken", "500 Internal", fault.Network},
		{"/cut", "EOF", fault.Network},
	} {
		t.Run(c.path[1:], func(t *testing.T) {
			f := testFetcher(t)
			s := Source{ID: "main", URIs: []string{"http://user:secret@127.0.0.1:1/gone?token=secret", url + c.path}, SHA256: hexSum(content), Size: int64(len(content))}
			_, err := f.Fetch(t.Context(), s, nil)
			if err == nil {
				t.Fatal("no error")
			}
			text := err.Error()
			for _, part := range []string{"source main (gone?...)", "127.0.0.1:1/gone", "refused", url + c.path, c.says} {
				if !strings.Contains(text, part) {
					t.Errorf("%q does not say %q", text, part)
				}
			}
			if strings.Contains(text, "secret") {
				t.Errorf("secret shown: %s", text)
			}
			if fault.ClassOf(err) != c.class || len(fault.Hints(err)) == 0 {
				t.Errorf("class %d, hints %q", fault.ClassOf(err), fault.Hints(err))
			}
			if _, err := os.Stat(f.Path(s)); !errors.Is(err, os.ErrNotExist) {
				t.Error("something is in the cache")
			}
			// A good place after the bad ones mends it, whatever was left over.
			good := server(t, func(w http.ResponseWriter, r *http.Request) { w.Write(content) })
			s.URIs = append(s.URIs, good)
			path, err := f.Fetch(t.Context(), s, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(path); !bytes.Equal(got, content) {
				t.Error("wrong content")
			}
		})
	}
}

func TestFetchResumesAfterACut(t *testing.T) {
	var ranges []string
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		ranges = append(ranges, r.Header.Get("Range"))
		if len(ranges) == 1 {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			w.Write(content[:70_000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
	f := testFetcher(t)
	last := int64(0)
	path, err := f.Fetch(t.Context(), Source{URIs: []string{url + "/a"}, SHA256: hexSum(content)}, func(_ string, done, total int64) {
		if done == total {
			last = done
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, content) {
		t.Error("wrong content")
	}
	if len(ranges) != 2 || ranges[0] != "" || ranges[1] != "bytes=70000-" {
		t.Errorf("ranges %q", ranges)
	}
	if last != int64(len(content)) {
		t.Errorf("progress ended at %d", last)
	}
}

// A server that knows no ranges, and one whose answer to a range is a lie.
func TestFetchRestartsWhereRangesMisbehave(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"no ranges", func(w http.ResponseWriter, r *http.Request) { w.Write(content) }},
		{"not satisfiable", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			w.Write(content)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := server(t, c.handler)
			f := testFetcher(t)
			s := Source{URIs: []string{url}, SHA256: hexSum(content)}
			leaveRest(t, f, s, content[:500])
			if _, err := f.Fetch(t.Context(), s, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("rest of another file", func(t *testing.T) {
		url := server(t, func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		})
		f := testFetcher(t)
		s := Source{URIs: []string{url}, SHA256: hexSum(content)}
		leaveRest(t, f, s, []byte("something else"))
		if _, err := f.Fetch(t.Context(), s, nil); err != nil {
			t.Fatal(err)
		}
	})
}

func leaveRest(t *testing.T, f *Fetcher, s Source, rest []byte) {
	if err := os.MkdirAll(f.partialDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.partialDir(), s.SHA256), rest, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFetchOnceForManyAndMendsDamage(t *testing.T) {
	var asked atomic.Int32
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Write(content)
	})
	f := testFetcher(t)
	s := Source{URIs: []string{url}, SHA256: hexSum(content), Size: int64(len(content))}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := f.Fetch(t.Context(), s, nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	if err := os.WriteFile(f.Path(s), bytes.Repeat([]byte("x"), len(content)), 0o644); err != nil {
		t.Fatal(err)
	}
	if report, err := f.VerifyCache(t.Context()); err != nil || len(report.Damaged) != 1 || report.Files != 1 {
		t.Errorf("report %+v, %v", report, err)
	}
	if _, err := f.Fetch(t.Context(), s, nil); err != nil || asked.Load() != 2 {
		t.Errorf("after damage: %v, asked %d times", err, asked.Load())
	}
	f.Offline = true
	if _, err := f.Fetch(t.Context(), s, nil); err != nil {
		t.Errorf("offline, cached: %v", err)
	}
	left, _ := os.ReadDir(f.partialDir())
	if len(left) != 0 {
		t.Errorf("litter: %v", left)
	}
}

func TestFetchThroughMirrorFileAndModuleProxy(t *testing.T) {
	f := testFetcher(t)
	dir := t.TempDir()
	pool := filepath.Join(dir, "pool", "a+b~1.tar")
	if err := os.MkdirAll(filepath.Dir(pool), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pool, content, 0o644); err != nil {
		t.Fatal(err)
	}
	url := server(t, http.FileServer(http.Dir(dir)).ServeHTTP)
	f.Mirrors = NewMirrors(map[string][]string{"debian": {"http://127.0.0.1:1", url}})
	f.Base = dir
	for _, uri := range []string{"mirror://debian/pool/a+b~1.tar", "pool/a+b~1.tar", "file://" + pool, "file:pool/a+b~1.tar"} {
		fresh := &Fetcher{CacheDir: t.TempDir(), Mirrors: f.Mirrors, Base: dir, backoff: time.Millisecond}
		if _, err := fresh.Fetch(t.Context(), Source{URIs: []string{uri}, SHA256: hexSum(content)}, nil); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
	for _, c := range []struct{ uri, says string }{
		{"mirror://gnu/x", "no mirror named gnu"},
		{"ftp://a.example/x", "scheme"},
		{"gomod://golang.org/x/mod@v0.1.0", "GOPROXY is \"off\""},
	} {
		s := Source{URIs: []string{c.uri}, SHA256: hexSum([]byte("no"))}
		if strings.HasPrefix(c.uri, "gomod:") {
			s = Source{URIs: s.URIs, H1: "h1:8wlg68NqwW7eMnI1aABk/C2pDYXj8mrMY4TyRfiLeS0="}
		}
		_, err := f.Fetch(t.Context(), s, nil)
		if err == nil || !strings.Contains(err.Error(), c.says) || fault.ClassOf(err) != fault.Network {
			t.Errorf("%s: %v (class %d)", c.uri, err, fault.ClassOf(err))
		}
	}
}

func TestSourceCheck(t *testing.T) {
	good := hexSum(nil)
	for _, s := range []Source{
		{},
		{URIs: []string{"https://a.example/x"}},
		{URIs: []string{"https://a.example/x"}, SHA256: strings.ToUpper(good)},
		{URIs: []string{"https://a.example/x"}, SHA256: good, H1: "h1:8wlg68NqwW7eMnI1aABk/C2pDYXj8mrMY4TyRfiLeS0="},
		{URIs: []string{"https://a.example/x"}, H1: "h1:8wlg68NqwW7eMnI1aABk/C2pDYXj8mrMY4TyRfiLeS0="},
		{URIs: []string{"https://a.example/x"}, SHA256: good, Size: -1},
	} {
		if err := s.Check(); err == nil || fault.ClassOf(err) != fault.Usage {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestHostMirrors(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "mirrors.yaml")
	if err := os.WriteFile(config, []byte("mirrors: {debian: ['https://own.example/debian/'], gnu: ['https://own.example/gnu']}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte("deb http://apt.example/debian bookworm main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := HostMirrors(config, dir)
	if err != nil {
		t.Fatal(err)
	}
	for uri, want := range map[string]string{
		"mirror://debian/pool/x y": "[https://own.example/debian/pool/x%20y http://apt.example/debian/pool/x%20y]",
		"mirror://gnu/a":           "[https://own.example/gnu/a]",
	} {
		if got, err := m.Resolve(uri); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v", uri, got, err)
		}
	}
	if err := os.WriteFile(config, []byte("miror: {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := HostMirrors(config, dir); err == nil || fault.ClassOf(err) != fault.Usage {
		t.Errorf("mistake in the configuration: %v", err)
	}
}

func TestGoProxyURLs(t *testing.T) {
	for setting, want := range map[string]string{
		"https://a.example,direct":                  "[https://a.example]",
		"https://a.example/x/|http://b.example,off": "[https://a.example/x http://b.example]",
		"a.example": "[https://a.example]",
		"direct":    "error", "off": "error", "": "error",
	} {
		got, err := goProxyURLs(setting)
		text := fmt.Sprint(got)
		if err != nil {
			text = "error"
		}
		if text != want {
			t.Errorf("%q: %s, want %s", setting, text, want)
		}
	}
}

func TestParseGoSum(t *testing.T) {
	const h1 = "h1:8wlg68NqwW7eMnI1aABk/C2pDYXj8mrMY4TyRfiLeS0="
	list, err := parseGoSum([]byte("a.example/b v1.10.0 " + h1 + "\na.example/b v1.10.0/go.mod " + h1 + "\n\na.example/b v1.9.0/go.mod " + h1 + "\n"))
	if err != nil || len(list) != 2 || list[0].version != "v1.9.0" || list[0].zip != "" || list[1].zip != h1 {
		t.Fatalf("%+v, %v", list, err)
	}
	// A module that only has to be known not to hold a package.
	if list, err := parseGoSum([]byte("a.example/b v1.0.0 " + h1 + "\n")); err != nil || len(list) != 1 || list[0].mod != "" {
		t.Errorf("%+v, %v", list, err)
	}
	for _, bad := range []string{"a.example/b v1.0.0\n", "a.example/b v1.0.0 h2:x\n", "../b v1.0.0/go.mod " + h1 + "\n", "a.example/b ../x/go.mod " + h1 + "\n"} {
		if _, err := parseGoSum([]byte(bad)); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}
