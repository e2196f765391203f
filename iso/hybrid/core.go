package hybrid

import "fmt"

// The places of GRUB 2's boot.img and diskboot.img that name the next stage,
// from its include/grub/i386/pc/boot.h.
const (
	bootKernelSector = 0x5c // 8 bytes: first sector of the core image
	bootDriveCheck   = 0x66 // 2 bytes: a jump that NOPs turn off, as grub-install does on hard disks
	coreListSector   = 0x1f4
	coreListLength   = 0x1fc
)

// BootRecord returns the first bytes of a disk's boot record: GRUB's boot.img
// prepared to load the core image that starts at sector coreStart.
func BootRecord(bootImage []byte, coreStart uint64) ([]byte, error) {
	if len(bootImage) != sectorSize {
		return nil, fmt.Errorf("boot.img has %d bytes, not %d; the grub package is damaged", len(bootImage), sectorSize)
	}
	record := append([]byte(nil), bootImage[:bootCodeSize]...)
	le.PutUint64(record[bootKernelSector:], coreStart)
	record[bootDriveCheck], record[bootDriveCheck+1] = 0x90, 0x90
	return record, nil
}

// CoreImage returns GRUB's core.img prepared to load its own remainder, which
// follows it from sector coreStart on. It must fit into room bytes.
func CoreImage(core []byte, coreStart uint64, room int64) ([]byte, error) {
	if len(core) <= sectorSize || int64(len(core)) > room {
		return nil, fmt.Errorf("core.img has %d bytes; it must have more than %d and fit into %d", len(core), sectorSize, room)
	}
	sectors := (len(core) + sectorSize - 1) / sectorSize
	image := make([]byte, sectors*sectorSize)
	copy(image, core)
	le.PutUint64(image[coreListSector:], coreStart+1)
	le.PutUint16(image[coreListLength:], uint16(sectors-1))
	return image, nil
}
