package iso9660

import (
	"fmt"
	"strings"

	"ashlar/iso/tree"
)

// continuation is what a CE field says.
type continuation struct{ sector, offset, length uint32 }

// fields collects the Rock Ridge fields of one record.
type fields struct {
	found  *found
	name   strings.Builder
	target strings.Builder
	joined bool // the next link component goes on the last one
}

func (n *fields) read(area []byte) (next *continuation, err error) {
	for len(area) >= 4 {
		length := int(area[2])
		if length < 4 || length > len(area) {
			if area[0] == 0 { // padding
				break
			}
			return nil, fmt.Errorf("%w: a broken system use field", ErrFormat)
		}
		field := area[:length]
		area = area[length:]
		switch string(field[:2]) {
		case "CE":
			if length < 28 {
				return nil, fmt.Errorf("%w: a short CE field", ErrFormat)
			}
			next = &continuation{le.Uint32(field[4:]), le.Uint32(field[12:]), le.Uint32(field[20:])}
		case "PX":
			if length < 36 {
				return nil, fmt.Errorf("%w: a short PX field", ErrFormat)
			}
			n.found.entry.Perm = le.Uint32(field[4:]) & 0o7777
			n.found.entry.UID, n.found.entry.GID = le.Uint32(field[20:]), le.Uint32(field[28:])
		case "NM":
			if length < 5 {
				return nil, fmt.Errorf("%w: a short NM field", ErrFormat)
			}
			n.name.Write(field[5:])
		case "SL":
			if length < 5 {
				return nil, fmt.Errorf("%w: a short SL field", ErrFormat)
			}
			if err := n.components(field[5:]); err != nil {
				return nil, err
			}
		}
		if n.name.Len() > tree.MaxName || n.target.Len() > tree.MaxPath {
			return nil, fmt.Errorf("%w: a name or link longer than Linux allows", ErrFormat)
		}
	}
	return next, nil
}

func (n *fields) components(b []byte) error {
	const continues, current, up, root = 1, 2, 4, 8
	for len(b) >= 2 {
		flag, length := b[0], int(b[1])
		if 2+length > len(b) {
			return fmt.Errorf("%w: a broken link component", ErrFormat)
		}
		part := string(b[2 : 2+length])
		b = b[2+length:]
		if t := n.target.String(); t != "" && !n.joined && !strings.HasSuffix(t, "/") {
			n.target.WriteByte('/')
		}
		switch {
		case flag&root != 0:
			part = "/"
		case flag&up != 0:
			part = ".."
		case flag&current != 0:
			part = "."
		}
		n.target.WriteString(part)
		n.joined = flag&continues != 0
	}
	return nil
}

func (n *fields) finish() error {
	if n.name.Len() > 0 {
		n.found.name = n.name.String()
	}
	n.found.entry.Target = n.target.String()
	return nil
}
