package oci

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"ashlar/repo/tuf"
)

// Media types of the OCI image specification 1.1, and of ours.
const (
	ManifestType       = "application/vnd.oci.image.manifest.v1+json"
	emptyType          = "application/vnd.oci.empty.v1+json"
	repositoryArtifact = "application/vnd.ashlar.repository.v1"
	shardArtifact      = "application/vnd.ashlar.pool.v1"
	fileType           = "application/vnd.ashlar.repository.file.v1"
	packageType        = "application/vnd.ashlar.package.v1"
)

// Annotations that the image specification defines.
const (
	titleKey   = "org.opencontainers.image.title"
	createdKey = "org.opencontainers.image.created"
)

// Empty is the content of the blob that manifests without configuration name;
// EmptySHA256 is its hash.
const (
	Empty       = "{}"
	EmptySHA256 = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
)

// MaxManifest is how long a manifest may be, in bytes: as long as registries
// must accept. It has room for 10,000 files.
const MaxManifest = 4 << 20

// maxSize keeps sums of sizes from overflowing.
const maxSize = 1 << 50

// File is a file of the repository that a manifest lists.
type File struct {
	Path     string
	Size     int64
	SHA256   string // in lower-case hexadecimal
	Modified time.Time
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	ArtifactType  string       `json:"artifactType,omitempty"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

var empty = descriptor{MediaType: emptyType, Digest: "sha256:" + EmptySHA256, Size: int64(len(Empty))}

// Encode makes the manifest of a tag. Equal files give equal bytes.
func Encode(tag string, files map[string]File) ([]byte, error) {
	m := manifest{SchemaVersion: 2, MediaType: ManifestType, ArtifactType: repositoryArtifact, Config: empty}
	layerType := fileType
	if ofShard(tag) {
		m.ArtifactType, layerType = shardArtifact, packageType
	}
	for _, f := range files {
		m.Layers = append(m.Layers, descriptor{layerType, "sha256:" + f.SHA256, f.Size, map[string]string{
			titleKey: f.Path, createdKey: f.Modified.UTC().Format(time.RFC3339)}})
	}
	slices.SortFunc(m.Layers, func(a, b descriptor) int { return strings.Compare(a.Annotations[titleKey], b.Annotations[titleKey]) })
	if len(m.Layers) == 0 {
		m.Layers = []descriptor{empty} // the specification wants one at least
	}
	data, err := json.Marshal(m)
	if err == nil && len(data) > MaxManifest {
		err = fmt.Errorf("manifest %s of %d files has %d bytes; registries take %d", tag, len(files), len(data), MaxManifest)
	}
	return data, err
}

// Decode reads the manifest of a tag: the files by path. What is wrong with it
// is a refusal as tampered. Layers without a title are others' and passed over.
func Decode(tag string, data []byte) (map[string]File, error) {
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, refuse(tag, "no manifest: %s", tuf.Printable(err.Error()))
	}
	if m.SchemaVersion != 2 || m.MediaType != ManifestType && m.MediaType != "" {
		return nil, refuse(tag, "not an image manifest but schema %d of type %.60q", m.SchemaVersion, m.MediaType)
	}
	files := make(map[string]File, len(m.Layers))
	for _, layer := range m.Layers {
		f, ok, err := layer.file(tag)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if _, twice := files[f.Path]; twice {
			return nil, refuse(tag, "%.200q is listed twice", f.Path)
		}
		files[f.Path] = f
	}
	return files, nil
}

func (d descriptor) file(tag string) (f File, titled bool, err error) {
	f.Path, titled = d.Annotations[titleKey]
	if !titled {
		return f, false, nil
	}
	sum, ok := strings.CutPrefix(d.Digest, "sha256:")
	switch {
	case f.Path == "." || !fs.ValidPath(f.Path) || strings.ContainsAny(f.Path, "\\\x00"):
		return f, true, refuse(tag, "%.200q is not a path of a repository", f.Path)
	case TagOf(f.Path) != tag:
		return f, true, refuse(tag, "%.200q belongs into %s", f.Path, TagOf(f.Path))
	case !ok || len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "":
		return f, true, refuse(tag, "%.200q has the digest %.100q; a sha256 is expected", f.Path, d.Digest)
	case d.Size < 0 || d.Size > maxSize:
		return f, true, refuse(tag, "%.200q has the size %d", f.Path, d.Size)
	}
	f.Size, f.SHA256 = d.Size, sum
	f.Modified, _ = time.Parse(time.RFC3339, d.Annotations[createdKey]) // informs only
	return f, true, nil
}

func refuse(tag, format string, args ...any) error {
	return tuf.Refuse(tuf.Tampered, "registry's manifest %s: "+format, append([]any{tag}, args...)...)
}
