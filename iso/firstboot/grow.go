package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"github.com/diskfs/go-diskfs/partition/gpt"
	"golang.org/x/sys/unix"
)

const (
	sectorSize = 512
	tableSize  = 33 * sectorSize // the second partition table
	worthwhile = 16 << 20        // bytes; less is not grown for
	resizeFS   = 0x40086610      // EXT4_IOC_RESIZE_FS
	blockSize  = 4096
	superMagic = 0xef53
)

// grow makes the root's partition and file system as large as the disk. A root
// that is no ext4 on the last partition of a GPT disk stays as it is.
func grow() error {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if err := errors.Join(unix.Statfs("/", &fs), unix.Stat("/", &st)); err != nil || fs.Type != superMagic {
		return err
	}
	link, err := os.Readlink(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return nil // no disk of its own
	}
	part, disk := filepath.Base(link), filepath.Base(filepath.Dir(link))
	number, err := readNumber("/sys/class/block/" + part + "/partition")
	if err != nil {
		return nil // the whole disk is the file system
	}
	sectors, err := readNumber("/sys/class/block/" + disk + "/size")
	if err != nil {
		return err
	}
	size, err := growPartition("/dev/"+disk, int(number), sectors*sectorSize)
	if err != nil || size == 0 {
		return err
	}
	return growFileSystem(size)
}

func readNumber(path string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// growPartition returns the new size in bytes, 0 if there is nothing to gain.
func growPartition(device string, number int, diskSize int64) (int64, error) {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	root, err := growTable(f, number, diskSize)
	if err != nil || root == nil {
		return 0, err
	}
	part := unix.BlkpgPartition{Start: int64(root.Start) * sectorSize, Length: int64(root.Size), Pno: int32(number)}
	argument := unix.BlkpgIoctlArg{Op: unix.BLKPG_RESIZE_PARTITION, Datalen: int32(unsafe.Sizeof(part)), Data: (*byte)(unsafe.Pointer(&part))}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKPG, uintptr(unsafe.Pointer(&argument))); errno != 0 {
		return 0, fmt.Errorf("tell the kernel the partition's size: %w", errno)
	}
	runtime.KeepAlive(&part)
	return int64(root.Size), nil
}

// growTable makes a partition as large as the disk in its table, and returns
// it; nil if nothing was done.
func growTable(f *os.File, number int, diskSize int64) (*gpt.Partition, error) {
	table, err := gpt.Read(f, sectorSize, sectorSize)
	if err != nil {
		return nil, nil // another kind of table, or none
	}
	last := uint64((diskSize-tableSize)/sectorSize) / 2048 * 2048
	var root *gpt.Partition
	for _, p := range table.Partitions {
		if p.Index == number {
			root = p
		}
	}
	if root == nil || last <= root.End || (last-root.End)*sectorSize < worthwhile {
		return nil, nil
	}
	for _, p := range table.Partitions {
		if p.Type != gpt.Unused && p.Start > root.Start {
			return nil, nil // something lies behind it
		}
	}
	root.End = last - 1
	root.Size = (root.End - root.Start + 1) * sectorSize
	table.Resize(uint64(diskSize))
	if err := table.Write(f, diskSize); err != nil {
		return nil, fmt.Errorf("write the partition table: %w", err)
	}
	return root, f.Sync()
}

func growFileSystem(size int64) error {
	f, err := os.Open("/")
	if err != nil {
		return err
	}
	defer f.Close()
	blocks := uint64(size / blockSize)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), resizeFS, uintptr(unsafe.Pointer(&blocks))); errno != 0 {
		return fmt.Errorf("grow the root file system: %w", errno)
	}
	fmt.Fprintf(os.Stderr, "firstboot: the root file system has %d MiB now\n", size>>20)
	return nil
}
