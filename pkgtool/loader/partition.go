package loader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ashlar/pkgtool/fault"

	"golang.org/x/sys/unix"
)

// PartitionsPath lists the EFI system partitions of a system, one volume id
// (A1B2-C3D4) on a line: GRUB and what it reads are on each of them. A system
// without the file starts in some other way, and nothing here touches it.
const PartitionsPath = "etc/ashlar/esp"

// partitions reads the list; nil if there is none.
func partitions(root *os.Root) ([]string, error) {
	text, err := root.ReadFile(PartitionsPath)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return strings.Fields(string(text)), err
}

// VolumeID writes a FAT volume's id as blkid does.
func VolumeID(id uint32) string { return fmt.Sprintf("%04X-%04X", id>>16, id&0xffff) }

// volumeOf reads the id of a FAT volume, or "".
func volumeOf(device string) string {
	f, err := os.Open(device)
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, 512)
	if n, err := f.Read(b); err != nil || n < len(b) || b[510] != 0x55 || b[511] != 0xaa {
		return ""
	}
	for _, at := range []struct{ kind, id int }{{0x36, 0x27}, {0x52, 0x43}} { // FAT16, FAT32
		if string(b[at.kind:at.kind+3]) == "FAT" {
			return VolumeID(uint32(b[at.id]) | uint32(b[at.id+1])<<8 | uint32(b[at.id+2])<<16 | uint32(b[at.id+3])<<24)
		}
	}
	return ""
}

// errNoVolume is for an EFI system partition that is on no disk.
var errNoVolume = errors.New("no disk has the EFI system partition")

// findVolume returns the block device with a FAT volume.
func findVolume(id string) (string, error) {
	names, err := os.ReadDir("/sys/class/block")
	if err != nil {
		return "", err
	}
	for _, name := range names {
		device := "/dev/" + name.Name()
		if volumeOf(device) == strings.ToUpper(id) {
			return device, nil
		}
	}
	return "", fault.Mark(fmt.Errorf("%w %s", errNoVolume, id), fault.Failed, "/"+PartitionsPath+" lists those of this system, by the id that blkid shows")
}

// withPartition mounts an EFI system partition where nobody else sees it, and
// flushes and unmounts it after work.
func withPartition(id string, work func(dir string) error) (err error) {
	device, err := findVolume(id)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/run", "ashlar-esp-") // there is room in memory, whatever the disk has
	if errors.Is(err, os.ErrNotExist) {
		dir, err = os.MkdirTemp("", "ashlar-esp-")
	}
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	// Times have no owner here; what is written is flushed by us, not by each call.
	if err := unix.Mount(device, dir, "vfat", unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NOATIME, "umask=0077"); err != nil {
		return fault.Mark(fmt.Errorf("mount the EFI system partition %s: %w", device, err), fault.Failed, "only root may; the kernel needs the file system vfat")
	}
	defer func() {
		err = errors.Join(err, flush(dir))
		if e := unix.Unmount(dir, 0); e != nil {
			err = errors.Join(err, fmt.Errorf("unmount %s: %w", device, e))
		}
	}()
	return work(dir)
}

// flush writes everything of a file system to its disk.
func flush(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("flush %s: %w", dir, err)
	}
	return nil
}

// place writes a file under a temporary name, flushes it and renames it: FAT has
// no journal, and under its name a file is complete.
func place(dir, name string, content []byte) error {
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(path), "new.tmp")
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		os.Remove(temporary)
		return fmt.Errorf("write %s to the EFI system partition: %w", name, err)
	}
	return nil
}

// overwrite replaces the content of a file of the same size without changing
// where it lies, in one sector.
func overwrite(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	return errors.Join(err, f.Sync(), f.Close())
}
