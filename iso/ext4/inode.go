package ext4

import (
	"context"
	"fmt"
	"io"
	"slices"

	"ashlar/iso/tree"
)

// shortLink is the length from which on a link's target needs a block.
const shortLink = 60

const (
	flagExtents  = 0x80000
	extraSize    = 32 // bytes of an inode's newer fields
	extentMagic  = 0xf30a
	rootExtents  = 4 // that fit into an inode
	blockExtents = (blockSize - 12 - 4) / 12
)

// inode is a file, folder, link or device and its blocks.
type inode struct {
	number  uint32
	node    *tree.Node // nil for the file system's own
	content []byte     // of a folder or a long link, whole blocks but for the end
	size    int64
	extents []extent
	leaves  []uint64 // blocks of the extent tree
	inline  []byte   // attributes in the inode
	block   []byte   // attributes in a block
	blockAt uint64
}

// place gives everything in the tree its inode and its blocks.
func (fs *FileSystem) place(t *tree.Tree) error {
	if err := fs.placeOwn(); err != nil {
		return err
	}
	number := uint32(firstInode)
	for _, n := range t.Nodes {
		if n.Kind == tree.HardLink {
			continue
		}
		in := &inode{node: n, size: n.Size, number: number}
		if n == t.Root {
			in.number = rootInode
		} else {
			number++
		}
		fs.numbers[n] = in
		fs.inodes = append(fs.inodes, in)
	}
	if available := uint64(len(fs.groups)) * inodesPerGroup; uint64(number) > available {
		return fmt.Errorf("%d files and folders do not fit; the size gives %d", number, available)
	}
	for _, in := range fs.inodes {
		if err := fs.placeInode(in); err != nil {
			return fmt.Errorf("%s: %w", in.node.Path, err)
		}
	}
	fs.count()
	return nil
}

func (fs *FileSystem) placeInode(in *inode) error {
	n := in.node
	switch n.Kind {
	case tree.Dir:
		in.content = fs.listing(n)
	case tree.Symlink:
		in.size = int64(len(n.Target))
		if len(n.Target) >= shortLink {
			in.content = []byte(n.Target)
		}
	}
	if in.content != nil {
		in.size = int64(len(in.content))
	}
	if err := fs.placeAttributes(in); err != nil {
		return err
	}
	if n.Kind == tree.File || in.content != nil {
		return fs.placeData(in, uint64(in.size+blockSize-1)/blockSize)
	}
	return nil
}

func (fs *FileSystem) placeData(in *inode, blocks uint64) error {
	var err error
	if in.extents, err = fs.take(blocks); err != nil || len(in.extents) <= rootExtents {
		return err
	}
	count := (len(in.extents) + blockExtents - 1) / blockExtents
	if count > rootExtents {
		return fmt.Errorf("it needs %d runs of blocks", len(in.extents))
	}
	for range count {
		leaf, err := fs.take(1)
		if err != nil {
			return err
		}
		in.leaves = append(in.leaves, leaf[0].start)
	}
	return nil
}

// writeContent writes files, folders and long links.
func (fs *FileSystem) writeContent(ctx context.Context, w io.WriterAt) error {
	buffer := make([]byte, 1<<20)
	for _, in := range fs.inodes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fs.writeData(w, in, buffer); err != nil {
			return err
		}
		if in.block != nil {
			if err := writeBlocks(w, in.blockAt, in.block); err != nil {
				return err
			}
		}
		if err := fs.writeLeaves(w, in); err != nil {
			return err
		}
	}
	return nil
}

func (fs *FileSystem) writeData(w io.WriterAt, in *inode, buffer []byte) error {
	if in.node.Kind == tree.Dir {
		fs.sealListing(in)
	}
	if len(in.extents) == 0 {
		return nil
	}
	var r io.Reader
	if in.content == nil {
		file, err := in.node.Content()
		if err != nil {
			return err
		}
		defer file.Close()
		r = file
	}
	left, offset := in.size, 0
	for _, e := range in.extents {
		for at := e.start; at < e.start+uint64(e.count); {
			n := int(min(int64(len(buffer)), left, int64(e.start+uint64(e.count)-at)*blockSize))
			b := buffer[:(n+blockSize-1)/blockSize*blockSize]
			clear(b[n:])
			if r == nil {
				copy(b, in.content[offset:offset+n])
			} else if _, err := io.ReadFull(r, b[:n]); err != nil {
				return err
			}
			if err := writeBlocks(w, at, b); err != nil {
				return err
			}
			at += uint64(len(b) / blockSize)
			left -= int64(n)
			offset += n
		}
	}
	if r == nil {
		return nil
	}
	return tree.Finish(r)
}

// header writes the head of a node of an extent tree.
func header(b []byte, entries, limit, depth int) {
	le.PutUint16(b, extentMagic)
	le.PutUint16(b[2:], uint16(entries))
	le.PutUint16(b[4:], uint16(limit))
	le.PutUint16(b[6:], uint16(depth))
}

func leaf(b []byte, extents []extent, logical uint32) uint32 {
	for i, e := range extents {
		p := b[12+12*i:]
		le.PutUint32(p, logical)
		le.PutUint16(p[4:], uint16(e.count)) // 32768 stands for itself: longer ones are "unwritten"
		le.PutUint16(p[6:], uint16(e.start>>32))
		le.PutUint32(p[8:], uint32(e.start))
		logical += e.count
	}
	return logical
}

// extentRoot returns the part of the extent tree that is in the inode.
func (in *inode) extentRoot() []byte {
	b := make([]byte, 60)
	if in.leaves == nil {
		header(b, len(in.extents), rootExtents, 0)
		leaf(b, in.extents, 0)
		return b
	}
	header(b, len(in.leaves), rootExtents, 1)
	logical := uint32(0)
	for i, part := range slices.Collect(slices.Chunk(in.extents, blockExtents)) {
		p := b[12+12*i:]
		le.PutUint32(p, logical)
		le.PutUint32(p[4:], uint32(in.leaves[i]))
		le.PutUint16(p[8:], uint16(in.leaves[i]>>32))
		for _, e := range part {
			logical += e.count
		}
	}
	return b
}

func (fs *FileSystem) writeLeaves(w io.WriterAt, in *inode) error {
	logical, i := uint32(0), 0
	if in.leaves == nil {
		return nil
	}
	for part := range slices.Chunk(in.extents, blockExtents) {
		b := make([]byte, blockSize)
		header(b, len(part), blockExtents, 0)
		logical = leaf(b, part, logical)
		end := 12 + 12*blockExtents
		le.PutUint32(b[end:], checksum(fs.inodeSum(in.number), b[:end]))
		if err := writeBlocks(w, in.leaves[i], b); err != nil {
			return err
		}
		i++
	}
	return nil
}

// inodeSum begins the checksums of what belongs to an inode.
func (fs *FileSystem) inodeSum(number uint32) uint32 {
	var b [8]byte // number and generation, which is 0
	le.PutUint32(b[:], number)
	return checksum(fs.sum, b[:])
}

// sectors is what an inode occupies, in units of 512 bytes.
func (in *inode) sectors() uint64 {
	blocks := uint64(len(in.leaves))
	for _, e := range in.extents {
		blocks += uint64(e.count)
	}
	if in.block != nil {
		blocks++
	}
	return blocks * (blockSize / 512)
}

// encode returns an inode as it is on disk.
func (fs *FileSystem) encode(in *inode) []byte {
	n := in.node
	b := make([]byte, inodeSize)
	le.PutUint16(b, uint16(n.Mode()))
	le.PutUint16(b[0x02:], uint16(n.UID))
	le.PutUint16(b[0x78:], uint16(n.UID>>16))
	le.PutUint16(b[0x18:], uint16(n.GID))
	le.PutUint16(b[0x7a:], uint16(n.GID>>16))
	le.PutUint32(b[0x04:], uint32(in.size))
	le.PutUint32(b[0x6c:], uint32(in.size>>32))
	links := n.Links
	if n.IsDir() && links > maxLinks {
		links = 1 // "more than can be counted"
	}
	le.PutUint16(b[0x1a:], uint16(links))
	sectors := in.sectors()
	le.PutUint32(b[0x1c:], uint32(sectors))
	le.PutUint16(b[0x74:], uint16(sectors>>32))
	switch {
	case n.Kind == tree.File || in.content != nil:
		le.PutUint32(b[0x20:], flagExtents)
		copy(b[0x28:], in.extentRoot())
	case n.Kind == tree.Symlink:
		copy(b[0x28:], n.Target)
	case n.Kind == tree.CharDevice || n.Kind == tree.BlockDevice:
		device(b[0x28:], n.Major, n.Minor)
	}
	le.PutUint32(b[0x68:], uint32(in.blockAt))
	le.PutUint16(b[0x76:], uint16(in.blockAt>>32))
	fs.times(b, n.ModTime)
	copy(b[128+extraSize:], in.inline)
	fs.seal(b, in.number)
	return b
}

// times writes the four times of an inode. Each has 32 bits and, further down,
// two more for the years after 2038.
func (fs *FileSystem) times(b []byte, modified int64) {
	le.PutUint16(b[0x80:], extraSize)
	for _, f := range []struct {
		at, extra int
		time      int64
	}{{0x08, 0x8c, modified}, {0x0c, 0x84, modified}, {0x10, 0x88, modified}, {0x90, 0x94, fs.opt.Time}} {
		low := int64(int32(f.time))
		le.PutUint32(b[f.at:], uint32(low))
		le.PutUint32(b[f.extra:], uint32((f.time-low)>>32)&3)
	}
}

// seal writes the checksum of an inode.
func (fs *FileSystem) seal(b []byte, number uint32) {
	sum := checksum(fs.inodeSum(number), b)
	le.PutUint16(b[0x7c:], uint16(sum))
	le.PutUint16(b[0x82:], uint16(sum>>16))
}

func device(b []byte, major, minor uint32) {
	if major < 256 && minor < 256 {
		le.PutUint32(b, major<<8|minor)
		return
	}
	le.PutUint32(b[4:], minor&0xff|major<<8|minor&^0xff<<12)
}
