package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"sync"

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

// twoVersions publishes many 1.0.0, of 400 files of size bytes, and 1.0.1, in
// which 5 % of them, in two places, have changed.
func (w *world) twoVersions(size int) {
	w.t.Helper()
	w.manyFiles("many-1.0.0-1", 400, all(size), func(int) bool { return false })
	w.manyFiles("many-1.0.1-1", 400, all(size), func(i int) bool { return i/10 == 14 || i/10 == 31 })
}

func all(size int) func(int) int { return func(int) int { return size } }

// scatteredVersions is the same for 400 files of which most are small and some
// are not, as in real packages; each has the same chance to be a changed one.
func (w *world) scatteredVersions() {
	w.t.Helper()
	rng := rand.New(rand.NewPCG(5, 6))
	var sizes [400]int
	var changed [400]bool
	for i := range sizes {
		sizes[i] = int(math.Exp(8.7 + 1.9*rng.NormFloat64())) // median 6 KB, mean 36 KB
	}
	for _, i := range rng.Perm(400)[:20] {
		changed[i] = true
	}
	size := func(i int) int { return sizes[i] }
	w.manyFiles("many-1.0.0-1", 400, size, func(int) bool { return false })
	w.manyFiles("many-1.0.1-1", 400, size, func(i int) bool { return changed[i] })
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

// manyFiles publishes a package of n files that do not compress, size(i) bytes each.
// changed says which have other content than version 1.0.0 has.
func (w *world) manyFiles(name string, n int, size func(i int) int, changed func(i int) bool) {
	w.t.Helper()
	w.limits = patient
	path := filepath.Join(w.t.TempDir(), name+".ashlar")
	w.writeMany(path, name, n, size, changed)
	repotest.Publish(w.t, w.repo, path)
}

func (w *world) writeMany(path, name string, n int, size func(i int) int, changed func(i int) bool) {
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
		data := make([]byte, size(i))
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
