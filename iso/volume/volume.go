// Package volume tells file systems by their label: the disks that carry what a
// machine is to know, for its first start or for its installation.
//
// In: a block device. Out: the kind of its file system, as mount(2) calls it, its
// label, and its files, read from a mount that is gone afterwards. ISO 9660, FAT
// and ext are known. Nothing is ever written.
package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Volume is a file system on a device.
type Volume struct{ Device, Kind, Label string }

// Find returns the volumes whose label is one of labels, in whatever case. sys
// lists block devices (/sys/class/block), dev holds them (/dev).
func Find(sys, dev string, labels ...string) ([]Volume, error) {
	names, err := os.ReadDir(sys)
	if err != nil {
		return nil, fmt.Errorf("look for block devices: %w", err)
	}
	var found []Volume
	for _, n := range names {
		v := Volume{Device: filepath.Join(dev, n.Name())}
		v.Kind, v.Label = read(v.Device)
		for _, label := range labels {
			if strings.EqualFold(v.Label, label) {
				found = append(found, v)
				break
			}
		}
	}
	return found, nil
}

// read returns kind and label of what is on a device, "" if it is not known.
func read(device string) (kind, label string) {
	f, err := os.Open(device)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	at := func(offset int64, n int) string {
		b := make([]byte, n)
		if _, err := f.ReadAt(b, offset); err != nil {
			return ""
		}
		return strings.TrimRight(string(b), " \x00")
	}
	switch {
	case at(16*2048, 6) == "\x01CD001":
		return "iso9660", at(16*2048+40, 32)
	case at(54, 3) == "FAT":
		return "vfat", at(43, 11)
	case at(82, 5) == "FAT32":
		return "vfat", at(71, 11)
	case at(1024+0x38, 2) == "\x53\xef":
		return "ext4", at(1024+0x78, 16)
	}
	return "", ""
}

// Read calls take with the volume's files.
func (v Volume) Read(take func(fs.FS) error) (err error) {
	dir, err := os.MkdirTemp("", "ashlar-volume-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := unix.Mount(v.Device, dir, v.Kind, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount %s: %w", v.Device, err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, 0)) }()
	return take(os.DirFS(dir))
}
