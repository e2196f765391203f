package places

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRegistryLies puts a server that lies between a client and a real
// registry. Nothing is installed, the exit code says what kind of lie it was,
// and a good mirror behind it serves all the same.
func TestRegistryLies(t *testing.T) {
	s := startRegistry(t, "")
	good := "oci+http://" + s.address + "/packages"
	w := newWorld(t)
	w.mirror(good)
	behind := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: s.address}) }}
	for name, c := range map[string]struct {
		part string // of the path that is answered with a lie
		lie  http.HandlerFunc
		exit int
		says string
	}{
		"another blob":  {"/blobs/", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("something else")) }, 4, "tampered"},
		"huge manifest": {"/manifests/", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 5<<20)) }, 4, "out of bounds"},
		"no manifest":   {"/manifests/repository", http.NotFound, 5, "metadata/timestamp.json"},
		"missing shard": {"/manifests/pool-", http.NotFound, 5, "does not have this file"},
		"another list":  {"/manifests/pool-", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, 4, "tampered"},
	} {
		t.Run(name, func(t *testing.T) {
			evil := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, c.part) {
					c.lie(rw, r)
					return
				}
				behind.ServeHTTP(rw, r)
			}))
			defer evil.Close()
			w := &world{t, w.pkgtool, w.dir}
			bad := "oci+" + evil.URL + "/packages"
			root := w.system(strings.ReplaceAll(name, " ", "-"), bad)
			out, _ := w.try("--root", root, "refresh")
			cmd := w.command("--root", root, "install", "-y", "lib")
			more, err := cmd.CombinedOutput()
			out += string(more)
			if err == nil || cmd.ProcessState.ExitCode() != c.exit || !strings.Contains(out, c.says) || !strings.Contains(out, bad) {
				t.Errorf("%v; want %d, %q and %q\n%s", err, c.exit, c.says, bad, out)
			}
			if _, err := os.Stat(filepath.Join(root, "usr/share/lib")); err == nil {
				t.Error("it is installed")
			}
			definition := filepath.Join(root, "etc/pkgtool/repositories.d/places.yaml")
			check(t, os.WriteFile(definition, []byte("schema: 1\nname: places\nurls: ["+bad+", "+good+"]\n"), 0o644))
			w.installed(root, "lib")
		})
	}
}
