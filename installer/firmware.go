package installer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"ashlar/installer/bootorder"
	"ashlar/pkgtool/loader"
	"ashlar/signing/secureboot"

	"github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// What an installation does to the order in which UEFI firmware tries what it can
// start.
const (
	firmwareFirst = "first" // the installed system is first
	firmwareAdd   = "add"   // it is last
	firmwareKeep  = "keep"  // nothing is changed; firmware finds it as it finds any disk
)

var firmwareChoices = []string{firmwareFirst, firmwareAdd, firmwareKeep}

// partitionIDs are the GUIDs of the partitions on the disks that will be
// overwritten.
func partitionIDs(disks []Disk) (ids []uuid.UUID) {
	for _, d := range disks {
		f, err := os.Open(d.Path)
		if err != nil {
			continue
		}
		if table, err := gpt.Read(f, sectorSize, sectorSize); err == nil {
			for _, part := range table.Partitions {
				if id, err := uuid.Parse(part.GUID); err == nil && part.Type != gpt.Unused {
					ids = append(ids, id)
				}
			}
		}
		f.Close()
	}
	return ids
}

// setBootOrder tells UEFI firmware of the installed disks. gone are partitions
// that are no more. A machine that was started by a BIOS has nothing to be told.
func setBootOrder(p *Plan, gone []uuid.UUID) (err error) {
	if p.Firmware == firmwareKeep {
		return nil
	}
	if _, err := os.Stat("/sys/firmware/efi"); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	release, err := showVariables(secureboot.VariablesDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	var targets []bootorder.Target
	for i, d := range p.Disks {
		t, err := bootTarget(d, p.Partition("esp").Number)
		if err != nil {
			return fmt.Errorf("%s: %w", d.Path, err)
		}
		if i > 0 {
			t.Title += fmt.Sprintf(", disk %d", i+1)
		}
		targets = append(targets, t)
	}
	order, err := bootorder.Read(secureboot.VariablesDir)
	if err != nil {
		return err
	}
	if p.Firmware == "" && order.FromNetwork() {
		return nil
	}
	return order.Add(targets, p.Firmware != firmwareAdd, gone)
}

// bootTarget is the boot loader on the EFI system partition of a disk.
func bootTarget(d Disk, number int) (t bootorder.Target, err error) {
	f, err := os.Open(d.Path)
	if err != nil {
		return t, err
	}
	defer f.Close()
	table, err := gpt.Read(f, sectorSize, sectorSize)
	if err != nil {
		return t, err
	}
	for _, part := range table.Partitions {
		if part.Index == number {
			t = bootorder.Target{Title: "Ashlar", Number: uint32(number), Start: part.Start, Size: part.End - part.Start + 1, Path: loader.LoaderPath}
			t.Partition, err = uuid.Parse(part.GUID)
			return t, err
		}
	}
	return t, fmt.Errorf("there is no partition %d", number)
}

// showVariables makes the firmware's variables visible, where no systemd has done
// it.
func showVariables(dir string) (release func() error, err error) {
	nothing := func() error { return nil }
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		return nothing, err
	}
	if err := unix.Mount("efivarfs", dir, "efivarfs", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, ""); err != nil {
		return nothing, fmt.Errorf("show the firmware's variables: %w", err)
	}
	return func() error { return unix.Unmount(dir, 0) }, nil
}
