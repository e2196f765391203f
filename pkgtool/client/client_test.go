package client_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/repo/repotest"
	"ashlar/repo/serve"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

func TestRefreshAndFetch(t *testing.T) {
	for _, scheme := range []string{"http", "file"} {
		t.Run(scheme, func(t *testing.T) {
			w, _ := newWorld(t)
			url := "file://" + w.dir
			if scheme == "http" {
				url = w.serve(w.dir)
			}
			c := w.client(url)
			status, err := c.Refresh(t.Context())
			if err != nil || len(status) != 1 || status[0].Packages != 2 || !status[0].Changed || !status[0].Published.Equal(w.now) {
				t.Fatalf("%+v, %v", status, err)
			}
			if len(c.Packages()) != 2 {
				t.Fatal(c.Packages())
			}
			e := w.entry(c, "zlib")
			if e.Repo != "test" || e.Priority != 50 || e.Version != "1.2.13" || e.Requires[0] != "filesystem" {
				t.Errorf("%+v", e)
			}
			var last int64
			p, err := c.Fetch(t.Context(), e, func(done, total int64) {
				if done < last || total != e.Size {
					t.Errorf("progress %d of %d", done, total)
				}
				last = done
			})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if last != e.Size || p.Manifest().Name != "zlib" {
				t.Errorf("progress ended at %d of %d", last, e.Size)
			}
			if err := p.Verify(t.Context()); err != nil {
				t.Error(err)
			}
			again, err := c.Refresh(t.Context())
			if err != nil || again[0].Changed {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

// TestOffline: what was refreshed and fetched is there without any mirror.
func TestOffline(t *testing.T) {
	w, _ := newWorld(t)
	if _, err := w.client("http://127.0.0.1:1").Load(t.Context()); fault.ClassOf(err) != fault.Network {
		t.Errorf("load before any refresh: %v", err)
	}
	w.mustWork(w.client(w.serve(w.dir)))
	c := w.client("http://127.0.0.1:1")
	if _, err := c.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := c.Fetch(t.Context(), w.entry(c, "bash"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	if _, err := c.Fetch(t.Context(), w.entry(c, "zlib"), nil); fault.ClassOf(err) != fault.Network {
		t.Errorf("fetch of what is not there: %v", err)
	}
	w.now = w.now.AddDate(0, 0, 15)
	if _, err := w.client("http://127.0.0.1:1").Load(t.Context()); fault.ClassOf(err) != fault.Stale || !strings.Contains(err.Error(), "stale") {
		t.Errorf("load after expiry: %v", err)
	}
}

// TestCacheRot: a cached package that changed is fetched again, never used.
func TestCacheRot(t *testing.T) {
	w, _ := newWorld(t)
	c := w.client(w.serve(w.dir))
	w.mustWork(c)
	e := w.entry(c, "bash")
	path := filepath.Join(w.dirs.Cache, "packages", e.SHA256+pkgfile.MediaSuffix)
	data := read(t, path)
	data[len(data)/2] ^= 1
	write(t, path, data)
	w.mustWork(c)
	if data := read(t, path); len(data) != int(e.Size) {
		t.Error("not repaired")
	}
}

func TestResume(t *testing.T) {
	for name, tc := range map[string]struct {
		ranges bool
		part   func(good []byte) []byte
	}{
		"good start":               {true, func(good []byte) []byte { return good[:100<<10] }},
		"start of another mirror":  {true, func(good []byte) []byte { return bytes.Repeat([]byte("evil"), 20<<10) }},
		"longer than the package":  {true, func(good []byte) []byte { return append(bytes.Clone(good), good...) }},
		"complete but wrong":       {true, func(good []byte) []byte { return make([]byte, len(good)) }},
		"server without ranges":    {false, func(good []byte) []byte { return good[:100<<10] }},
		"no ranges and bad start":  {false, func(good []byte) []byte { return make([]byte, 1000) }},
		"complete and right":       {true, bytes.Clone},
		"nothing":                  {true, func([]byte) []byte { return nil }},
		"all but the last byte":    {true, func(good []byte) []byte { return good[:len(good)-1] }},
		"one wrong byte at an end": {true, func(good []byte) []byte { g := bytes.Clone(good[:500]); g[499] ^= 1; return g }},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := newWorld(t)
			h, err := serve.New(w.dir, serve.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			var sent atomic.Int64
			url := w.serveHandler(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
				if !tc.ranges {
					req.Header.Del("Range")
				}
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, req)
				for k, v := range rec.Header() {
					rw.Header()[k] = v
				}
				rw.WriteHeader(rec.Code)
				rw.Write(rec.Body.Bytes())
				if strings.HasPrefix(req.URL.Path, "/pool/") {
					sent.Add(int64(rec.Body.Len()))
				}
			}))
			c := w.client(url)
			if _, err := c.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			e := w.entry(c, "bash")
			good := read(t, w.dir, e.Path)
			write(t, filepath.Join(w.dirs.Cache, "packages", e.SHA256+".ashlar.part"), tc.part(good))
			w.mustWork(c)
			if name == "good start" && sent.Load() != e.Size-100<<10 {
				t.Errorf("%d bytes sent of %d", sent.Load(), e.Size)
			}
			if left, _ := filepath.Glob(filepath.Join(w.dirs.Cache, "packages", "*.part")); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestBreakingOff: a mirror that closes every connection early is used to the
// end, by ranges.
func TestBreakingOff(t *testing.T) {
	w, _ := newWorld(t)
	h, err := serve.New(w.dir, serve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	url := w.serveHandler(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/pool/") {
			rw = &breaking{ResponseWriter: rw, left: 70 << 10}
		}
		h.ServeHTTP(rw, req)
	}))
	w.mustWork(w.client(url))
}

type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) > b.left {
		b.ResponseWriter.Write(p[:b.left])
		b.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	b.left -= len(p)
	return b.ResponseWriter.Write(p)
}

// TestPublisherLies: bytes that the index names by hash, but that are not what
// it says, or that no allowed packager signed.
func TestPublisherLies(t *testing.T) {
	bash := func(change func(*index.Entry)) func(*world) {
		return func(w *world) {
			w.lie(func(e *index.Entry) {
				if e.Name == "bash" {
					change(e)
				}
			})
		}
	}
	for name, tc := range map[string]struct {
		do   func(*world)
		says []string
	}{
		"version":         {bash(func(e *index.Entry) { e.Version = "5.2.16" }), []string{"lying", `version is "5.2.16" in the index and "5.2.15" in the package`}},
		"release":         {bash(func(e *index.Entry) { e.Release = 9 }), []string{"lying", "release"}},
		"epoch":           {bash(func(e *index.Entry) { e.Epoch = 3 }), []string{"lying", "epoch"}},
		"name":            {bash(func(e *index.Entry) { e.Name = "bash-static" }), []string{"lying", "name"}},
		"requires more":   {bash(func(e *index.Entry) { e.Requires = []string{"filesystem", "backdoor"} }), []string{"lying", "requires", "backdoor"}},
		"requires less":   {bash(func(e *index.Entry) { e.Requires = nil }), []string{"lying", "requires"}},
		"provides":        {bash(func(e *index.Entry) { e.Provides = []string{"openssl = 99.0.0"} }), []string{"lying", "provides"}},
		"conflicts":       {bash(func(e *index.Entry) { e.Conflicts = []string{"glibc"} }), []string{"lying", "conflicts"}},
		"replaces":        {bash(func(e *index.Entry) { e.Replaces = []string{"glibc"} }), []string{"lying", "replaces"}},
		"recommends":      {bash(func(e *index.Entry) { e.Recommends = []string{"x"} }), []string{"lying", "recommends"}},
		"installed size":  {bash(func(e *index.Entry) { e.InstalledSize++ }), []string{"lying", "installed_size"}},
		"summary":         {bash(func(e *index.Entry) { e.Summary = "better bash" }), []string{"lying", "summary"}},
		"recipe":          {bash(func(e *index.Entry) { e.Recipe = "x" }), []string{"lying", "recipe"}},
		"upstream":        {bash(func(e *index.Entry) { e.Upstream = "x" }), []string{"lying", "upstream"}},
		"meta size":       {bash(func(e *index.Entry) { e.MetaSize-- }), []string{"lying", "meta_size"}},
		"manifest":        {bash(func(e *index.Entry) { e.Manifest = strings.Repeat("0", 64) }), []string{"lying", "manifest_sha256"}},
		"size":            {bash(func(e *index.Entry) { e.Size++ }), []string{"tampered"}},
		"another package": {bash(func(e *index.Entry) { e.SHA256 = strings.Repeat("0", 64) }), []string{"tampered", "sha256"}},
		"not signed": {func(w *world) {
			w.smuggle(repotest.Package(w.t, w.t.TempDir(), "bash-5.2.15-1", "x", nil))
		}, []string{"not signed"}},
		"signed by a stranger": {func(w *world) {
			w.smuggle(repotest.Package(w.t, w.t.TempDir(), "bash-5.2.15-1", "x", nil, repotest.Key(w.t)))
		}, []string{"not signed"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := newWorld(t)
			w.now = w.now.Add(time.Hour)
			tc.do(w)
			for _, url := range []string{w.serve(w.dir), "file://" + w.dir} {
				c := w.client(url)
				if _, err := c.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				pkg := "bash"
				if name == "name" {
					pkg = "bash-static"
				}
				p, err := c.Fetch(t.Context(), w.entry(c, pkg), nil)
				if err == nil {
					p.Close()
					t.Fatal("accepted")
				}
				for _, says := range append(tc.says, pkg) {
					if !strings.Contains(err.Error(), says) {
						t.Errorf("%q is not in %q", says, err)
					}
				}
				if fault.ClassOf(err) != fault.Security || len(fault.Hints(err)) == 0 {
					t.Errorf("class %d, hints %q", fault.ClassOf(err), fault.Hints(err))
				}
			}
		})
	}
}

// TestClockBehind: a machine whose clock lost its battery takes the time of the
// metadata it has seen.
func TestClockBehind(t *testing.T) {
	w, _ := newWorld(t)
	url := w.serve(w.dir)
	w.now = time.Unix(0, 0)
	w.mustWork(w.client(url))
}

// TestClockFloor: time does not go back behind what signed metadata has shown,
// so a clock set back does not make valid again what expired meanwhile.
func TestClockFloor(t *testing.T) {
	w, _ := newWorld(t)
	url := w.serve(w.dir)
	// Targets metadata has expired; whoever has the timestamp key goes on.
	later := w.now.AddDate(0, 0, repo.DefaultLifetimes.Targets+1)
	resign(w, repo.TimestampPath, metadata.Timestamp(), func(m *metadata.TimestampType) {
		m.Version++
		m.Expires = later.AddDate(0, 0, 14)
		m.UnrecognizedFields[repo.PublishedField] = later.Format(time.RFC3339)
	})
	_, err := w.client(url).Refresh(t.Context())
	if err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("got %v", err)
	}
}

func TestNotTrusted(t *testing.T) {
	w, _ := newWorld(t)
	if err := os.Remove(filepath.Join(w.dirs.Trust, "test", "root.json")); err != nil {
		t.Fatal(err)
	}
	_, err := w.client(w.serve(w.dir)).Refresh(t.Context())
	if fault.ClassOf(err) != fault.Security || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("got %v", err)
	}
	other, _ := newWorld(t)
	w.trust(repotest.Root(t, other.dir))
	_, err = w.client(w.serve(w.dir)).Refresh(t.Context())
	if fault.ClassOf(err) != fault.Security || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("with the root of another repository: %v", err)
	}
}

func TestUnknownChannel(t *testing.T) {
	w, _ := newWorld(t)
	c, err := client.Open([]client.Config{{Schema: 1, Name: "test", URLs: []string{"file://" + w.dir}, Channel: "testing", Priority: 50}}, w.dirs,
		client.Options{Now: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "no packages in channel testing") {
		t.Errorf("got %v", err)
	}
}
