package installer

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxPartitions is how many old partitions the kernel may know of a disk.
const maxPartitions = 128

// announcePartitions tells the kernel of the disk's partitions, one by one
// (ioctl BLKPG, as partx does). Unlike re-reading the table it works whatever
// kinds of tables the kernel knows. A partition in use is an error.
func announcePartitions(disk *os.File, partitions []Partition) error {
	for number := 1; number <= maxPartitions; number++ {
		err := blkpg(disk, unix.BLKPG_DEL_PARTITION, Partition{Number: number})
		if err != nil && !errors.Is(err, unix.ENXIO) {
			return fmt.Errorf("forget old partition %d: %w", number, err)
		}
	}
	for _, p := range partitions {
		if err := blkpg(disk, unix.BLKPG_ADD_PARTITION, p); err != nil {
			return fmt.Errorf("announce partition %d: %w", p.Number, err)
		}
	}
	return nil
}

func blkpg(disk *os.File, operation int32, p Partition) error {
	part := unix.BlkpgPartition{Start: p.Start, Length: p.Size, Pno: int32(p.Number)}
	argument := unix.BlkpgIoctlArg{Op: operation, Datalen: int32(unsafe.Sizeof(part)), Data: (*byte)(unsafe.Pointer(&part))}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, disk.Fd(), unix.BLKPG, uintptr(unsafe.Pointer(&argument)))
	runtime.KeepAlive(&part)
	if errno != 0 {
		return errno
	}
	return nil
}
