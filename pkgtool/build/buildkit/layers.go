package buildkit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ashlar/pkgtool/build"
	"ashlar/pkgtool/build/buildkit/inside"
	"ashlar/pkgtool/durable"

	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// layers keeps the layers of build roots, and programs, as daemons ask for them.
//
//	blobs/   a store
//	images/  per layer a file with the digest of its image
type layers struct {
	dir   string
	blobs store

	mu      sync.Mutex
	working map[string]*sync.Mutex // layers that are being packed
}

// unusedFor is how long something stays that no work asked for.
const unusedFor = 14 * 24 * time.Hour

func openLayers(dir string) (*layers, error) {
	l := &layers{dir: dir, blobs: store(filepath.Join(dir, "blobs")), working: map[string]*sync.Mutex{}}
	for _, sub := range []string{"blobs", "images"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	return l, l.dropUnused(time.Now().Add(-unusedFor))
}

// dropUnused removes what was last used before a time.
func (l *layers) dropUnused(before time.Time) error {
	for _, sub := range []string{"images", "blobs"} { // an image names blobs
		list, err := os.ReadDir(filepath.Join(l.dir, sub))
		if err != nil {
			return err
		}
		for _, d := range list {
			info, err := d.Info()
			if err != nil || !info.ModTime().Before(before) {
				continue // gone meanwhile: another engine tidies too
			}
			if err := os.Remove(filepath.Join(l.dir, sub, d.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// image returns the image of a layer, packing it the first time.
func (l *layers) image(layer build.Layer) (digest.Digest, error) {
	sum := sha256.Sum256([]byte(layer.Digest + "\x00" + layer.Dir))
	name := filepath.Join(l.dir, "images", hex.EncodeToString(sum[:]))
	lock := l.lock(name)
	lock.Lock()
	defer lock.Unlock()
	if text, err := os.ReadFile(name); err == nil {
		if image := digest.Digest(text); image.Validate() == nil && l.use(image) == nil {
			return image, touch(name)
		}
	}
	image, err := l.blobs.putImage(layer.Dir, inside.Exact)
	if err != nil {
		return "", fmt.Errorf("pack layer %s for the farm: %w", layer.Name, err)
	}
	return image, durable.WriteFile(name, []byte(image), 0o644)
}

func (l *layers) lock(name string) *sync.Mutex {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.working[name] == nil {
		l.working[name] = &sync.Mutex{}
	}
	return l.working[name]
}

// use marks an image and what it consists of as used; an error says that
// something of it is missing.
func (l *layers) use(image digest.Digest) error {
	data, err := os.ReadFile(l.blobs.path(image))
	if err != nil {
		return err
	}
	var m ocispecs.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	for _, d := range append(m.Layers, m.Config, ocispecs.Descriptor{Digest: image}) {
		if err := d.Digest.Validate(); err != nil {
			return err
		}
		if err := touch(l.blobs.path(d.Digest)); err != nil {
			return err
		}
	}
	return nil
}

// touch says that a file was used now.
func touch(name string) error {
	now := time.Now()
	return os.Chtimes(name, now, now)
}
