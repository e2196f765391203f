package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/repotest"
	"ashlar/signing"
)

// entryOf is the version of package many that is on offer.
func (w *world) entryOf(c *client.Client, version string) client.Entry {
	w.t.Helper()
	for _, e := range c.Packages() {
		if e.Name == "many" && e.Version == version {
			return e
		}
	}
	w.t.Fatalf("many %s is not on offer", version)
	return client.Entry{}
}

// changedFiles lists files of p with another content than the same path in old.
func changedFiles(old, p *pkgfile.Package) (files []*pkgfile.File) {
	m := p.Manifest()
	for i := range m.Files {
		if was := old.Manifest().File(m.Files[i].Path); was == nil || was.SHA256 != m.Files[i].SHA256 {
			files = append(files, &m.Files[i])
		}
	}
	return files
}

// twoVersions publishes many 1.0.0, of 25 MiB in 20 folders, and 1.0.1, in which
// the files of one folder, 5 % of all, have changed.
func (w *world) twoVersions() {
	w.t.Helper()
	const files, size = 400, 64 << 10
	w.manyFiles("many-1.0.0-1", files, size, func(int) bool { return false })
	w.manyFiles("many-1.0.1-1", files, size, func(i int) bool { return i/20 == 7 })
}

// upgrade fetches what many 1.0.1 has that 1.0.0 has not, and proves that its
// content, and no other, can be read.
func (w *world) upgrade(c *client.Client) error {
	w.t.Helper()
	if _, err := c.Refresh(w.t.Context()); err != nil {
		return err
	}
	return w.fetchChanged(c)
}

func (w *world) fetchChanged(c *client.Client) error {
	w.t.Helper()
	old, err := pkgfile.OpenFile(filepath.Join(w.dir, w.entryOf(c, "1.0.0").Path))
	if err != nil {
		w.t.Fatal(err)
	}
	defer old.Close()
	remote, err := c.FetchMeta(w.t.Context(), w.entryOf(c, "1.0.1"))
	if err != nil {
		return err
	}
	defer remote.Close()
	files := changedFiles(old, remote.Package())
	if len(files) != 20 {
		w.t.Fatalf("%d changed files", len(files))
	}
	if err := remote.Fetch(w.t.Context(), files, nil); err != nil {
		return err
	}
	if left := remote.Download(files); left != 0 {
		w.t.Errorf("%d bytes to download after the fetch", left)
	}
	w.readable(remote, files)
	return nil
}

// readable reads the content of files, with all checks.
func (w *world) readable(r *client.Remote, files []*pkgfile.File) {
	w.t.Helper()
	var mu sync.Mutex
	var read int64
	err := pkgfile.Unpack(w.t.Context(), 2, []pkgfile.Wanted{{Package: r.Package(), Files: files}},
		func(_ *pkgfile.Package, f *pkgfile.File, data []byte, stream io.Reader) error {
			n := int64(len(data))
			if stream != nil {
				var err error
				if n, err = io.Copy(io.Discard, stream); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			read += n - f.Size
			return nil
		})
	if err != nil || read != 0 {
		w.t.Errorf("read what was fetched: %v; %d bytes too many", err, read)
	}
}

// manyFiles publishes a package of n files of size bytes that do not compress.
// changed says which have other content than version 1.0.0 has.
func (w *world) manyFiles(name string, n, size int, changed func(i int) bool) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name+".ashlar")
	w.writeMany(path, name, n, size, changed)
	repotest.Publish(w.t, w.repo, path)
}

func (w *world) writeMany(path, name string, n, size int, changed func(i int) bool) {
	w.t.Helper()
	m := pkgfile.Manifest{Format: pkgfile.FormatVersion, Name: "many", Version: "1.0.0", Release: 1, Arch: "x86_64",
		Summary: "many files", License: "MIT", Provenance: pkgfile.Provenance{Origin: "import", Epoch: repotest.Now.Unix()}}
	fmt.Sscanf(name, "many-%5s-%d", &m.Version, &m.Release)
	var inputs []pkgfile.Input
	for i := range n {
		seed := uint64(i)
		if changed(i) {
			seed += 1 << 32
		}
		data := make([]byte, size)
		rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 32)})
		rng.Read(data)
		inputs = append(inputs, pkgfile.Input{
			File: pkgfile.File{Path: fmt.Sprintf("usr/share/many/%02d/%05d", i/20, i), Type: pkgfile.TypeFile, Mode: 0o644, Owner: "root", Group: "root"},
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
		})
	}
	var out bytes.Buffer
	if _, err := pkgfile.Write(context.Background(), &out, m, inputs, pkgfile.Options{Signers: []*signing.PrivateKey{w.key}}); err != nil {
		w.t.Fatal(err)
	}
	write(w.t, path, out.Bytes())
}

// meteredServer serves dir and counts requests for packages and their bytes.
type meteredServer struct {
	requests, bytes atomic.Int64
}

func (m *meteredServer) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/pool/") {
			m.requests.Add(1)
			rw = &meteredWriter{rw, &m.bytes}
		}
		h.ServeHTTP(rw, req)
	})
}

type meteredWriter struct {
	http.ResponseWriter
	bytes *atomic.Int64
}

func (w *meteredWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.bytes.Add(int64(n))
	return n, err
}

// TestPartialDownload: from a plain file server, an upgrade in which 5 % of the
// files changed transfers less than 15 % of the package.
func TestPartialDownload(t *testing.T) {
	w, _ := newWorld(t)
	w.twoVersions()
	var meter meteredServer
	c := w.client(w.serveHandler(meter.wrap(http.FileServer(http.Dir(w.dir)))))
	if err := w.upgrade(c); err != nil {
		t.Fatal(err)
	}
	size := w.entryOf(c, "1.0.1").Size
	share := 100 * float64(meter.bytes.Load()) / float64(size)
	t.Logf("%d requests, %d of %d bytes: %.1f %%", meter.requests.Load(), meter.bytes.Load(), size, share)
	if share >= 15 {
		t.Errorf("%.1f %% of the package was transferred", share)
	}
	before := meter.requests.Load()
	if err := w.fetchChanged(c); err != nil || meter.requests.Load() != before {
		t.Errorf("again: %v, %d more requests", err, meter.requests.Load()-before)
	}
}
