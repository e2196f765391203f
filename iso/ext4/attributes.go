package ext4

import (
	"fmt"
	"slices"
	"strings"
)

const (
	attributeMagic = 0xea020000
	inlineRoom     = inodeSize - 128 - extraSize
	blockHead      = 32
)

// prefixes of attribute names that have a number instead. Access control lists
// (system.) are stored in a form of their own; packages have none.
var prefixes = []struct {
	text  string
	index byte
}{{"user.", 1}, {"trusted.", 4}, {"security.", 6}}

type attribute struct {
	index byte
	name  string
	value []byte
}

func attributes(given map[string][]byte) ([]attribute, error) {
	var list []attribute
	for full, value := range given {
		i := slices.IndexFunc(prefixes, func(p struct {
			text  string
			index byte
		}) bool {
			return strings.HasPrefix(full, p.text)
		})
		if i < 0 {
			return nil, fmt.Errorf("extended attribute %s is none that this writer knows", full)
		}
		list = append(list, attribute{prefixes[i].index, strings.TrimPrefix(full, prefixes[i].text), value})
	}
	// The kernel looks them up in this order.
	slices.SortFunc(list, func(a, b attribute) int {
		if a.index != b.index {
			return int(a.index) - int(b.index)
		}
		if len(a.name) != len(b.name) {
			return len(a.name) - len(b.name)
		}
		return strings.Compare(a.name, b.name)
	})
	return list, nil
}

// placeAttributes puts the attributes of an inode into it, or into a block if
// they are too long.
func (fs *FileSystem) placeAttributes(in *inode) error {
	list, err := attributes(in.node.Xattrs)
	if err != nil || len(list) == 0 {
		return err
	}
	in.inline = make([]byte, inlineRoom)
	le.PutUint32(in.inline, attributeMagic)
	if pack(in.inline[4:], 0, list) {
		return nil
	}
	in.inline, in.block = nil, make([]byte, blockSize)
	if !pack(in.block[blockHead:], blockHead, list) {
		return fmt.Errorf("extended attributes do not fit into %d bytes", blockSize)
	}
	at, err := fs.take(1)
	if err != nil {
		return err
	}
	in.blockAt = at[0].start
	le.PutUint32(in.block, attributeMagic)
	le.PutUint32(in.block[4:], 1) // used once
	le.PutUint32(in.block[8:], 1) // block
	le.PutUint32(in.block[12:], blockHash(in.block[blockHead:], len(list)))
	var number [8]byte
	le.PutUint64(number[:], in.blockAt)
	le.PutUint32(in.block[16:], checksum(checksum(fs.sum, number[:]), in.block))
	return nil
}

// pack writes attributes into room: entries from the front, values from the
// end, whose places count from base bytes before room. It says whether they fit.
func pack(room []byte, base int, list []attribute) bool {
	at, end := 0, len(room)
	for _, a := range list {
		size := (16 + len(a.name) + 3) &^ 3
		end -= (len(a.value) + 3) &^ 3
		if at+size+4 > end || len(a.name) > 255 {
			return false
		}
		e := room[at:]
		e[0], e[1] = byte(len(a.name)), a.index
		le.PutUint16(e[2:], uint16(end+base))
		le.PutUint32(e[8:], uint32(len(a.value)))
		copy(e[16:], a.name)
		copy(room[end:], a.value)
		le.PutUint32(e[12:], a.hash())
		at += size
	}
	return true
}

func (a attribute) hash() uint32 {
	h := uint32(0)
	for i := range len(a.name) {
		h = h<<5 ^ h>>27 ^ uint32(a.name[i])
	}
	value := append(slices.Clone(a.value), make([]byte, -len(a.value)&3)...)
	for ; len(value) > 0; value = value[4:] {
		h = h<<16 ^ h>>16 ^ le.Uint32(value)
	}
	return h
}

// blockHash joins the hashes of a block's entries.
func blockHash(entries []byte, count int) uint32 {
	h := uint32(0)
	for range count {
		h = h<<16 ^ h>>16 ^ le.Uint32(entries[12:])
		entries = entries[(16+int(entries[0])+3)&^3:]
	}
	return h
}
