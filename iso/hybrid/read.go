package hybrid

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// ErrNoTable is the error for a disk without a sound GUID partition table.
var ErrNoTable = errors.New("no sound GUID partition table")

// Partition is the EFI system partition of a disk.
type Partition struct {
	FirstSector uint64 // of 512 bytes
	Sectors     uint64
}

// ReadESP returns the first EFI system partition of a disk image of size bytes.
// Both copies of the table must be sound and agree.
func ReadESP(r io.ReaderAt, size int64) (*Partition, error) {
	if size < headSize+tailSize || size%sectorSize != 0 {
		return nil, ErrNoTable
	}
	sectors := uint64(size / sectorSize)
	entries, err := readTable(r, 1, 2, sectors)
	if err != nil {
		return nil, err
	}
	backup, err := readTable(r, sectors-1, sectors-tailSize/sectorSize, sectors)
	if err != nil {
		return nil, fmt.Errorf("backup table: %w", err)
	}
	if !bytes.Equal(entries, backup) {
		return nil, fmt.Errorf("%w: its two copies differ", ErrNoTable)
	}
	for e := entries; len(e) >= entrySize; e = e[entrySize:] {
		if GUID(e[:16]) != typeESP {
			continue
		}
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if first < firstUsable || last < first || last >= sectors {
			return nil, fmt.Errorf("%w: the system partition lies outside the disk", ErrNoTable)
		}
		return &Partition{first, last - first + 1}, nil
	}
	return nil, fmt.Errorf("%w: it has no EFI system partition", ErrNoTable)
}

// readTable reads and checks one copy of the table as this package writes it.
func readTable(r io.ReaderAt, headerAt, entriesAt, sectors uint64) ([]byte, error) {
	h := make([]byte, sectorSize)
	if _, err := r.ReadAt(h, int64(headerAt*sectorSize)); err != nil {
		return nil, fmt.Errorf("read partition table: %w", err)
	}
	sum := le.Uint32(h[16:])
	le.PutUint32(h[16:], 0)
	sound := bytes.HasPrefix(h, []byte("EFI PART")) && le.Uint32(h[12:]) == headerSize && crc32.ChecksumIEEE(h[:headerSize]) == sum &&
		le.Uint64(h[24:]) == headerAt && le.Uint64(h[32:]) == sectors-headerAt && le.Uint64(h[72:]) == entriesAt &&
		le.Uint32(h[80:]) == entryCount && le.Uint32(h[84:]) == entrySize
	if !sound {
		return nil, ErrNoTable
	}
	entries := make([]byte, entryCount*entrySize)
	if _, err := r.ReadAt(entries, int64(entriesAt*sectorSize)); err != nil {
		return nil, fmt.Errorf("read partition table: %w", err)
	}
	if crc32.ChecksumIEEE(entries) != le.Uint32(h[88:]) {
		return nil, fmt.Errorf("%w: wrong checksum of its entries", ErrNoTable)
	}
	return entries, nil
}

// Patched reports whether boot record and core point at each other, for a core
// at the given ISO sector.
func Patched(bootRecord, core []byte, sector uint32) bool {
	return len(bootRecord) >= sectorSize && len(core) >= minCore &&
		le.Uint64(bootRecord[diskbootAt:]) == uint64(sector)*perISOSector+4 &&
		le.Uint64(core[coreAt:]) == uint64(sector)*perISOSector+5
}
