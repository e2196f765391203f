package ext4

import (
	"context"
	"io"
	"slices"

	"ashlar/iso/tree"
)

const (
	compat   = 0x4 | 0x8 | 0x10 | 0x20               // journal, attributes, resize inode, folder index
	incompat = 0x2 | 0x40 | 0x80 | 0x200             // types in folders, extents, 64 bit, flexible groups
	readonly = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400 // sparse copies, large and huge files, many links, large inodes, checksums

	superAt      = 1024 // bytes into its block, in group 0
	superSize    = 1024
	remountRO    = 2 // what to do when an error is found
	mountOptions = 0x4 | 0x8
	tableZeroed  = 0x4 // flag of a group: no need to clear its inode table
	keepFree     = 100 // one block of that many is kept for root
)

// placeOwn places what the file system needs for itself.
func (fs *FileSystem) placeOwn() error {
	fs.journal = &inode{number: journalInode}
	blocks := uint64(journalBlocks(fs.blocks))
	fs.journal.size = int64(blocks * blockSize)
	if err := fs.placeData(fs.journal, blocks); err != nil {
		return err
	}
	fs.resize = &inode{number: resizeInode}
	var err error
	fs.resize.extents, err = fs.take(1)
	return err
}

// journalBlocks is the journal's length: what mke2fs chooses.
func journalBlocks(blocks uint64) int64 {
	switch {
	case blocks < 32768:
		return 1024
	case blocks < 256<<10:
		return 4096
	case blocks < 512<<10:
		return 8192
	case blocks < 4096<<10:
		return 16384
	}
	return 32768
}

// count fills in what is free in each group.
func (fs *FileSystem) count() {
	for g := range fs.groups {
		first := uint64(g) * blocksPerGroup
		for b := first; b < min(first+blocksPerGroup, fs.blocks); b++ {
			if !fs.used.has(b) {
				fs.groups[g].free++
			}
		}
		fs.groups[g].freeInodes = inodesPerGroup
	}
	fs.groups[0].freeInodes -= firstInode - 2 // numbers 1 to 10, but the root counts below
	for _, in := range fs.inodes {
		g := &fs.groups[(in.number-1)/inodesPerGroup]
		g.freeInodes--
		if in.node.Kind == tree.Dir {
			g.folders++
		}
	}
}

// lastInode is the highest number in use.
func (fs *FileSystem) lastInode() uint32 {
	return max(fs.inodes[len(fs.inodes)-1].number, firstInode-1)
}

func (fs *FileSystem) writeInodes(ctx context.Context, w io.WriterAt) error {
	own := map[uint32][]byte{journalInode: fs.ownInode(fs.journal), resizeInode: fs.resizeInode()}
	byNumber := make([]*inode, fs.lastInode()+1)
	for _, in := range fs.inodes {
		byNumber[in.number] = in
	}
	for g := range fs.groups {
		if err := ctx.Err(); err != nil {
			return err
		}
		first := uint32(g*inodesPerGroup) + 1
		if first > fs.lastInode() {
			break
		}
		table := make([]byte, tableBlocks*blockSize)
		for number := first; number < min(first+inodesPerGroup, fs.lastInode()+1); number++ {
			b := own[number]
			if byNumber[number] != nil {
				b = fs.encode(byNumber[number])
			} else if b == nil {
				b = make([]byte, inodeSize)
				if number < firstInode {
					fs.times(b, fs.opt.Time)
				}
				fs.seal(b, number)
			}
			copy(table[(number-first)*inodeSize:], b)
		}
		if err := writeBlocks(w, fs.groups[g].table, table); err != nil {
			return err
		}
	}
	return fs.writeResize(w)
}

// ownInode is the inode of a file of the file system itself.
func (fs *FileSystem) ownInode(in *inode) []byte {
	in.node = &tree.Node{Entry: tree.Entry{Kind: tree.File, Perm: 0o600, ModTime: fs.opt.Time}, Links: 1}
	return fs.encode(in)
}

// copies lists the groups, other than the first, that have a copy of the table.
func (fs *FileSystem) copies() []uint64 {
	var list []uint64
	for g := uint64(1); g < uint64(len(fs.groups)); g++ {
		if hasCopy(g) {
			list = append(list, g)
		}
	}
	return list
}

// resizeInode holds the blocks into which the descriptor table can grow: its
// doubly indirect block points at those of group 0, each of which, as an
// indirect block, points at its copies.
func (fs *FileSystem) resizeInode() []byte {
	b := fs.ownInode(&inode{number: resizeInode})
	clear(b[0x28 : 0x28+60])
	le.PutUint32(b[0x20:], 0)
	le.PutUint32(b[0x28+4*13:], uint32(fs.resize.extents[0].start))
	const perBlock = blockSize / 4
	size := uint64(perBlock*perBlock+perBlock+12) * blockSize
	le.PutUint32(b[0x04:], uint32(size))
	le.PutUint32(b[0x6c:], uint32(size>>32))
	blocks := 1 + fs.reserved*uint64(1+len(fs.copies()))
	le.PutUint32(b[0x1c:], uint32(blocks*(blockSize/512)))
	le.PutUint16(b[0x7c:], 0)
	le.PutUint16(b[0x82:], 0)
	fs.seal(b, resizeInode)
	return b
}

func (fs *FileSystem) writeResize(w io.WriterAt) error {
	double := make([]byte, blockSize)
	for i := range fs.reserved {
		at := 1 + fs.descs + i
		le.PutUint32(double[4*((fs.descs+i)%(blockSize/4)):], uint32(at))
		single := make([]byte, blockSize)
		for j, g := range fs.copies() {
			le.PutUint32(single[4*j:], uint32(g*blocksPerGroup+at))
		}
		if err := writeBlocks(w, at, single); err != nil {
			return err
		}
	}
	return writeBlocks(w, fs.resize.extents[0].start, double)
}

// writeJournal writes the superblock of an empty journal.
func (fs *FileSystem) writeJournal(_ context.Context, w io.WriterAt) error {
	b := make([]byte, blockSize)
	be.PutUint32(b, 0xc03b3998)
	be.PutUint32(b[4:], 4) // superblock, version 2
	be.PutUint32(b[12:], blockSize)
	be.PutUint32(b[16:], uint32(fs.journal.size/blockSize))
	be.PutUint32(b[20:], 1) // first block of the log
	be.PutUint32(b[24:], 1) // first transaction expected
	copy(b[48:], fs.opt.UUID[:])
	be.PutUint32(b[64:], 1) // users
	return writeBlocks(w, fs.journal.extents[0].start, b)
}

// writeGroups writes bitmaps, descriptors and superblocks.
func (fs *FileSystem) writeGroups(_ context.Context, w io.WriterAt) error {
	table := make([]byte, fs.descs*blockSize)
	for i := range fs.groups {
		g := &fs.groups[i]
		blocks, inodes := fs.blockMap(i), fs.inodeMap(i)
		d := table[i*descSize : (i+1)*descSize]
		split := func(low, high int, v uint64) {
			le.PutUint32(d[low:], uint32(v))
			le.PutUint32(d[high:], uint32(v>>32))
		}
		half := func(low, high int, v uint32) {
			le.PutUint16(d[low:], uint16(v))
			le.PutUint16(d[high:], uint16(v>>16))
		}
		split(0x00, 0x20, g.blockMap)
		split(0x04, 0x24, g.inodeMap)
		split(0x08, 0x28, g.table)
		half(0x0c, 0x2c, g.free)
		half(0x0e, 0x2e, g.freeInodes)
		half(0x10, 0x30, g.folders)
		le.PutUint16(d[0x12:], tableZeroed)
		half(0x18, 0x38, checksum(fs.sum, blocks))
		half(0x1a, 0x3a, checksum(fs.sum, inodes[:inodesPerGroup/8]))
		unused := uint32(inodesPerGroup)
		if last := int(fs.lastInode()) - i*inodesPerGroup; last > 0 {
			unused = uint32(max(inodesPerGroup-last, 0))
		}
		half(0x1c, 0x32, unused)
		sum := checksum(checksum(fs.sum, le.AppendUint32(nil, uint32(i))), d)
		le.PutUint16(d[0x1e:], uint16(sum))
		if err := writeBlocks(w, g.blockMap, blocks); err != nil {
			return err
		}
		if err := writeBlocks(w, g.inodeMap, inodes); err != nil {
			return err
		}
	}
	for _, g := range append([]uint64{0}, fs.copies()...) {
		b := make([]byte, blockSize, (1+fs.descs)*blockSize)
		at := 0
		if g == 0 {
			at = superAt
		}
		copy(b[at:], fs.super(uint16(g)))
		if err := writeBlocks(w, g*blocksPerGroup, slices.Concat(b, table)); err != nil {
			return err
		}
	}
	return nil
}

func (fs *FileSystem) blockMap(group int) []byte {
	b := make([]byte, blockSize)
	first := uint64(group) * blocksPerGroup
	for i := range uint64(blocksPerGroup) {
		if first+i >= fs.blocks || fs.used.has(first+i) {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return b
}

func (fs *FileSystem) inodeMap(group int) []byte {
	b := make([]byte, blockSize)
	for i := range blockSize * 8 {
		if i >= inodesPerGroup || i+group*inodesPerGroup < int(fs.lastInode()) {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// super returns the superblock as it stands in a group.
func (fs *FileSystem) super(group uint16) []byte {
	b := make([]byte, superSize)
	u32 := func(at int, v uint64) { le.PutUint32(b[at:], uint32(v)) }
	u16 := func(at int, v uint16) { le.PutUint16(b[at:], v) }
	var free, freeInodes uint64
	for _, g := range fs.groups {
		free += uint64(g.free)
		freeInodes += uint64(g.freeInodes)
	}
	u32(0x00, uint64(len(fs.groups))*inodesPerGroup)
	u32(0x04, fs.blocks)
	u32(0x150, fs.blocks>>32)
	u32(0x08, fs.blocks/keepFree)
	u32(0x154, fs.blocks/keepFree>>32)
	u32(0x0c, free)
	u32(0x158, free>>32)
	u32(0x10, freeInodes)
	u32(0x18, 2) // block and cluster size: 1024 << 2
	u32(0x1c, 2)
	u32(0x20, blocksPerGroup)
	u32(0x24, blocksPerGroup)
	u32(0x28, inodesPerGroup)
	u32(0x30, uint64(fs.opt.Time))
	u16(0x36, 0xffff) // no check after so many mounts
	u16(0x38, 0xef53)
	u16(0x3a, 1) // clean
	u16(0x3c, remountRO)
	u32(0x40, uint64(fs.opt.Time))
	u32(0x4c, 1)
	u32(0x54, firstInode)
	u16(0x58, inodeSize)
	u16(0x5a, group)
	u32(0x5c, compat)
	u32(0x60, incompat)
	u32(0x64, readonly)
	copy(b[0x68:], fs.opt.UUID[:])
	copy(b[0x78:0x88], fs.opt.Label)
	u16(0xce, uint16(fs.reserved))
	u32(0xe0, journalInode)
	le.PutUint32(b[0xec:], checksum(fs.sum, []byte("hash 0"))) // seed of folder hashes
	le.PutUint32(b[0xf0:], checksum(fs.sum, []byte("hash 1")))
	le.PutUint32(b[0xf4:], checksum(fs.sum, []byte("hash 2")))
	le.PutUint32(b[0xf8:], checksum(fs.sum, []byte("hash 3")))
	b[0xfc] = 1 // half MD4
	b[0xfd] = 1 // a copy of the journal's inode follows
	u16(0xfe, descSize)
	u32(0x100, mountOptions)
	u32(0x108, uint64(fs.opt.Time))
	copy(b[0x10c:], fs.journal.extentRoot())
	u32(0x10c+60, uint64(fs.journal.size)>>32)
	u32(0x10c+64, uint64(fs.journal.size))
	u16(0x15c, extraSize)
	u16(0x15e, extraSize)
	u32(0x160, 1) // hashes of signed characters
	b[0x174] = 4  // groupsPerFlex = 1 << 4
	b[0x175] = 1  // checksums are crc32c
	u32(0x3fc, uint64(checksum(^uint32(0), b[:0x3fc])))
	return b
}
