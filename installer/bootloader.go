package installer

import (
	"errors"
	"fmt"
	"io"

	"ashlar/iso/hybrid"
)

const sectorSize = 512

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
	image, err := hybrid.CoreImage(core, start, at.Size)
	if err != nil {
		return err
	}
	record, err := hybrid.BootRecord(bootImage, start)
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
