package iso

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"ashlar/iso/tree"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const defaultPath = "PATH=/usr/local/bin:/usr/bin"

func (a *assembly) writeTar(o *output) error {
	a.Progress("write the tar")
	entries, err := a.rootWithAbout()
	if err != nil {
		return err
	}
	z, err := zstd.NewWriter(o, zstd.WithEncoderLevel(zstdLevels[a.Image.Compression]),
		zstd.WithWindowSize(tarWindow), zstd.WithConcurrentBlocks(true), zstd.WithEncoderConcurrency(max(a.Workers, 2)))
	if err != nil {
		return err
	}
	if err := writeTar(a.ctx, z, entries); err != nil {
		z.Close()
		return err
	}
	return z.Close()
}

// tarWindow is how far back a tar's compression looks; four times as much is
// compressed at once on each core.
const tarWindow = 4 << 20

var zstdLevels = map[string]zstd.EncoderLevel{"default": zstd.SpeedDefault, "better": zstd.SpeedBetterCompression, "best": zstd.SpeedBestCompression}

func (a *assembly) rootWithAbout() ([]tree.Entry, error) {
	entries, err := a.entries()
	if err != nil {
		return nil, err
	}
	about, err := a.about("var/lib/ashlar/image/")
	if err != nil {
		return nil, err
	}
	return overlay(entries, about)
}

// writeOCI writes a container image with one layer as an OCI image layout
// (image-spec 1.1) in a tar, which `docker load` of any version reads too.
func (a *assembly) writeOCI(o *output) error {
	a.Progress("write the container image")
	entries, err := a.rootWithAbout()
	if err != nil {
		return err
	}
	layer, err := a.temporary()
	if err != nil {
		return err
	}
	defer layer.Close()
	packed, plain := sha256.New(), sha256.New()
	z := newMembers(a.ctx, io.MultiWriter(layer, packed), a.Workers)
	err = writeTar(a.ctx, io.MultiWriter(z, plain), entries)
	if e := z.Close(); e != nil {
		err = e
	}
	if err != nil {
		return err
	}
	size, err := layer.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	blob := v1.Descriptor{MediaType: v1.MediaTypeImageLayerGzip, Digest: digest.NewDigest(digest.SHA256, packed), Size: size}
	files, err := a.layout(blob, digest.NewDigest(digest.SHA256, plain))
	if err != nil {
		return err
	}
	out := tar.NewWriter(o)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := a.member(out, path, int64(len(files[path])), bytes.NewReader(files[path])); err != nil {
			return err
		}
	}
	if err := a.member(out, blobPath(blob.Digest), size, io.NewSectionReader(layer, 0, size)); err != nil {
		return err
	}
	return out.Close()
}

func blobPath(d digest.Digest) string { return "blobs/sha256/" + d.Encoded() }

func (a *assembly) member(out *tar.Writer, path string, size int64, r io.Reader) error {
	if err := out.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: size, ModTime: time.Unix(a.epoch, 0), Format: tar.FormatUSTAR}); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err := io.Copy(out, r)
	return err
}

// layout returns the small files of the layout: configuration, manifest, index.
func (a *assembly) layout(layer v1.Descriptor, diffID digest.Digest) (map[string][]byte, error) {
	files := map[string][]byte{}
	add := func(mediaType string, value any) (v1.Descriptor, error) {
		b, err := json.Marshal(value)
		d := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
		files[blobPath(d.Digest)] = b
		return d, err
	}
	config, err := add(v1.MediaTypeImageConfig, a.containerConfig(diffID))
	if err != nil {
		return nil, err
	}
	manifest, err := add(v1.MediaTypeImageManifest, v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: config, Layers: []v1.Descriptor{layer}, Annotations: a.annotations()})
	if err != nil {
		return nil, err
	}
	name := "localhost/" + a.Image.Name + ":latest"
	manifest.Platform = &v1.Platform{Architecture: "amd64", OS: "linux"}
	manifest.Annotations = map[string]string{v1.AnnotationRefName: "latest", "io.containerd.image.name": name}
	for path, value := range map[string]any{
		v1.ImageLayoutFile: v1.ImageLayout{Version: v1.ImageLayoutVersion},
		v1.ImageIndexFile:  v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{manifest}},
		// What Docker had before there was a standard.
		"manifest.json": []map[string]any{{"Config": blobPath(config.Digest), "RepoTags": []string{name}, "Layers": []string{blobPath(layer.Digest)}}},
	} {
		if files[path], err = json.Marshal(value); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func (a *assembly) annotations() map[string]string {
	return map[string]string{v1.AnnotationTitle: a.Image.Name, v1.AnnotationDescription: a.Image.Summary,
		v1.AnnotationCreated: time.Unix(a.epoch, 0).UTC().Format(time.RFC3339)}
}

func (a *assembly) containerConfig(diffID digest.Digest) v1.Image {
	c := a.Image.Container
	if c == nil {
		c = &Container{Command: []string{"/bin/sh"}}
	}
	created := time.Unix(a.epoch, 0).UTC()
	image := v1.Image{Created: &created, Platform: v1.Platform{Architecture: "amd64", OS: "linux"},
		RootFS:  v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}},
		History: []v1.History{{Created: &created, CreatedBy: "pkgtool image build " + a.Image.Name}},
		Config: v1.ImageConfig{User: c.User, Entrypoint: c.Entrypoint, Cmd: c.Command, WorkingDir: c.WorkingDir,
			Labels: a.annotations()}}
	maps.Copy(image.Config.Labels, c.Labels)
	if _, ok := c.Env["PATH"]; !ok {
		image.Config.Env = []string{defaultPath}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		image.Config.Env = append(image.Config.Env, name+"="+c.Env[name])
	}
	for _, p := range c.Ports {
		if image.Config.ExposedPorts == nil {
			image.Config.ExposedPorts = map[string]struct{}{}
		}
		image.Config.ExposedPorts[p] = struct{}{}
	}
	return image
}
