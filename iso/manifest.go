package iso

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"ashlar/pkgtool/pkgfile"
)

// Manifest says what is in an image. It lies on the medium as the file that
// GRUB finds it by, and, with the image's own size and hash, beside the image.
type Manifest struct {
	Schema   int               `json:"schema"` // 1
	Name     string            `json:"name"`
	Summary  string            `json:"summary"`
	Format   string            `json:"format"`
	Volume   string            `json:"volume,omitempty"` // of a live system
	Epoch    int64             `json:"epoch"`            // time of the newest package, seconds since 1970
	Kernel   string            `json:"kernel,omitempty"`
	Cmdline  string            `json:"cmdline,omitempty"`
	Packages []ManifestPackage `json:"packages"` // of the live system
	Tools    []ManifestPackage `json:"tools"`    // that the image was made with
	Image    *ManifestImage    `json:"image,omitempty"`
}

// ManifestPackage is a package of an image. SHA256 is of the package's
// manifest, which covers its content.
type ManifestPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	SHA256  string `json:"sha256"`
}

// ManifestImage identifies the finished image.
type ManifestImage struct {
	File   string `json:"file"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// ManifestName is the manifest's path on the medium.
const ManifestName = ".ashlar-medium"

const maxManifest = 16 << 20

// ReadManifest reads the manifest of an image: the file itself (.json), or that
// of an image file.
func ReadManifest(path string) (*Manifest, error) {
	if filepath.Ext(path) != ".json" {
		i, err := Inspect(path)
		if err != nil {
			return nil, err
		}
		return i.Manifest, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxManifest {
		return nil, fmt.Errorf("%s has more than %d bytes, which no manifest of an image has", path, maxManifest)
	}
	m, err := parseManifest(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func (a *assembly) makeManifest() (*Manifest, error) {
	m := a.Image
	out := &Manifest{Schema: 1, Name: m.Name, Summary: m.Summary, Format: a.format.holds, Epoch: a.epoch}
	if a.format.live {
		out.Volume = m.Volume
	}
	if a.kernel != nil {
		out.Kernel, out.Cmdline = a.kernel.release(), m.Cmdline
	}
	var err error
	if out.Packages, err = manifestPackages(a.Packages); err != nil {
		return nil, err
	}
	out.Tools, err = manifestPackages(a.Tools)
	return out, err
}

func manifestPackages(packages []*pkgfile.Package) ([]ManifestPackage, error) {
	list := make([]ManifestPackage, 0, len(packages))
	for _, p := range sortedPackages(packages) {
		m := p.Manifest()
		evr, err := m.EVR()
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", m.Name, err)
		}
		list = append(list, ManifestPackage{m.Name, evr.String(), m.Arch, p.ManifestSHA256()})
	}
	return list, nil
}

// JSON returns the manifest as a text file.
func (m *Manifest) JSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(m)
	return b.Bytes(), err
}

// parseManifest reads a manifest from a medium, strictly.
func parseManifest(b []byte) (*Manifest, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	m := &Manifest{}
	if err := dec.Decode(m); err != nil {
		return nil, fmt.Errorf("manifest of the medium: %w", err)
	}
	if m.Schema != 1 {
		return nil, fmt.Errorf("manifest of the medium: schema %d is not known", m.Schema)
	}
	return m, nil
}
