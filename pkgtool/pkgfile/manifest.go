package pkgfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"ashlar/pkgtool/version"
)

// FormatVersion is the version of the package format written and read here.
const FormatVersion = 1

// MediaSuffix ends the name of a package file.
const MediaSuffix = ".ashlar"

// Manifest says everything about a package. Its canonical JSON (RFC 8785) is
// what is signed. In JSON a field is absent when it is zero or empty. The
// fields stand in the order of their JSON names, which makes encoding/json
// write the canonical order.
type Manifest struct {
	Arch          string     `json:"arch,omitempty"` // x86_64, noarch
	Conflicts     []string   `json:"conflicts,omitempty"`
	Description   string     `json:"description,omitempty"`
	Epoch         uint32     `json:"epoch,omitempty"`
	Files         []File     `json:"files,omitempty"` // sorted by path
	Format        int        `json:"format,omitempty"`
	Frames        []Frame    `json:"frames,omitempty"`
	Homepage      string     `json:"homepage,omitempty"`
	InstallOnly   bool       `json:"install_only,omitempty"`   // builds of other versions stay beside it: a kernel
	InstalledSize int64      `json:"installed_size,omitempty"` // sum of the files' sizes, in bytes
	License       string     `json:"license,omitempty"`
	Name          string     `json:"name,omitempty"`
	Provenance    Provenance `json:"provenance"`
	Provides      []string   `json:"provides,omitempty"` // these lists are sorted, without duplicates
	Recipe        string     `json:"recipe,omitempty"`
	Recommends    []string   `json:"recommends,omitempty"`
	Release       uint32     `json:"release,omitempty"`
	Replaces      []string   `json:"replaces,omitempty"`
	Requires      []string   `json:"requires,omitempty"`
	Summary       string     `json:"summary,omitempty"`
	Supplements   []string   `json:"supplements,omitempty"` // wanted wherever one of these is installed
	Triggers      []Trigger  `json:"triggers,omitempty"`    // sorted by name
	Upstream      string     `json:"upstream,omitempty"`
	Vendor        string     `json:"vendor,omitempty"`  // who makes the package
	Version       string     `json:"version,omitempty"` // semantic version, without epoch and release
}

// Frame is one zstd frame of the data behind the meta frame.
type Frame struct {
	Offset int64  `json:"offset,omitempty"` // of its first byte, from the end of the meta frame
	SHA256 string `json:"sha256,omitempty"` // of the compressed bytes
	Size   int64  `json:"size,omitempty"`   // compressed
	USize  int64  `json:"usize,omitempty"`  // uncompressed
}

// The types of a File.
const (
	TypeFile     = "file"
	TypeDir      = "dir"
	TypeSymlink  = "symlink"
	TypeHardlink = "hardlink"
)

// File is one path of a package. A hard link has only Path, Type and Target:
// everything else is its target's, which always stands earlier in the list.
type File struct {
	Config bool              `json:"config,omitempty"` // the administrator may edit it
	Frame  int               `json:"frame,omitempty"`  // where the content begins, if Size > 0
	Group  string            `json:"group,omitempty"`
	Mode   uint32            `json:"mode,omitempty"`   // permission, setuid, setgid and sticky bits; 0777 for symlinks
	Offset int64             `json:"offset,omitempty"` // of the content in that frame, uncompressed
	Owner  string            `json:"owner,omitempty"`
	Path   string            `json:"path,omitempty"`   // relative, clean: usr/bin/ls
	SHA256 string            `json:"sha256,omitempty"` // of the content, for every file, also an empty one
	Size   int64             `json:"size,omitempty"`
	Target string            `json:"target,omitempty"` // symlink: its text; hard link: a path of this package
	Type   string            `json:"type,omitempty"`
	Xattrs map[string][]byte `json:"xattrs,omitempty"`
}

// Provenance says where a package came from.
type Provenance struct {
	Action  string   `json:"action,omitempty"` // sha256 of everything the build could see
	Epoch   int64    `json:"epoch,omitempty"`  // SOURCE_DATE_EPOCH, and the time of every file
	Origin  string   `json:"origin,omitempty"` // source, seed or import
	Sources []Source `json:"sources,omitempty"`
}

// Source is one input of the build.
type Source struct {
	SHA256 string `json:"sha256,omitempty"`
	URI    string `json:"uri,omitempty"`
}

// EVR is the package's version with epoch and release.
func (m *Manifest) EVR() (version.Version, error) {
	return version.New(m.Epoch, m.Version, m.Release)
}

// FileName is the name the package file should have.
func (m *Manifest) FileName() string {
	return fmt.Sprintf("%s-%s-%d.%s%s", m.Name, m.Version, m.Release, m.Arch, MediaSuffix)
}

// File returns the entry with this path, or nil.
func (m *Manifest) File(path string) *File {
	i, ok := slices.BinarySearchFunc(m.Files, path, func(f File, path string) int {
		if f.Path < path {
			return -1
		} else if f.Path > path {
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &m.Files[i]
}

// encode returns the canonical JSON of a valid manifest. encoding/json with
// these structs is canonical except for U+2028 and U+2029, which validate
// refuses.
func (m *Manifest) encode() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// ParseManifest reads a manifest as [Package.ManifestBytes] returns it, with all
// the checks of Open. Its errors wrap ErrInvalid.
func ParseManifest(raw []byte) (*Manifest, error) {
	if len(raw) > maxManifest {
		return nil, invalid(fmt.Errorf("manifest: %d bytes, more than the %d allowed", len(raw), maxManifest))
	}
	m, err := decodeManifest(raw)
	if err != nil {
		return nil, invalid(err)
	}
	if err := m.validate(); err != nil {
		return nil, invalid(fmt.Errorf("manifest: %w", err))
	}
	return m, nil
}

// decodeManifest reads exactly what encode writes: what does not come out the
// same when encoded again (white space, order, unknown, duplicate or
// case-variant keys, other spellings of numbers and text) is refused.
func decodeManifest(raw []byte) (*Manifest, error) {
	if m := decodeFast(raw); m != nil {
		if again, err := m.encode(); err == nil && bytes.Equal(raw, again) {
			return m, nil
		}
	}
	m := &Manifest{}
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	again, err := m.encode()
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if !bytes.Equal(raw, again) {
		return nil, errors.New("manifest: not in canonical form")
	}
	return m, nil
}
