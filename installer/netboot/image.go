package netboot

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"ashlar/iso"
	"ashlar/pkgtool/fault"
)

// Image is an opened image of the format netboot. Close it.
type Image struct {
	Summary string
	Cmdline string // of the kernel
	f       *os.File
	files   map[string]section
	efi     []byte // GRUB for UEFI, nil if the image has none
	changed time.Time
}

// section is where a file lies in the image.
type section struct{ at, size int64 }

// maxSmall bounds what is held in memory: the boot loaders and the manifest.
const maxSmall = 16 << 20

// required are the files that every image has.
var required = []string{"vmlinuz", "initrd.img", "root.img"}

// OpenImage opens a tar of the format netboot, as `pkgtool image build` makes
// it. The files are served from where they lie in it.
func OpenImage(path string) (_ *Image, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	i := &Image{f: f, files: map[string]section{}}
	defer func() {
		if err != nil {
			f.Close()
			err = fault.Mark(fmt.Errorf("%s: %w", path, err), fault.Usage, "make an image with: pkgtool image build NAME --format netboot")
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	i.changed = info.ModTime()
	in := tar.NewReader(f)
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("it is no tar: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if at+h.Size > info.Size() {
			return nil, errors.New("it is cut off")
		}
		i.files[h.Name] = section{at, h.Size}
	}
	for _, name := range required {
		if _, ok := i.files[name]; !ok {
			return nil, fmt.Errorf("it has no %s, so it is no image of the format netboot", name)
		}
	}
	return i, i.read()
}

func (i *Image) read() error {
	text, err := i.small("manifest.json")
	if err != nil {
		return err
	}
	var m iso.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("manifest.json: %w", err)
	}
	i.Summary, i.Cmdline = m.Summary, m.Cmdline
	if _, ok := i.files[loaderEFI]; ok {
		i.efi, err = i.small(loaderEFI)
		if err == nil && placeIn(i.efi) < 0 {
			err = fmt.Errorf("%s has no place for its settings; build the image again", loaderEFI)
		}
	}
	return err
}

func (i *Image) small(name string) ([]byte, error) {
	s, ok := i.files[name]
	if !ok {
		return nil, fmt.Errorf("it has no %s", name)
	}
	if s.size > maxSmall {
		return nil, fmt.Errorf("%s has %d bytes; it may have %d", name, s.size, maxSmall)
	}
	return io.ReadAll(io.NewSectionReader(i.f, s.at, s.size))
}

// Has says whether the image has a file.
func (i *Image) Has(name string) bool { _, ok := i.files[name]; return ok }

// open returns a file of the image, or nil.
func (i *Image) open(name string) *io.SectionReader {
	s, ok := i.files[name]
	if !ok {
		return nil
	}
	return io.NewSectionReader(i.f, s.at, s.size)
}

// Close closes the image.
func (i *Image) Close() error { return i.f.Close() }

// The boot loaders in an image, from the package grub.
const (
	loaderEFI  = "network.efi" // for UEFI, by TFTP and HTTP
	loaderBIOS = "network.0"   // for the PXE of a BIOS, by TFTP
)

// place is where GRUB's own settings have room for ours: a line that sets a
// variable to a row of #.
var place = []byte("set ashlar_network=" + "################################")

// placeIn returns where the row of # begins, with the words before it.
func placeIn(loader []byte) int { return bytes.Index(loader, place) }

// loaderFor returns the UEFI boot loader with commands in the place that it has
// for them. Nothing else of it changes.
func (i *Image) loaderFor(commands string) ([]byte, error) {
	if i.efi == nil {
		return nil, errors.New("the image has no boot loader for UEFI")
	}
	at := placeIn(i.efi)
	end := at + len("set ashlar_network=")
	for end < len(i.efi) && i.efi[end] == '#' {
		end++
	}
	if len(commands) > end-at {
		return nil, fmt.Errorf("the boot loader has room for %d characters of settings, and they have %d", end-at, len(commands))
	}
	changed := bytes.Clone(i.efi)
	copy(changed[at:end], commands)
	for j := at + len(commands); j < end; j++ {
		changed[j] = '\n'
	}
	return changed, nil
}
