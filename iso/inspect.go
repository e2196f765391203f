package iso

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"ashlar/iso/hybrid"
	"ashlar/iso/iso9660"
	"ashlar/iso/squashfs"
	"ashlar/iso/tree"
)

// Inspection is what an image says about itself and what it can be started by.
type Inspection struct {
	Schema   int            `json:"schema"` // 1
	Size     int64          `json:"size"`
	SHA256   string         `json:"sha256"`
	Volume   string         `json:"volume,omitempty"`
	Starts   []string       `json:"starts,omitempty"` // bios-cd, bios-disk, uefi-cd, uefi-disk
	Files    []InspectFile  `json:"files,omitempty"`  // of an ISO
	Root     *squashfs.Info `json:"root,omitempty"`   // of an ISO
	Manifest *Manifest      `json:"manifest"`
}

// InspectFile is a file on the medium.
type InspectFile struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// ErrNotOurs is the error for an ISO image that Build did not make.
var ErrNotOurs = errors.New("it has no " + ManifestName + ", so it is no image of this system")

// Inspect reads an image. What it finds is checked for form, not for trust: an
// image proves nothing about who made it. Of formats other than the ISO the
// manifest beside it speaks, and the image must be the one it names.
func Inspect(path string) (*Inspection, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var i *Inspection
	if format, ok := formatOfFile(path); ok && format.Name != "iso" {
		i, err = inspectBeside(path, format, info.Size())
	} else {
		i, err = inspect(f, info.Size())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	i.SHA256 = hex.EncodeToString(h.Sum(nil))
	if said := i.Manifest.Image; said != nil && said.SHA256 != i.SHA256 {
		return nil, fmt.Errorf("%s: it is not the image that its manifest names: sha256 %s, not %s", path, i.SHA256, said.SHA256)
	}
	return i, nil
}

func inspectBeside(path string, format Format, size int64) (*Inspection, error) {
	m, err := ReadManifest(manifestPath(path))
	if err != nil {
		return nil, err
	}
	i := &Inspection{Schema: 1, Size: size, Manifest: m}
	if format.Starts() {
		i.Starts = []string{"bios-disk", "uefi-disk"}
	}
	return i, nil
}

func inspect(r io.ReaderAt, size int64) (*Inspection, error) {
	v, err := iso9660.Open(r, size)
	if err != nil {
		return nil, err
	}
	i := &Inspection{Schema: 1, Size: size, Volume: v.ID}
	entries, err := v.Entries()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Kind == tree.File {
			i.Files = append(i.Files, InspectFile{e.Path, e.Size})
		}
	}
	text, err := content(entries, ManifestName, maxManifest)
	if err != nil {
		return nil, err
	}
	if i.Manifest, err = parseManifest(text); err != nil {
		return nil, err
	}
	if i.Root, err = rootInfo(entries); err != nil {
		return nil, err
	}
	i.Starts, err = starts(v, r, size)
	return i, err
}

// content returns a file of a medium.
func content(entries []tree.Entry, path string, limit int64) ([]byte, error) {
	for _, e := range entries {
		if e.Path != path || e.Kind != tree.File {
			continue
		}
		if e.Size > limit {
			return nil, fmt.Errorf("%s has %d bytes; it may have %d", path, e.Size, limit)
		}
		r, err := e.Open()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}
	return nil, ErrNotOurs
}

func rootInfo(entries []tree.Entry) (*squashfs.Info, error) {
	for _, e := range entries {
		if e.Path != rootPath || e.Kind != tree.File {
			continue
		}
		r, err := e.Open()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		head := make([]byte, 4096)
		n, err := io.ReadFull(r, head)
		if err != nil && err != io.ErrUnexpectedEOF {
			return nil, fmt.Errorf("%s: %w", rootPath, err)
		}
		info, err := squashfs.ReadInfo(&startOf{head[:n]}, e.Size)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", rootPath, err)
		}
		return info, nil
	}
	return nil, fmt.Errorf("it has no %s", rootPath)
}

// startOf reads from the first bytes of something longer.
type startOf struct{ b []byte }

func (s *startOf) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at > int64(len(s.b)) {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, s.b[at:])
	if n < len(p) {
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}

// starts lists the ways in which firmware can start the image.
func starts(v *iso9660.Volume, r io.ReaderAt, size int64) ([]string, error) {
	esp, espErr := hybrid.ReadESP(r, size)
	if espErr != nil && !errors.Is(espErr, hybrid.ErrNoTable) {
		return nil, espErr
	}
	list := []string{}
	for _, b := range v.Boot {
		switch b.Platform {
		case iso9660.BIOS:
			list = append(list, "bios-cd")
			record, core := make([]byte, 512), make([]byte, 4096)
			_, err := r.ReadAt(record, 0)
			_, coreErr := r.ReadAt(core, int64(b.Sector)*iso9660.SectorSize)
			if err == nil && coreErr == nil && hybrid.Patched(record, core, b.Sector) {
				list = append(list, "bios-disk")
			}
		case iso9660.EFI:
			list = append(list, "uefi-cd")
			if espErr == nil && esp.FirstSector == uint64(b.Sector)*(iso9660.SectorSize/512) {
				list = append(list, "uefi-disk")
			}
		}
	}
	return list, nil
}
