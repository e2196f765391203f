package iso9660

import (
	"strings"
	"time"

	"ashlar/iso/tree"
)

// Which of a folder's records is meant.
type role int

const (
	child role = iota
	self
	parent
)

const (
	maxRecord      = 254 // longest directory record of even length
	continueLength = 28  // of a CE field
	maxComponent   = 200 // bytes of a name in one NM or SL field
	maxField       = 250
)

// systemUse returns the Rock Ridge fields of a record: those that fit into room
// bytes, and those that have to go to the continuation area. If there are any
// of the latter, room for the CE field that leads to them is left.
func (m *Image) systemUse(r *record, as role, room int) (in, continued []byte) {
	fields := m.fields(r, as)
	total := 0
	for _, f := range fields {
		total += len(f)
	}
	if total > room {
		room -= continueLength
	}
	for _, f := range fields {
		if continued == nil && len(in)+len(f) <= room {
			in = append(in, f...)
		} else {
			continued = append(continued, f...)
		}
	}
	return in, continued
}

func (m *Image) fields(r *record, as role) [][]byte {
	var fields [][]byte
	root := as == self && r == m.root
	if root { // this tree has system use fields, from the first byte on
		fields = append(fields, []byte{'S', 'P', 7, 1, 0xbe, 0xef, 0})
	}
	fields = append(fields, posix(r), append([]byte{'T', 'F', 12, 1, 0x02}, recordTime(r.time(m))...))
	if as == child {
		fields = append(fields, nameFields(r.Name)...)
		if r.Kind == tree.Symlink {
			fields = append(fields, linkFields(r.Target)...)
		}
	}
	if root {
		const id, text = "RRIP_1991A", "THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS"
		er := []byte{'E', 'R', byte(8 + len(id) + len(text)), 1, byte(len(id)), byte(len(text)), 0, 1}
		fields = append(fields, append(append(er, id...), text...))
	}
	return fields
}

func (r *record) time(m *Image) time.Time {
	if r.ModTime == 0 {
		return m.opt.Time
	}
	return time.Unix(r.ModTime, 0)
}

// posix is the PX field: mode, links, owner, group, inode.
func posix(r *record) []byte {
	node := r.Node
	if node.Link != nil {
		node = node.Link
	}
	b := []byte{'P', 'X', 44, 1}
	for _, v := range []uint32{node.Mode(), uint32(node.Links), node.UID, node.GID, r.inode} {
		b = both32(b, v)
	}
	return b
}

// nameFields are the NM fields: the true name, in parts.
func nameFields(name string) (fields [][]byte) {
	for {
		part, more := name, byte(0)
		if len(part) > maxComponent {
			part, more = name[:maxComponent], 1
		}
		name = name[len(part):]
		fields = append(fields, append([]byte{'N', 'M', byte(5 + len(part)), 1, more}, part...))
		if name == "" {
			return fields
		}
	}
}

// linkFields are the SL fields: a symbolic link's target, by components. The
// text is kept as far as the format can: "a//b" and "a/b/" become "a/b".
func linkFields(target string) (fields [][]byte) {
	const continues, current, up, root = 1, 2, 4, 8
	var components [][]byte
	add := func(flag byte, s string) { components = append(components, append([]byte{flag, byte(len(s))}, s...)) }
	if strings.HasPrefix(target, "/") {
		add(root, "")
	}
	for _, part := range strings.Split(target, "/") {
		switch part {
		case "":
		case ".":
			add(current, "")
		case "..":
			add(up, "")
		default:
			for len(part) > maxComponent {
				add(continues, part[:maxComponent])
				part = part[maxComponent:]
			}
			add(0, part)
		}
	}
	field := func() []byte { return []byte{'S', 'L', 0, 1, 0} }
	open := field()
	for _, c := range components {
		if len(open)+len(c) > maxField {
			open[2], open[4] = byte(len(open)), continues
			fields = append(fields, open)
			open = field()
		}
		open = append(open, c...)
	}
	open[2] = byte(len(open))
	return append(fields, open)
}

func both16(b []byte, v uint16) []byte { return be.AppendUint16(le.AppendUint16(b, v), v) }
func both32(b []byte, v uint32) []byte { return be.AppendUint32(le.AppendUint32(b, v), v) }

// recordTime is the 7-byte time of a record. The standard counts years from
// 1900 in a byte.
func recordTime(t time.Time) []byte {
	t = t.UTC()
	year := min(max(t.Year()-1900, 70), 255)
	return []byte{byte(year), byte(t.Month()), byte(t.Day()), byte(t.Hour()), byte(t.Minute()), byte(t.Second()), 0}
}
