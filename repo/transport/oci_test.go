package transport_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/repo/oci"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"
)

// registry answers like one, until a test lets it lie.
type registry struct {
	manifests map[string][]byte // by tag
	blobs     map[string][]byte // by sha256
	asked     []string
	lie       func(w http.ResponseWriter, r *http.Request) bool
}

const packagePath = "pool/a/abc/0123456789abcdef.abc-1.0.0-1.noarch.ashlar"

func (s *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, r.URL.Path)
	if s.lie != nil && s.lie(w, r) {
		return
	}
	content, ok := s.manifests[strings.TrimPrefix(r.URL.Path, "/v2/packages/manifests/")]
	if !ok {
		content, ok = s.blobs[strings.TrimPrefix(r.URL.Path, "/v2/packages/blobs/sha256:")]
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
}

func (s *registry) hold(t *testing.T, contents map[string]string) {
	t.Helper()
	lists := map[string]map[string]oci.File{}
	for path, content := range contents {
		sum := sha256.Sum256([]byte(content))
		f := oci.File{Path: path, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Modified: time.Now()}
		tag := oci.TagOf(path)
		if lists[tag] == nil {
			lists[tag] = map[string]oci.File{}
		}
		lists[tag][path] = f
		s.blobs[f.SHA256] = []byte(content)
	}
	for tag, files := range lists {
		data, err := oci.Encode(tag, files)
		if err != nil {
			t.Fatal(err)
		}
		s.manifests[tag] = data
	}
}

var brief = transport.Limits{Connect: time.Second, Stall: 300 * time.Millisecond, MinimumRate: 1000, Attempts: 2, Backoff: time.Millisecond}.OrDefault()

func openRegistry(t *testing.T) (*registry, transport.Source) {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	s := &registry{manifests: map[string][]byte{}, blobs: map[string][]byte{}}
	s.hold(t, map[string]string{"metadata/timestamp.json": "first", "metadata/1.root.json": "root", packagePath: strings.Repeat("abc", 1000)})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	source, err := transport.Open("oci+"+server.URL+"/packages", transport.NewHTTPClient(brief))
	if err != nil {
		t.Fatal(err)
	}
	return s, source
}

func object(content string) transport.Object {
	sum := sha256.Sum256([]byte(content))
	return transport.Object{Path: packagePath, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
}

func TestRegistryIsRead(t *testing.T) {
	s, source := openRegistry(t)
	want := func(path, content string) {
		t.Helper()
		data, err := brief.ReadFile(t.Context(), source, path, 1000, -1)
		if content == "" && !errors.Is(err, fs.ErrNotExist) || content != "" && (err != nil || string(data) != content) {
			t.Errorf("%s: %q, %v; want %q", path, data, err, content)
		}
	}
	want("metadata/1.root.json", "root")
	want("metadata/2.root.json", "")
	want("metadata/timestamp.json", "first")
	s.hold(t, map[string]string{"metadata/timestamp.json": "second", "metadata/2.targets.json": "x"})
	want("metadata/timestamp.json", "second") // asked for anew, with the list
	want("metadata/2.targets.json", "x")
	file := filepath.Join(t.TempDir(), "package")
	if err := os.WriteFile(file+".part", []byte("abcabc"), 0o644); err != nil {
		t.Fatal(err)
	}
	content := strings.Repeat("abc", 1000)
	if err := brief.Fetch(t.Context(), source, object(content), file, nil); err != nil {
		t.Error(err)
	}
	a, err := source.Span(t.Context(), packagePath, 3, 6, 3000)
	if err != nil || a.Start != 3 || a.Length != 3 {
		t.Errorf("a range: %+v, %v", a, err)
	}
	a.Body.Close()
	lists := 0
	for _, path := range s.asked {
		if strings.Contains(path, "/manifests/") {
			lists++
		}
	}
	if lists != 4 { // the repository's for the root and each timestamp, a shard's
		t.Errorf("%d lists were asked for: %q", lists, s.asked)
	}
}

// TestRegistryLies: whatever a registry answers with, it is refused with the
// right kind, within bounds.
func TestRegistryLies(t *testing.T) {
	manifests, blobs := "/v2/packages/manifests/", "/v2/packages/blobs/"
	huge := strings.Repeat(" ", oci.MaxManifest+1)
	for name, c := range map[string]struct {
		where string
		lie   func(w http.ResponseWriter)
		kind  tuf.Kind
		is    error
	}{
		"another blob":       {where: blobs, lie: func(w http.ResponseWriter) { fmt.Fprint(w, strings.Repeat("xyz", 1000)) }, kind: tuf.Tampered},
		"a longer blob":      {where: blobs, lie: func(w http.ResponseWriter) { fmt.Fprint(w, strings.Repeat("abc", 1001)) }, kind: tuf.Tampered},
		"a shorter blob":     {where: blobs, lie: func(w http.ResponseWriter) { fmt.Fprint(w, "abc") }, kind: tuf.Tampered},
		"no blob":            {where: blobs, lie: func(w http.ResponseWriter) { w.WriteHeader(404) }, is: fs.ErrNotExist},
		"no manifest":        {where: manifests, lie: func(w http.ResponseWriter) { w.WriteHeader(404) }, is: fs.ErrNotExist},
		"huge manifest":      {where: manifests, lie: func(w http.ResponseWriter) { fmt.Fprint(w, huge) }, kind: tuf.Unbounded},
		"manifest said huge": {where: manifests, lie: func(w http.ResponseWriter) { w.Header().Set("Content-Length", "99999999999") }, kind: tuf.Unbounded},
		"a page":             {where: manifests, lie: func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") }, kind: tuf.Tampered},
		"silence":            {where: manifests, lie: func(w http.ResponseWriter) { w.(http.Flusher).Flush(); time.Sleep(time.Second) }, is: transport.ErrTooSlow},
		"sign on": {where: manifests, lie: func(w http.ResponseWriter) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(401)
		}},
		// The library must not carry a password to whatever address an answer names.
		"token from elsewhere": {where: manifests, lie: func(w http.ResponseWriter) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="file:///etc/passwd",service="x"`)
			w.WriteHeader(401)
		}},
		"redirect in a circle": {where: blobs, lie: func(w http.ResponseWriter) {
			w.Header().Set("Location", blobs+"x")
			w.WriteHeader(307)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s, source := openRegistry(t)
			s.lie = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasPrefix(r.URL.Path, c.where) {
					c.lie(w)
					return true
				}
				return false
			}
			begin := time.Now()
			err := brief.Fetch(t.Context(), source, object(strings.Repeat("abc", 1000)), filepath.Join(t.TempDir(), "x"), nil)
			if err == nil || tuf.KindOf(err) != c.kind || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v; want kind %q, %v", err, c.kind, c.is)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}
