package iso9660

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"ashlar/iso/tree"
)

// SectorSize is the unit of every place in an image.
const SectorSize = 2048

// SystemAreaSize is what the standard leaves free at the start of an image;
// partition tables and boot code live there.
const SystemAreaSize = 16 * SectorSize

const (
	maxExtent     = math.MaxUint32 &^ (SectorSize - 1) // longest extent of whole sectors
	maxFolders    = math.MaxUint16                     // the path table numbers them with 16 bits
	maxLinkTarget = 1024                               // keeps every record's continuation within one sector
	maxBootImage  = 64 << 20

	volumeSector  = 16
	bootSector    = 17
	endSector     = 18
	catalogSector = 19
	firstFree     = 20
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// Platform is the firmware that a boot entry is for.
type Platform byte

// The platforms of El Torito.
const (
	BIOS Platform = 0
	EFI  Platform = 0xef
)

// Boot is an El Torito boot entry without emulation.
type Boot struct {
	Path          string // of the boot image in the tree
	Platform      Platform
	LoadSectors   uint16 // of 512 bytes; 0 is the whole image
	BootInfoTable bool   // write the table that GRUB and isolinux read at byte 8
	// Patch, if set, changes the image's content, given its first sector.
	Patch func(content []byte, sector uint32) error
}

// Options of an image.
type Options struct {
	VolumeID    string // 1 to 32 characters of A-Z, 0-9 and _
	Publisher   string
	Application string
	Time        time.Time
	Boot        []Boot
}

// record is a file, link or folder with its place.
type record struct {
	*tree.Node
	name     string // the ISO 9660 identifier; the true name is in Rock Ridge
	parent   *record
	children []*record
	number   uint16 // of a folder, in the path table
	inode    uint32
	sector   uint32
	length   uint32 // of a folder's records, in bytes
	boot     *Boot
}

// Image is an image whose layout is decided.
type Image struct {
	opt       Options
	root      *record
	folders   []*record // in path table order
	files     []*record // in the order of their content
	byPath    map[string]*record
	pathTable int // bytes
	tables    [2]uint32
	sectors   uint32
}

// New checks entries and lays the image out.
func New(entries []tree.Entry, opt Options) (*Image, error) {
	if err := checkVolumeID(opt.VolumeID); err != nil {
		return nil, err
	}
	t, err := tree.Of(entries)
	if err != nil {
		return nil, err
	}
	m := &Image{opt: opt, byPath: map[string]*record{}}
	if err := m.addRecords(t); err != nil {
		return nil, fmt.Errorf("iso9660: %w", err)
	}
	if err := m.addBoot(); err != nil {
		return nil, fmt.Errorf("iso9660: %w", err)
	}
	if err := m.place(); err != nil {
		return nil, fmt.Errorf("iso9660: %w", err)
	}
	return m, nil
}

func checkVolumeID(id string) error {
	bad := strings.IndexFunc(id, func(c rune) bool {
		return (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_'
	})
	if id == "" || len(id) > 32 || bad >= 0 {
		return fmt.Errorf("iso9660: volume id %q is not of 1 to 32 characters A-Z, 0-9 and _", id)
	}
	return nil
}

func (m *Image) addRecords(t *tree.Tree) error {
	for i, n := range t.Nodes {
		switch {
		case n.Kind == tree.Symlink && len(n.Target) > maxLinkTarget:
			return fmt.Errorf("%s: link target longer than %d bytes", n.Path, maxLinkTarget)
		case n.Kind != tree.File && n.Kind != tree.Dir && n.Kind != tree.Symlink && n.Kind != tree.HardLink:
			return fmt.Errorf("%s: devices have no place on this medium", n.Path)
		case len(n.Xattrs) > 0:
			return fmt.Errorf("%s: extended attributes have no place on this medium", n.Path)
		}
		r := &record{Node: n, inode: uint32(i + 1)}
		m.byPath[n.Path] = r
		if n == t.Root {
			m.root, r.parent = r, r
			continue
		}
		r.parent = m.byPath[n.Parent.Path]
		r.parent.children = append(r.parent.children, r)
		if n.Kind == tree.File {
			m.files = append(m.files, r)
		}
	}
	for queue := []*record{m.root}; len(queue) > 0; queue = queue[1:] { // breadth first
		d := queue[0]
		if err := d.nameChildren(); err != nil {
			return err
		}
		m.folders = append(m.folders, d)
		if len(m.folders) > maxFolders {
			return fmt.Errorf("more than %d folders", maxFolders)
		}
		d.number = uint16(len(m.folders))
		for _, c := range d.children {
			if c.IsDir() {
				queue = append(queue, c)
			}
		}
	}
	return nil
}

func (m *Image) addBoot() error {
	for i := range m.opt.Boot {
		b := &m.opt.Boot[i]
		r := m.byPath[b.Path]
		if r == nil || r.Kind != tree.File {
			return fmt.Errorf("boot image %s is not a file of the tree", b.Path)
		}
		patched := b.BootInfoTable || b.Patch != nil
		if patched && (r.Size > maxBootImage || r.Size < 64) {
			return fmt.Errorf("boot image %s has %d bytes; one to be patched has 64 bytes to %d", b.Path, r.Size, maxBootImage)
		}
		r.boot = b
	}
	if len(m.opt.Boot) > maxBootEntries {
		return fmt.Errorf("more than %d boot entries", maxBootEntries)
	}
	return nil
}

// place gives every table, folder and file its sectors.
func (m *Image) place() error {
	next := uint64(firstFree)
	take := func(bytes int64) uint32 {
		at := next
		next += sectorsOf(bytes)
		return uint32(at)
	}
	for _, d := range m.folders {
		m.pathTable += len(pathTableRecord(d, le))
	}
	for i := range m.tables {
		m.tables[i] = take(int64(m.pathTable))
	}
	for _, d := range m.folders { // sizes do not depend on places
		records, continued := m.folder(d)
		d.length = uint32(len(records))
		d.sector = take(int64(len(records) + len(continued)))
	}
	for _, f := range m.files {
		f.sector = take(f.Size)
		if next > math.MaxUint32 {
			return fmt.Errorf("%s: the image is larger than the format can address", f.Path)
		}
	}
	m.sectors = uint32(next)
	for _, r := range m.byPath { // a hard link is another record of the same extent
		if r.Link != nil {
			file := m.byPath[r.Link.Path]
			r.sector, r.inode = file.sector, file.inode
		}
	}
	return nil
}

func sectorsOf(bytes int64) uint64 { return uint64(bytes+SectorSize-1) / SectorSize }

// Size returns the image's size in bytes.
func (m *Image) Size() int64 { return int64(m.sectors) * SectorSize }

// Place returns the first sector and the size in bytes of a file.
func (m *Image) Place(path string) (sector uint32, size int64, ok bool) {
	r := m.byPath[path]
	if r == nil || r.Kind != tree.File {
		return 0, 0, false
	}
	return r.sector, r.Size, true
}
