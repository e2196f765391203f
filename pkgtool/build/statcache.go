package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// fileDigests knows the digests of files that have not changed since they were
// last read, so that a build with nothing to do reads no sources.
type fileDigests struct {
	cache *Cache
	mu    sync.Mutex
	known map[string]fileDigest
	dirty bool
}

// fileDigest is a digest and the state of the file it was taken in.
type fileDigest struct {
	Size, Modified, Changed int64
	Inode                   uint64
	SHA256                  string
}

func (c *Cache) openDigests() *fileDigests {
	d := &fileDigests{cache: c, known: map[string]fileDigest{}}
	if !c.readJSON(&d.known, "digests.json") {
		d.known = map[string]fileDigest{}
	}
	return d
}

// sum returns the sha256 of a regular file.
func (d *fileDigests) sum(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	now := fileDigest{info.Size(), info.ModTime().UnixNano(), st.Ctim.Nano(), st.Ino, ""}
	d.mu.Lock()
	old, ok := d.known[path]
	d.mu.Unlock()
	if sum := old.SHA256; ok {
		old.SHA256 = ""
		if old == now {
			return sum, nil
		}
	}
	sum, err := sumFile(path)
	if err != nil {
		return "", err
	}
	// A file written in this very moment can change again without a trace in
	// its times; it is read again next time.
	if time.Since(info.ModTime()) > 2*time.Second {
		now.SHA256 = sum
		d.mu.Lock()
		d.known[path] = now
		d.dirty = true
		d.mu.Unlock()
	}
	return sum, nil
}

// save keeps the digests for the next run. Losing them costs time only.
func (d *fileDigests) save() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.dirty {
		return nil
	}
	d.dirty = false
	return d.cache.writeJSON(d.known, "digests.json")
}

func sumFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
