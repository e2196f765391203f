package ext4

import "ashlar/iso/tree"

const tailSize = 12 // of a folder's block: an entry without a name, with the checksum

// entryTypes are the kinds as folders spell them.
var entryTypes = [...]byte{tree.File: 1, tree.Dir: 2, tree.Symlink: 7, tree.HardLink: 1, tree.CharDevice: 3, tree.BlockDevice: 4, tree.FIFO: 5}

// listing returns the blocks of a folder, without their checksums.
func (fs *FileSystem) listing(n *tree.Node) []byte {
	var out []byte
	block := make([]byte, 0, blockSize)
	last := 0 // where the block's last entry begins
	flush := func() {
		end := blockSize - tailSize
		le.PutUint16(block[last+4:], uint16(end-last))
		block = block[:blockSize]
		le.PutUint16(block[end+4:], tailSize)
		block[end+7] = 0xde
		out = append(out, block...)
		block, last = make([]byte, 0, blockSize), 0
	}
	add := func(number uint32, kind tree.Kind, name string) {
		size := (8 + len(name) + 3) &^ 3
		if len(block)+size > blockSize-tailSize {
			flush()
		}
		last = len(block)
		block = block[:last+size]
		e := block[last:]
		le.PutUint32(e, number)
		le.PutUint16(e[4:], uint16(size))
		e[6], e[7] = byte(len(name)), entryTypes[kind]
		copy(e[8:], name)
	}
	add(fs.numbers[n].number, tree.Dir, ".")
	add(fs.numbers[n.Parent].number, tree.Dir, "..")
	for _, c := range n.Children {
		file := c
		if c.Link != nil {
			file = c.Link
		}
		add(fs.numbers[file].number, c.Kind, c.Name)
	}
	flush()
	return out
}

// sealListing writes the checksums of a folder's blocks.
func (fs *FileSystem) sealListing(in *inode) {
	sum := fs.inodeSum(in.number)
	for b := in.content; len(b) > 0; b = b[blockSize:] {
		end := blockSize - tailSize
		le.PutUint32(b[blockSize-4:], checksum(sum, b[:end]))
	}
}
