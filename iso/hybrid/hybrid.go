package hybrid

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"unicode/utf16"
)

const (
	sectorSize    = 512
	perISOSector  = 4 // disk sectors in a sector of the ISO
	headSize      = 34 * sectorSize
	tailSize      = 33 * sectorSize
	align         = 1 << 20
	firstUsable   = 64 // after the ISO's system area
	entryCount    = 128
	entrySize     = 128
	headerSize    = 92
	bootCodeSize  = 440
	diskbootAt    = 432  // in the MBR: where GRUB's second stage lies
	coreAt        = 2548 // in eltorito.img: where the rest of the core lies
	minCore       = coreAt + 8
	typeProtected = 0xee
)

// GUID is a GUID in its on-disk byte order.
type GUID [16]byte

// typeESP is C12A7328-F81F-11D2-BA4B-00A0C93EC93B.
var typeESP = GUID{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}

var le = binary.LittleEndian

// NewGUID derives a GUID of version 8 (RFC 9562) from a name, so that the same
// image has the same identity at every build.
func NewGUID(name string) GUID {
	sum := sha256.Sum256([]byte("ashlar disk\x00" + name))
	g := GUID(sum[:16])
	g[7] = g[7]&0x0f | 0x80 // byte 7 on disk holds the version
	g[8] = g[8]&0x3f | 0x80
	return g
}

// Disk says what is where in the ISO.
type Disk struct {
	ISOSize    int64  // bytes, whole sectors
	BootCode   []byte // GRUB's boot_hybrid.img
	CoreSector uint32 // ISO sector of eltorito.img
	ESPSector  uint32 // ISO sector of the EFI system partition
	ESPSize    int64  // bytes
	ID         GUID   // of the disk; the partition's is derived
}

// Frame returns what goes before the ISO's own bytes from its sector 16 on
// (to be used as its system area), and what follows its end.
func (d Disk) Frame() (head, tail []byte, err error) {
	if d.ISOSize%(perISOSector*sectorSize) != 0 || d.ESPSize%sectorSize != 0 || d.ESPSize <= 0 {
		return nil, nil, fmt.Errorf("hybrid: sizes are not whole sectors")
	}
	if len(d.BootCode) < bootCodeSize {
		return nil, nil, fmt.Errorf("hybrid: boot code of %d bytes is not boot_hybrid.img", len(d.BootCode))
	}
	size := (d.ISOSize + tailSize + align - 1) / align * align
	sectors := uint64(size / sectorSize)
	first := uint64(d.ESPSector) * perISOSector
	last := first + uint64(d.ESPSize/sectorSize) - 1
	if first < firstUsable || last > sectors-tailSize/sectorSize-1 {
		return nil, nil, fmt.Errorf("hybrid: the system partition reaches outside the image")
	}
	entries := d.entries(first, last)
	tail = make([]byte, size-d.ISOSize)
	backup := tail[len(tail)-tailSize:]
	copy(backup, entries)
	copy(backup[len(entries):], d.header(sectors-1, 1, sectors-tailSize/sectorSize, sectors, entries))
	head = d.masterBootRecord(sectors)
	head = append(head, d.header(1, sectors-1, 2, sectors, entries)...)
	return append(head, entries...), tail, nil
}

func (d Disk) masterBootRecord(sectors uint64) []byte {
	b := make([]byte, sectorSize)
	copy(b[:bootCodeSize], d.BootCode)
	le.PutUint64(b[diskbootAt:], uint64(d.CoreSector)*perISOSector+4)
	const active = 0x80
	partition(b, 0, 0, typeProtected, 1, uint32(min(sectors-1, math.MaxUint32)))
	partition(b, 1, active, 0, 0, 1)
	b[510], b[511] = 0x55, 0xaa
	return b
}

func partition(b []byte, i int, status, kind byte, start, count uint32) {
	e := b[446+16*i:]
	e[0], e[4] = status, kind
	if kind == typeProtected { // addresses beyond what cylinders can say
		copy(e[1:], []byte{0x00, 0x02, 0x00})
		copy(e[5:], []byte{0xff, 0xff, 0xff})
	} else {
		copy(e[1:], []byte{0x00, 0x02, 0x00})
		copy(e[5:], []byte{0x00, 0x02, 0x00})
	}
	le.PutUint32(e[8:], start)
	le.PutUint32(e[12:], count)
}

func (d Disk) entries(first, last uint64) []byte {
	b := make([]byte, entryCount*entrySize)
	copy(b, typeESP[:])
	id := NewGUID(fmt.Sprintf("esp of %x", d.ID))
	copy(b[16:], id[:])
	le.PutUint64(b[32:], first)
	le.PutUint64(b[40:], last)
	for i, c := range utf16.Encode([]rune("EFI system partition")) {
		le.PutUint16(b[56+2*i:], c)
	}
	return b
}

func (d Disk) header(own, other, entriesAt, sectors uint64, entries []byte) []byte {
	b := make([]byte, sectorSize)
	copy(b, "EFI PART")
	le.PutUint32(b[8:], 0x10000) // revision 1.0
	le.PutUint32(b[12:], headerSize)
	le.PutUint64(b[24:], own)
	le.PutUint64(b[32:], other)
	le.PutUint64(b[40:], firstUsable)
	le.PutUint64(b[48:], sectors-tailSize/sectorSize-1)
	copy(b[56:], d.ID[:])
	le.PutUint64(b[72:], entriesAt)
	le.PutUint32(b[80:], entryCount)
	le.PutUint32(b[84:], entrySize)
	le.PutUint32(b[88:], crc32.ChecksumIEEE(entries))
	le.PutUint32(b[16:], crc32.ChecksumIEEE(b[:headerSize]))
	return b
}

// PatchCore tells GRUB's eltorito.img, which will lie at the given ISO sector,
// where the part lies that its first sectors load when it starts from a disk.
func PatchCore(image []byte, sector uint32) error {
	if len(image) < minCore {
		return fmt.Errorf("hybrid: an eltorito.img of %d bytes is not one of GRUB 2", len(image))
	}
	le.PutUint64(image[coreAt:], uint64(sector)*perISOSector+5)
	return nil
}
