package ext4

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"path"

	"ashlar/iso/tree"
)

const (
	blockSize      = 4096
	blocksPerGroup = 8 * blockSize // as many as one block has bits
	inodeSize      = 256
	inodesPerGroup = blocksPerGroup * blockSize / bytesPerInode
	bytesPerInode  = 16 << 10
	inodesPerBlock = blockSize / inodeSize
	tableBlocks    = inodesPerGroup / inodesPerBlock
	descSize       = 64
	descsPerBlock  = blockSize / descSize
	groupsPerFlex  = 16 // whose bitmaps and inode tables lie together

	rootInode    = 2
	resizeInode  = 7
	journalInode = 8
	firstInode   = 11

	maxExtent   = 32768 // blocks
	maxLinks    = 65000
	minLast     = 2048 // blocks of a last group that is worth having
	growth      = 1024 // times that a file system can grow
	maxReserved = blockSize / 4
)

// MinSize is the smallest file system that New makes, in bytes.
const MinSize = 32 << 20

var le, be = binary.LittleEndian, binary.BigEndian

// Options of a file system.
type Options struct {
	Size  int64    // bytes; what is over whole blocks and groups stays unused
	Label string   // up to 16 bytes
	UUID  [16]byte // also seeds the checksums
	Time  int64    // when it was made, seconds since 1970
}

// FileSystem is a file system whose layout is decided and that can be written.
type FileSystem struct {
	opt      Options
	blocks   uint64
	groups   []group
	descs    uint64 // blocks of the descriptor table
	reserved uint64 // blocks kept for the table to grow into
	used     bitmap // of all blocks
	next     uint64 // where allocation looks first
	inodes   []*inode
	numbers  map[*tree.Node]*inode
	resize   *inode
	journal  *inode
	sum      uint32 // crc32c of the UUID, which begins every checksum
}

// group is a block group: where its tables are, and what is free in it.
type group struct {
	blockMap, inodeMap, table uint64
	free, freeInodes, folders uint32
}

// New checks entries and lays the file system out.
func New(entries []tree.Entry, opt Options) (*FileSystem, error) {
	if opt.Size < MinSize {
		return nil, fmt.Errorf("ext4: %d bytes are too few; a file system has at least %d", opt.Size, MinSize)
	}
	if len(opt.Label) > 16 {
		return nil, fmt.Errorf("ext4: label %q is longer than 16 bytes", opt.Label)
	}
	t, err := tree.Of(withLostFound(entries, opt.Time))
	if err != nil {
		return nil, err
	}
	fs := &FileSystem{opt: opt, sum: checksum(^uint32(0), opt.UUID[:]), numbers: map[*tree.Node]*inode{}}
	fs.makeGroups()
	if err := fs.place(t); err != nil {
		return nil, fmt.Errorf("ext4: %w", err)
	}
	return fs, nil
}

// Needed estimates the size in bytes of a file system that holds entries, and
// as much again as free bytes.
func Needed(entries []tree.Entry, free int64) int64 {
	blocks, inodes := int64(0), int64(firstInode)
	for _, e := range entries {
		blocks += (e.Size + blockSize - 1) / blockSize
		if e.Kind == tree.Dir || len(e.Target) >= shortLink {
			blocks++
		}
		inodes++
	}
	size := blocks*blockSize + blocks*blockSize/100 + free
	// The journal, the tables, and the rest that nobody counts.
	size += size/64 + journalBlocks(uint64(size)/blockSize)*blockSize + 16<<20
	size = max(size, inodes*bytesPerInode)
	const step = blocksPerGroup * blockSize
	return (size + step - 1) / step * step
}

const lostFound = "lost+found"

// withLostFound adds the folder for what a check finds, if there is none.
func withLostFound(entries []tree.Entry, at int64) []tree.Entry {
	for _, e := range entries {
		if path.Clean(e.Path) == lostFound {
			return entries
		}
	}
	return append(entries[:len(entries):len(entries)], tree.Entry{Path: lostFound, Kind: tree.Dir, Perm: 0o700, ModTime: at})
}

func (fs *FileSystem) makeGroups() {
	fs.blocks = uint64(fs.opt.Size) / blockSize
	if last := fs.blocks % blocksPerGroup; last < minLast {
		fs.blocks -= last
	}
	count := (fs.blocks + blocksPerGroup - 1) / blocksPerGroup
	fs.groups = make([]group, count)
	fs.descs = (count + descsPerBlock - 1) / descsPerBlock
	fs.reserved = min((count*growth+descsPerBlock-1)/descsPerBlock-fs.descs, maxReserved-fs.descs)
	fs.used = make(bitmap, (fs.blocks+63)/64)
	for g := range fs.groups {
		if hasCopy(uint64(g)) {
			fs.used.set(uint64(g)*blocksPerGroup, 1+fs.descs+fs.reserved)
		}
	}
	for first := 0; first < len(fs.groups); first += groupsPerFlex {
		members := fs.groups[first:min(first+groupsPerFlex, len(fs.groups))]
		fs.next = uint64(first) * blocksPerGroup
		for i := range members {
			members[i].blockMap = fs.run(1)
		}
		for i := range members {
			members[i].inodeMap = fs.run(1)
		}
		for i := range members {
			members[i].table = fs.run(tableBlocks)
		}
	}
	fs.next = 0
}

// hasCopy says whether a group begins with a copy of the superblock: 0, 1 and
// the powers of 3, 5 and 7.
func hasCopy(g uint64) bool {
	if g <= 1 {
		return true
	}
	for _, base := range []uint64{3, 5, 7} {
		n := base
		for n < g {
			n *= base
		}
		if n == g {
			return true
		}
	}
	return false
}

// Size returns the file system's size in bytes.
func (fs *FileSystem) Size() int64 { return int64(fs.blocks) * blockSize }

// Write writes the file system to w, which must read as zeros.
func (fs *FileSystem) Write(ctx context.Context, w io.WriterAt) error {
	for _, write := range []func(context.Context, io.WriterAt) error{fs.writeContent, fs.writeJournal, fs.writeInodes, fs.writeGroups} {
		if err := write(ctx, w); err != nil {
			return fmt.Errorf("ext4: %w", err)
		}
	}
	return nil
}

// writeBlocks writes whole blocks from block at on, but none of zeros.
func writeBlocks(w io.WriterAt, at uint64, b []byte) error {
	for len(b) > 0 {
		n := 0
		for n < len(b) && !isZero(b[n:n+blockSize]) {
			n += blockSize
		}
		if n > 0 {
			if _, err := w.WriteAt(b[:n], int64(at)*blockSize); err != nil {
				return err
			}
		}
		skip := min(n+blockSize, len(b))
		at += uint64(skip / blockSize)
		b = b[skip:]
	}
	return nil
}

var zeros [blockSize]byte

func isZero(b []byte) bool { return string(b) == string(zeros[:len(b)]) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is crc32c as ext4 computes it: without the inversions at both ends.
func checksum(crc uint32, b []byte) uint32 { return ^crc32.Update(^crc, castagnoli, b) }
