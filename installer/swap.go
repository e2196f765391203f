package installer

import (
	"encoding/binary"
	"errors"
	"os"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// swapPage is the size of a page on every machine that we build for.
const swapPage = 4096

// makeSwap writes the header of a swap area of version 1 (Linux,
// include/linux/swap.h, union swap_header).
func makeSwap(device, id string) (err error) {
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Seek(0, 2)
	if err != nil {
		return err
	}
	parsed, err := uuid.Parse(id)
	if err != nil {
		return err
	}
	header := make([]byte, swapPage)
	binary.LittleEndian.PutUint32(header[1024:], 1)
	binary.LittleEndian.PutUint32(header[1028:], uint32(size/swapPage-1)) // the last page
	copy(header[1036:], parsed[:])
	copy(header[1052:], "ashlar-swap")
	copy(header[swapPage-10:], "SWAPSPACE2")
	if _, err := f.WriteAt(header, 0); err != nil {
		return err
	}
	return f.Sync()
}
