package squashfs

import (
	"math"

	"ashlar/iso/tree"
)

// maxRun is how many entries one header of a listing can cover.
const maxRun = 256

// writeDir writes the inodes of everything below d, then d's listing and inode.
func (m *image) writeDir(d *tree.Node) {
	for _, c := range d.Children {
		if c.IsDir() {
			m.writeDir(c)
		}
	}
	for _, c := range d.Children {
		if file := target(c); !file.IsDir() && m.placeOf(file) == noPlace {
			m.writeLeaf(file)
		}
	}
	block, offset := m.dirs.place()
	size, index, jumps := m.writeListing(d.Children)
	size += 3                           // the kernel counts "." and ".." as 3 bytes
	parent := uint32(len(m.number)) + 1 // what the kernel expects above the root
	if d != m.tree.Root {
		parent = m.number[d.Parent]
	}
	links, xattr := uint32(d.Links), m.xattrOf(d)
	if size <= math.MaxUint16 && xattr == none && jumps == 0 {
		b := append32(nil, block, links)
		b = le.AppendUint16(b, uint16(size))
		b = le.AppendUint16(b, offset)
		m.writeInode(d, typeDir, append32(b, parent))
		return
	}
	b := append32(nil, links, uint32(size), block, parent)
	b = le.AppendUint16(b, jumps)
	b = le.AppendUint16(b, offset)
	m.writeInode(d, typeDir+extended, append(append32(b, xattr), index...))
}

// target is the node whose inode an entry names.
func target(n *tree.Node) *tree.Node {
	if n.Link != nil {
		return n.Link
	}
	return n
}

// writeListing writes a folder's entries and returns the listing's size and the
// name index: for about every 8 KiB of listing, where it starts and its first
// name. Without it the kernel reads a long folder from the start for each name.
func (m *image) writeListing(children []*tree.Node) (size int, index []byte, jumps uint16) {
	lastJump := 0
	for len(children) > 0 {
		run := m.runOf(children)
		length := 12
		for _, c := range children[:run] {
			length += 8 + len(c.Name)
		}
		if size > 0 && size+length-lastJump > metadataSize && jumps < math.MaxUint16 {
			block, _ := m.dirs.place()
			index = append32(index, uint32(size), block, uint32(len(children[0].Name)-1))
			index = append(index, children[0].Name...)
			jumps++
			lastJump = size
		}
		m.dirs.write(m.runBytes(children[:run]))
		size += length
		children = children[run:]
	}
	return size, index, jumps
}

// runOf says how many entries share the next header: at most 256 and about one
// metadata block, with inodes in one block and numbers within 16 bits.
func (m *image) runOf(children []*tree.Node) int {
	first := target(children[0])
	length := 12
	for i, c := range children {
		t := target(c)
		length += 8 + len(c.Name)
		delta := int64(m.number[t]) - int64(m.number[first])
		if i == maxRun || i > 0 && length > metadataSize || m.placeOf(t)>>16 != m.placeOf(first)>>16 ||
			delta > math.MaxInt16 || delta < math.MinInt16 {
			return i
		}
	}
	return len(children)
}

func (m *image) runBytes(run []*tree.Node) []byte {
	first := target(run[0])
	b := append32(nil, uint32(len(run)-1), uint32(m.placeOf(first)>>16), m.number[first])
	for _, c := range run {
		t := target(c)
		b = le.AppendUint16(b, uint16(m.placeOf(t)))
		b = le.AppendUint16(b, uint16(m.number[t]-m.number[first]))
		b = le.AppendUint16(b, inodeType[t.Kind])
		b = le.AppendUint16(b, uint16(len(c.Name)-1))
		b = append(b, c.Name...)
	}
	return b
}
