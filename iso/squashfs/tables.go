package squashfs

import (
	"fmt"
	"math/bits"
	"sort"
	"strings"

	"ashlar/iso/tree"
)

// writeTables writes everything after the data: inodes, folders, lookup tables
// and at last the superblock.
func (m *image) writeTables() error {
	if err := m.numberInodes(); err != nil {
		return err
	}
	keys, ids, err := m.collectXattrs()
	if err != nil {
		return err
	}
	for i := range m.ref {
		m.ref[i] = noPlace
	}
	m.inodes, m.dirs = m.newMetadata(), m.newMetadata()
	m.writeDir(m.tree.Root)
	if len(m.ids.index) > 1<<16-1 {
		return fmt.Errorf("%d different owners and groups; the format has room for 65535", len(m.ids.index))
	}
	var s superblock
	if s.inodes, err = m.inodes.put(m); err != nil {
		return err
	}
	if s.dirs, err = m.dirs.put(m); err != nil {
		return err
	}
	if err := m.putLookups(&s); err != nil {
		return err
	}
	if err := m.putXattrs(&s, keys, ids); err != nil {
		return err
	}
	return m.putSuperblock(&s)
}

type superblock struct {
	inodes, dirs                   int64
	fragments, exports, ids, xattr uint64
}

func (m *image) putLookups(s *superblock) (err error) {
	s.fragments = noTable
	if len(m.fragments) > 0 {
		var b []byte
		for _, f := range m.fragments {
			b = append32(le.AppendUint64(b, uint64(f.at)), f.size, 0)
		}
		if s.fragments, err = m.putLookup(b); err != nil {
			return err
		}
	}
	var b []byte
	for _, ref := range m.ref {
		b = le.AppendUint64(b, ref)
	}
	if s.exports, err = m.putLookup(b); err != nil {
		return err
	}
	s.ids, err = m.putLookup(m.ids.list)
	return err
}

// xattrPrefix gives the number of each name space that the format knows.
var xattrPrefix = map[string]uint16{"user": 0, "trusted": 1, "security": 2}

// collectXattrs fills the two xattr tables, sharing equal sets.
func (m *image) collectXattrs() (keys, ids *metadata, err error) {
	keys, ids = m.newMetadata(), m.newMetadata()
	seen := map[string]uint32{}
	for _, n := range m.tree.Nodes {
		if len(n.Xattrs) == 0 || n.Kind == tree.HardLink {
			continue
		}
		set, err := xattrSet(n)
		if err != nil {
			return nil, nil, err
		}
		id, ok := seen[set]
		if !ok {
			id = uint32(len(seen))
			seen[set] = id
			block, offset := keys.place()
			keys.write([]byte(set))
			r := le.AppendUint64(nil, uint64(block)<<16|uint64(offset))
			ids.write(append32(r, uint32(len(n.Xattrs)), uint32(len(set))))
		}
		m.xattr[n] = id
	}
	return keys, ids, nil
}

func xattrSet(n *tree.Node) (string, error) {
	names := make([]string, 0, len(n.Xattrs))
	for name := range n.Xattrs {
		names = append(names, name)
	}
	sort.Strings(names)
	var b []byte
	for _, name := range names {
		space, rest, _ := strings.Cut(name, ".")
		prefix, ok := xattrPrefix[space]
		value := n.Xattrs[name]
		if !ok || rest == "" || len(rest) > tree.MaxName || len(value) > 1<<16-1 {
			return "", fmt.Errorf("%s: extended attribute %q cannot be stored in this format", n.Path, name)
		}
		b = le.AppendUint16(b, prefix)
		b = le.AppendUint16(b, uint16(len(rest)))
		b = append(b, rest...)
		b = le.AppendUint32(b, uint32(len(value)))
		b = append(b, value...)
	}
	return string(b), nil
}

func (m *image) putXattrs(s *superblock, keys, ids *metadata) error {
	s.xattr = noTable
	if len(m.xattr) == 0 {
		return nil
	}
	keysAt, err := keys.put(m)
	if err != nil {
		return err
	}
	count := uint32((len(ids.starts)*metadataSize + len(ids.open)) / 16)
	idsAt, err := ids.put(m)
	if err != nil {
		return err
	}
	b := append32(le.AppendUint64(nil, uint64(keysAt)), count, 0)
	at, err := m.put(append(b, ids.places(idsAt)...))
	s.xattr = uint64(at)
	return err
}

func (m *image) putSuperblock(s *superblock) error {
	used := m.off
	if r := used % padTo; r != 0 {
		if _, err := m.put(make([]byte, padTo-r)); err != nil {
			return err
		}
	}
	flags := uint16(flagDuplicates | flagExportable)
	if s.xattr == noTable {
		flags |= flagNoXattrs
	}
	b := append32(nil, superblockMagic, uint32(len(m.number)), m.opt.Time, uint32(m.opt.BlockSize), uint32(len(m.fragments)))
	for _, v := range []uint16{zstdCompressor, uint16(bits.TrailingZeros(uint(m.opt.BlockSize))), flags, uint16(len(m.ids.index)), 4, 0} {
		b = le.AppendUint16(b, v)
	}
	for _, v := range []uint64{m.placeOf(m.tree.Root), uint64(used), s.ids, s.xattr, uint64(s.inodes), uint64(s.dirs), s.fragments, s.exports} {
		b = le.AppendUint64(b, v)
	}
	_, err := m.out.WriteAt(b, 0)
	return err
}
