package squashfs

import (
	"errors"
	"fmt"
	"io"
)

// Info is what an image's superblock says.
type Info struct {
	Inodes    uint32 `json:"inodes"`
	BlockSize uint32 `json:"block_size"`
	Time      uint32 `json:"time"`
	Used      int64  `json:"used"` // bytes
}

// ErrFormat is in the error for what is no image of this package.
var ErrFormat = errors.New("not a squashfs 4.0 image with zstd")

// ReadInfo reads the superblock of an image of size bytes.
func ReadInfo(r io.ReaderAt, size int64) (*Info, error) {
	b := make([]byte, superblockSize)
	if size < superblockSize {
		return nil, ErrFormat
	}
	if _, err := r.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("read superblock: %w", err)
	}
	i := &Info{Inodes: le.Uint32(b[4:]), Time: le.Uint32(b[8:]), BlockSize: le.Uint32(b[12:]), Used: int64(le.Uint64(b[40:]))}
	if le.Uint32(b) != superblockMagic || le.Uint16(b[20:]) != zstdCompressor || le.Uint16(b[28:]) != 4 || i.Used < superblockSize || i.Used > size {
		return nil, ErrFormat
	}
	return i, nil
}
