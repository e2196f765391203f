package iso9660

import (
	"encoding/binary"

	"ashlar/iso/tree"
)

const (
	flagDir  = 0x02
	flagMore = 0x80 // another extent of the same file follows
)

// extent is a run of sectors.
type extent struct {
	sector, length uint32
}

// extents returns a record's content: one run, or several for a large file.
func (r *record) extents() []extent {
	if r.IsDir() {
		return []extent{{r.sector, r.length}}
	}
	node := r.Node
	if node.Link != nil {
		node = node.Link
	}
	if node.Kind != tree.File || node.Size == 0 {
		return []extent{{r.sector, 0}}
	}
	var list []extent
	sector := r.sector
	for left := node.Size; left > 0; {
		n := min(left, maxExtent)
		list = append(list, extent{sector, uint32(n)})
		sector += uint32(sectorsOf(n))
		left -= n
	}
	return list
}

// folder returns a folder's records and the continuation area that follows
// them, both of whole sectors.
func (m *Image) folder(d *record) (records, continued []byte) {
	area := d.sector + uint32(sectorsOf(int64(d.length)))
	add := func(r *record, id string, as role) {
		extents := r.extents()
		for i, e := range extents {
			b := recordHead(r, m, id, e, i < len(extents)-1)
			fields, rest := m.systemUse(r, as, maxRecord-len(b))
			b = append(b, fields...)
			if rest != nil {
				if SectorSize-len(continued)%SectorSize < len(rest) { // an area stays within a sector
					continued = pad(continued)
				}
				b = append(b, 'C', 'E', continueLength, 1)
				b = both32(b, area+uint32(len(continued)/SectorSize))
				b = both32(b, uint32(len(continued)%SectorSize))
				b = both32(b, uint32(len(rest)))
				continued = append(continued, rest...)
			}
			b = append(b, make([]byte, len(b)%2)...)
			b[0] = byte(len(b))
			if SectorSize-len(records)%SectorSize < len(b) { // nor does a record cross one
				records = pad(records)
			}
			records = append(records, b...)
		}
	}
	add(d, "\x00", self)
	add(d.parent, "\x01", parent)
	for _, c := range d.children {
		add(c, c.name, child)
	}
	return pad(records), pad(continued)
}

// recordHead is a directory record up to its system use fields.
func recordHead(r *record, m *Image, id string, e extent, more bool) []byte {
	b := []byte{0, 0}
	b = both32(b, e.sector)
	b = both32(b, e.length)
	b = append(b, recordTime(r.time(m))...)
	var flags byte
	if r.IsDir() {
		flags |= flagDir
	}
	if more {
		flags |= flagMore
	}
	b = append(b, flags, 0, 0)
	b = both16(b, 1) // volume number
	b = append(b, byte(len(id)))
	b = append(b, id...)
	return append(b, make([]byte, len(b)%2)...)
}

// pad fills up to the next sector.
func pad(b []byte) []byte {
	return append(b, make([]byte, (SectorSize-len(b)%SectorSize)%SectorSize)...)
}

// pathTableRecord is a folder's record in one of the two path tables.
func pathTableRecord(d *record, order binary.AppendByteOrder) []byte {
	id := d.name
	if d.parent == d {
		id = "\x00"
	}
	b := []byte{byte(len(id)), 0}
	b = order.AppendUint32(b, d.sector)
	b = order.AppendUint16(b, d.parent.number)
	b = append(b, id...)
	return append(b, make([]byte, len(b)%2)...)
}
