package squashfs

import (
	"fmt"
	"math"

	"ashlar/iso/tree"
)

// Inode types; the extended form of each is extended higher.
const (
	typeDir     = 1
	typeFile    = 2
	typeSymlink = 3
	typeBlock   = 4
	typeChar    = 5
	typeFIFO    = 6
	extended    = 7
)

var inodeType = [...]uint16{tree.File: typeFile, tree.HardLink: typeFile, tree.Dir: typeDir, tree.Symlink: typeSymlink,
	tree.CharDevice: typeChar, tree.BlockDevice: typeBlock, tree.FIFO: typeFIFO}

// idTable maps user and group numbers to 16-bit indexes.
type idTable struct {
	index map[uint32]uint16
	list  []byte
}

func (t *idTable) of(id uint32) uint16 {
	i, ok := t.index[id]
	if !ok {
		if t.index == nil {
			t.index = map[uint32]uint16{}
		}
		i = uint16(len(t.index))
		t.index[id] = i
		t.list = le.AppendUint32(t.list, id)
	}
	return i
}

// numberInodes gives every inode its number, in tree order.
func (m *image) numberInodes() error {
	for _, n := range m.tree.Nodes {
		if n.Kind == tree.HardLink {
			continue
		}
		if len(m.number) == math.MaxUint32-1 {
			return fmt.Errorf("more inodes than the format can number")
		}
		m.number[n] = uint32(len(m.number)) + 1
	}
	m.ref = make([]uint64, len(m.number))
	return nil
}

// placeOf returns the inode's reference: block and offset in the inode table.
func (m *image) placeOf(n *tree.Node) uint64 { return m.ref[m.number[n]-1] }

// noPlace marks an inode that is not written yet. Place 0 is a real place.
const noPlace = ^uint64(0)

func (m *image) writeInode(n *tree.Node, kind uint16, body []byte) {
	block, offset := m.inodes.place()
	m.ref[m.number[n]-1] = uint64(block)<<16 | uint64(offset)
	b := le.AppendUint16(nil, kind)
	b = le.AppendUint16(b, uint16(n.Perm))
	b = le.AppendUint16(b, m.ids.of(n.UID))
	b = le.AppendUint16(b, m.ids.of(n.GID))
	b = le.AppendUint32(b, clampTime(n.ModTime))
	b = le.AppendUint32(b, m.number[n])
	m.inodes.write(append(b, body...))
}

// clampTime keeps times before 1970 and after 2106 from wrapping around.
func clampTime(t int64) uint32 { return uint32(min(max(t, 0), math.MaxUint32)) }

// xattrOf returns the node's index in the xattr table.
func (m *image) xattrOf(n *tree.Node) uint32 {
	if id, ok := m.xattr[n]; ok {
		return id
	}
	return none
}

// writeLeaf writes the inode of anything but a folder.
func (m *image) writeLeaf(n *tree.Node) {
	kind, xattr := inodeType[n.Kind], m.xattrOf(n)
	var b []byte
	switch kind {
	case typeFile:
		m.writeFileInode(n, xattr)
		return
	case typeSymlink:
		b = append32(b, uint32(n.Links), uint32(len(n.Target)))
		b = append(b, n.Target...)
	case typeBlock, typeChar:
		b = append32(b, uint32(n.Links), device(n.Major, n.Minor))
	default:
		b = append32(b, uint32(n.Links))
	}
	if xattr != none {
		kind += extended
		b = append32(b, xattr)
	}
	m.writeInode(n, kind, b)
}

func (m *image) writeFileInode(n *tree.Node, xattr uint32) {
	f, kind := m.files[n], uint16(typeFile)
	var b []byte
	if xattr != none || n.Links > 1 || f.sparse > 0 || f.start > math.MaxUint32 || n.Size > math.MaxUint32 {
		kind += extended
		b = le.AppendUint64(b, uint64(f.start))
		b = le.AppendUint64(b, uint64(n.Size))
		b = le.AppendUint64(b, f.sparse)
		b = append32(b, uint32(n.Links), f.fragment, f.offset, xattr)
	} else {
		b = append32(b, uint32(f.start), f.fragment, f.offset, uint32(n.Size))
	}
	m.writeInode(n, kind, append32(b, f.blocks...))
}

// device encodes a device number the way the kernel's new_encode_dev does.
func device(major, minor uint32) uint32 {
	return minor&0xff | major<<8 | (minor&^0xff)<<12
}

func append32(b []byte, values ...uint32) []byte {
	for _, v := range values {
		b = le.AppendUint32(b, v)
	}
	return b
}
