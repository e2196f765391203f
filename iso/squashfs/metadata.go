package squashfs

import "github.com/klauspost/compress/zstd"

// metadataSize is the uncompressed size of every metadata block but a table's
// last one.
const metadataSize = 8192

// metadata is a table stored as a row of compressed blocks. A record's place is
// the offset of its block from the table's start, and its offset in that block
// once uncompressed; records may cross blocks.
type metadata struct {
	enc    *zstd.Encoder
	packed []byte
	open   []byte   // the block being filled
	starts []uint64 // offset of each finished block
}

func (m *image) newMetadata() *metadata { return &metadata{enc: m.small} }

// place returns where the next record will start.
func (t *metadata) place() (block uint32, offset uint16) {
	return uint32(len(t.packed)), uint16(len(t.open))
}

func (t *metadata) write(b []byte) {
	for len(b) > 0 {
		n := min(metadataSize-len(t.open), len(b))
		t.open = append(t.open, b[:n]...)
		b = b[n:]
		if len(t.open) == metadataSize {
			t.flush()
		}
	}
}

func (t *metadata) flush() {
	if len(t.open) == 0 {
		return
	}
	t.starts = append(t.starts, uint64(len(t.packed)))
	const notCompressed = 1 << 15
	b := t.enc.EncodeAll(t.open, nil)
	header := uint16(len(b))
	if len(b) >= len(t.open) {
		b, header = t.open, uint16(len(t.open))|notCompressed
	}
	t.packed = append(le.AppendUint16(t.packed, header), b...)
	t.open = t.open[:0]
}

// put writes the table to the image and returns its start.
func (t *metadata) put(m *image) (int64, error) {
	t.flush()
	return m.put(t.packed)
}

// putLookup stores records as metadata followed by the list of its blocks'
// places, and returns where the list starts: the form of the fragment, export
// and id tables.
func (m *image) putLookup(records []byte) (uint64, error) {
	t := m.newMetadata()
	t.write(records)
	at, err := t.put(m)
	if err != nil {
		return 0, err
	}
	list, err := m.put(t.places(at))
	return uint64(list), err
}

func (t *metadata) places(at int64) []byte {
	var list []byte
	for _, start := range t.starts {
		list = le.AppendUint64(list, uint64(at)+start)
	}
	return list
}
