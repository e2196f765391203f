package buildkit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"os"
	"path/filepath"

	"ashlar/pkgtool/build/buildkit/inside"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// store is a folder of files named by their sha256.
type store string

func (s store) path(d digest.Digest) string { return filepath.Join(string(s), d.Encoded()) }

// put stores what write writes.
func (s store) put(write func(io.Writer) error) (ocispecs.Descriptor, error) {
	var d ocispecs.Descriptor
	f, err := os.CreateTemp(string(s), "new-")
	if err != nil {
		return d, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	sum := sha256.New()
	if err := write(io.MultiWriter(f, sum)); err != nil {
		return d, err
	}
	info, err := f.Stat()
	if err != nil {
		return d, err
	}
	d.Digest, d.Size = asDigest(sum), info.Size()
	if err := f.Close(); err != nil {
		return d, err
	}
	return d, os.Rename(f.Name(), s.path(d.Digest))
}

func asDigest(h hash.Hash) digest.Digest {
	return digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(h.Sum(nil)))
}

// putJSON stores a value.
func (s store) putJSON(v any) (ocispecs.Descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return ocispecs.Descriptor{}, err
	}
	return s.put(func(w io.Writer) error { _, err := w.Write(data); return err })
}

// putFile stores a copy of a file.
func (s store) putFile(name string) (ocispecs.Descriptor, error) {
	f, err := os.Open(name)
	if err != nil {
		return ocispecs.Descriptor{}, err
	}
	defer f.Close()
	return s.put(func(w io.Writer) error { _, err := io.Copy(w, f); return err })
}

// putFolder stores a folder packed, see [inside.Pack].
func (s store) putFolder(dir string, times inside.Times) (ocispecs.Descriptor, error) {
	return s.put(func(w io.Writer) error { return inside.Pack(dir, w, times) })
}

// putImage stores a folder as an image of one layer.
func (s store) putImage(dir string, times inside.Times) (digest.Digest, error) {
	whole := sha256.New()
	layer, err := s.put(func(w io.Writer) error {
		z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			return err
		}
		if err := inside.Tar(dir, io.MultiWriter(z, whole), times, false); err != nil {
			return err
		}
		return z.Close()
	})
	if err != nil {
		return "", err
	}
	layer.MediaType = ocispecs.MediaTypeImageLayerZstd
	config, err := s.putJSON(ocispecs.Image{
		Platform: ocispecs.Platform{Architecture: "amd64", OS: "linux"},
		RootFS:   ocispecs.RootFS{Type: "layers", DiffIDs: []digest.Digest{asDigest(whole)}},
	})
	if err != nil {
		return "", err
	}
	config.MediaType = ocispecs.MediaTypeImageConfig
	manifest, err := s.putJSON(ocispecs.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispecs.MediaTypeImageManifest,
		Config: config, Layers: []ocispecs.Descriptor{layer},
	})
	return manifest.Digest, err
}
