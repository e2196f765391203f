package installer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// bootMenu is where the boot loader looks for its configuration.
	bootMenu = "boot/grub/grub.cfg"
	// bootMarker tells the boot loader which file system is ours.
	bootMarker = ".ashlar-medium"

	sectorSize = 512
	mbrCode    = 440 // bytes of boot code before the disk signature
)

// The places of GRUB 2's boot.img and diskboot.img that name the next stage,
// from its include/grub/i386/pc/boot.h.
const (
	bootKernelSector = 0x5c // 8 bytes: first sector of the core image
	bootDriveCheck   = 0x66 // 2 bytes: a jump that NOPs turn off, as grub-install does on hard disks
	coreListSector   = 0x1f4
	coreListLength   = 0x1fc
)

// menu returns the boot loader's configuration for one installed kernel.
func menu(kernel, rootUUID, cmdline string) string {
	var b strings.Builder
	b.WriteString("set timeout=2\nset default=0\n")
	b.WriteString("serial --unit=0 --speed=115200\n")
	b.WriteString("terminal_input console serial\nterminal_output console serial\n")
	fmt.Fprintf(&b, "menuentry 'Ashlar' {\n\tlinux /%s root=PARTUUID=%s rootwait rw %s\n}\n",
		kernel, strings.ToLower(rootUUID), cmdline)
	return b.String()
}

// bootRecord returns GRUB's boot.img prepared to load the core image that
// starts at sector coreStart of the same disk.
func bootRecord(bootImage []byte, coreStart uint64) ([]byte, error) {
	if len(bootImage) != sectorSize {
		return nil, fmt.Errorf("boot.img has %d bytes, not %d; the grub package is damaged", len(bootImage), sectorSize)
	}
	record := append([]byte(nil), bootImage[:mbrCode]...)
	binary.LittleEndian.PutUint64(record[bootKernelSector:], coreStart)
	record[bootDriveCheck], record[bootDriveCheck+1] = 0x90, 0x90
	return record, nil
}

// coreImage returns GRUB's core.img prepared to load its own remainder, which
// follows it from sector coreStart on. It must fit into room bytes.
func coreImage(core []byte, coreStart uint64, room int64) ([]byte, error) {
	if len(core) <= sectorSize || int64(len(core)) > room {
		return nil, fmt.Errorf("core.img has %d bytes; it must have more than %d and fit into %d", len(core), sectorSize, room)
	}
	sectors := (len(core) + sectorSize - 1) / sectorSize
	image := make([]byte, sectors*sectorSize)
	copy(image, core)
	binary.LittleEndian.PutUint64(image[coreListSector:], coreStart+1)
	binary.LittleEndian.PutUint16(image[coreListLength:], uint16(sectors-1))
	return image, nil
}

// diskWriter is the part of *os.File that writing boot code needs.
type diskWriter interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// writeBIOSBoot makes the disk start with BIOS: the core image into its
// partition first, the boot record last.
func writeBIOSBoot(disk diskWriter, bootImage, core []byte, at Partition) error {
	start := uint64(at.Start / sectorSize)
	image, err := coreImage(core, start, at.Size)
	if err != nil {
		return err
	}
	record, err := bootRecord(bootImage, start)
	if err != nil {
		return err
	}
	if _, err := disk.WriteAt(image, at.Start); err != nil {
		return fmt.Errorf("write core.img: %w", err)
	}
	if err := disk.Sync(); err != nil {
		return fmt.Errorf("flush core.img: %w", err)
	}
	if _, err := disk.WriteAt(record, 0); err != nil {
		return fmt.Errorf("write the boot record: %w", err)
	}
	back := make([]byte, len(image))
	if _, err := disk.ReadAt(back, at.Start); err != nil || string(back) != string(image) {
		return errors.Join(errors.New("core.img does not read back as written; the disk is failing"), err)
	}
	return disk.Sync()
}
