package iso9660

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"ashlar/iso/tree"
)

// Limits of what is read. Our images are far below; a hostile one ends here.
const (
	maxReadFolder   = 16 << 20
	maxReadEntries  = 1 << 20
	maxReadDepth    = 256
	maxContinuation = 32
)

// ErrFormat is in every error about content that is not an image as this
// package writes it.
var ErrFormat = errors.New("not a sound ISO 9660 image")

// BootImage is an entry of an image's boot catalog.
type BootImage struct {
	Platform    Platform
	Sector      uint32
	LoadSectors uint16 // of 512 bytes; 0 is to the end
}

// Volume is an image opened for reading.
type Volume struct {
	ID          string
	Publisher   string
	Application string
	Sectors     uint32
	Boot        []BootImage

	r    io.ReaderAt
	size int64
	root extent
}

// Open reads an image's descriptors and boot catalog. size is the size of r in
// bytes, which may exceed the volume's.
func Open(r io.ReaderAt, size int64) (*Volume, error) {
	v := &Volume{r: r, size: size}
	if err := v.readDescriptors(); err != nil {
		return nil, fmt.Errorf("iso9660: %w", err)
	}
	return v, nil
}

func (v *Volume) readDescriptors() error {
	primary, err := v.sectors(volumeSector, SectorSize)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(primary, []byte("\x01CD001\x01")) {
		return fmt.Errorf("%w: no primary volume descriptor", ErrFormat)
	}
	v.ID = strings.TrimRight(string(primary[40:72]), " ")
	v.Publisher = strings.TrimRight(string(primary[318:446]), " ")
	v.Application = strings.TrimRight(string(primary[574:702]), " ")
	v.Sectors = le.Uint32(primary[80:])
	if int64(v.Sectors)*SectorSize > v.size {
		return fmt.Errorf("%w: it says %d sectors and ends after %d", ErrFormat, v.Sectors, v.size/SectorSize)
	}
	v.root = extent{le.Uint32(primary[158:]), le.Uint32(primary[166:])}
	boot, err := v.sectors(bootSector, SectorSize)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(boot, []byte("\x00CD001\x01"+elTorito)) {
		return nil
	}
	catalog, err := v.sectors(le.Uint32(boot[71:]), SectorSize)
	if err != nil {
		return err
	}
	return v.readCatalog(catalog)
}

func (v *Volume) readCatalog(catalog []byte) error {
	entry := func(i int) []byte { return catalog[i*catalogEntry:][:catalogEntry] }
	first := entry(0)
	if first[0] != 1 || first[30] != 0x55 || first[31] != 0xaa {
		return fmt.Errorf("%w: the boot catalog has no validation entry", ErrFormat)
	}
	add := func(e []byte, platform byte) {
		if e[0] == bootable {
			v.Boot = append(v.Boot, BootImage{Platform(platform), le.Uint32(e[8:]), le.Uint16(e[6:])})
		}
	}
	add(entry(1), first[1])
	const entries = SectorSize / catalogEntry
	for i := 2; i < entries && (entry(i)[0] == sectionHead || entry(i)[0] == lastSection); {
		head := entry(i)
		count := int(le.Uint16(head[2:]))
		if i+1+count > entries {
			return fmt.Errorf("%w: the boot catalog goes beyond its sector", ErrFormat)
		}
		for j := range count {
			add(entry(i+1+j), head[1])
		}
		i += 1 + count
		if head[0] == lastSection {
			break
		}
	}
	return nil
}

// sectors reads n bytes from a sector on.
func (v *Volume) sectors(sector uint32, n int64) ([]byte, error) {
	at := int64(sector) * SectorSize
	if n < 0 || at+n > v.size {
		return nil, fmt.Errorf("%w: sector %d and %d bytes reach beyond its end", ErrFormat, sector, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(v.r, at, n), b); err != nil {
		return nil, fmt.Errorf("read sector %d: %w", sector, err)
	}
	return b, nil
}

// Entries lists everything in the image. Two names of one extent come as two
// files; content is read when opened.
func (v *Volume) Entries() ([]tree.Entry, error) {
	w := &walk{v: v, folders: map[uint32]bool{}}
	if err := w.folder(".", v.root, 0); err != nil {
		return nil, fmt.Errorf("iso9660: %w", err)
	}
	return w.entries, nil
}

type walk struct {
	v       *Volume
	folders map[uint32]bool // first sectors seen: a folder within itself ends here
	entries []tree.Entry
}

// found is a directory record as it is read.
type found struct {
	extent
	flags   byte
	name    string
	entry   tree.Entry
	special bool // "." or ".."
}

func (w *walk) folder(path string, at extent, depth int) error {
	if depth > maxReadDepth || at.length > maxReadFolder || w.folders[at.sector] {
		return fmt.Errorf("%w: folder %q is too deep, too large or contains itself", ErrFormat, path)
	}
	w.folders[at.sector] = true
	b, err := w.v.sectors(at.sector, int64(at.length))
	if err != nil {
		return err
	}
	var parts []extent // of a file with several extents
	for off := 0; off < len(b); {
		length := int(b[off])
		rest := SectorSize - off%SectorSize
		if length == 0 { // no further record in this sector
			off += rest
			continue
		}
		if length < 34 || length > rest || length > len(b)-off {
			return fmt.Errorf("%w: broken record in folder %q", ErrFormat, path)
		}
		f, err := w.v.record(b[off : off+length])
		if err != nil {
			return err
		}
		off += length
		if f.special {
			if path == "." && len(w.entries) == 0 {
				f.entry.Path, f.entry.Kind = ".", tree.Dir
				w.entries = append(w.entries, f.entry)
			}
			continue
		}
		parts = append(parts, f.extent)
		if f.flags&flagMore != 0 {
			continue
		}
		if err := w.add(path, f, parts, depth); err != nil {
			return err
		}
		parts = nil
	}
	return nil
}

func (w *walk) add(folder string, f *found, parts []extent, depth int) error {
	if len(w.entries) >= maxReadEntries {
		return fmt.Errorf("%w: more than %d entries", ErrFormat, maxReadEntries)
	}
	if f.name == "" || f.name == "." || f.name == ".." || strings.ContainsAny(f.name, "/\x00") {
		return fmt.Errorf("%w: impossible name %q in folder %q", ErrFormat, f.name, folder)
	}
	e := f.entry
	e.Path = f.name
	if folder != "." {
		e.Path = folder + "/" + f.name
	}
	if len(e.Path) > tree.MaxPath {
		return fmt.Errorf("%w: path longer than %d bytes", ErrFormat, tree.MaxPath)
	}
	switch {
	case f.flags&flagDir != 0:
		e.Kind = tree.Dir
		w.entries = append(w.entries, e)
		return w.folder(e.Path, f.extent, depth+1)
	case e.Target != "":
		e.Kind = tree.Symlink
	default:
		for i, p := range parts {
			if i > 0 && int64(p.sector) != int64(parts[i-1].sector)+int64(sectorsOf(int64(parts[i-1].length))) {
				return fmt.Errorf("%w: the extents of %q do not follow each other", ErrFormat, e.Path)
			}
			e.Size += int64(p.length)
		}
		start := int64(parts[0].sector) * SectorSize
		if start+e.Size > w.v.size {
			return fmt.Errorf("%w: %q reaches beyond its end", ErrFormat, e.Path)
		}
		r, size := w.v.r, e.Size
		e.Open = func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(r, start, size)), nil }
	}
	w.entries = append(w.entries, e)
	return nil
}

// record reads one directory record with its Rock Ridge fields.
func (v *Volume) record(b []byte) (*found, error) {
	f := &found{extent: extent{le.Uint32(b[2:]), le.Uint32(b[10:])}, flags: b[25]}
	idLength := int(b[32])
	head := 33 + idLength
	head += head % 2
	if head > len(b) {
		return nil, fmt.Errorf("%w: a name longer than its record", ErrFormat)
	}
	f.name = string(b[33 : 33+idLength])
	f.special = f.name == "\x00" || f.name == "\x01"
	f.entry.Perm = 0o555
	f.entry.ModTime = readTime(b[18:25])
	n := &fields{found: f}
	area := b[head:]
	for range maxContinuation {
		next, err := n.read(area)
		if err != nil {
			return nil, err
		}
		if next == nil {
			return f, n.finish()
		}
		if next.offset > SectorSize || next.length > SectorSize-next.offset {
			return nil, fmt.Errorf("%w: a continuation area beyond its sector", ErrFormat)
		}
		sector, err := v.sectors(next.sector, SectorSize)
		if err != nil {
			return nil, err
		}
		area = sector[next.offset:][:next.length]
	}
	return nil, fmt.Errorf("%w: too many continuation areas", ErrFormat)
}

// readTime reads a record's time; the time zone byte is always 0 in our images
// and not looked at.
func readTime(b []byte) int64 {
	return time.Date(1900+int(b[0]), time.Month(b[1]), int(b[2]), int(b[3]), int(b[4]), int(b[5]), 0, time.UTC).Unix()
}

// ReadFile returns the content of one file of at most limit bytes.
func (v *Volume) ReadFile(path string, limit int64) ([]byte, error) {
	entries, err := v.Entries()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Path != path || e.Kind != tree.File {
			continue
		}
		if e.Size > min(limit, math.MaxInt32) {
			return nil, fmt.Errorf("iso9660: %s has %d bytes, more than the %d allowed", path, e.Size, limit)
		}
		r, err := e.Open()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}
	return nil, fmt.Errorf("iso9660: there is no file %s in it", path)
}
