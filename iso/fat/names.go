package fat

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	attrLabel    = 0x08
	attrDir      = 0x10
	attrArchive  = 0x20
	attrLongName = 0x0f
	longChars    = 13 // of one long-name entry
)

// nameChildren gives every child its 8.3 name, unique in the folder.
func (n *node) nameChildren() error {
	used := map[[11]byte]bool{}
	folded := map[string]string{}
	for _, c := range n.children {
		if !utf8.ValidString(c.Name) || strings.ContainsAny(c.Name, "\"*/:<>?\\|\x7f") ||
			strings.TrimRight(c.Name, ". ") != c.Name || strings.IndexFunc(c.Name, func(r rune) bool { return r < ' ' }) >= 0 {
			return fmt.Errorf("%s: not a name that FAT allows", c.Path)
		}
		fold := strings.ToUpper(c.Name)
		if other, ok := folded[fold]; ok {
			return fmt.Errorf("%s: differs from %s in case only, which FAT does not tell apart", c.Path, other)
		}
		folded[fold] = c.Name
		var err error
		if c.short, c.long, err = shortName(c.Name, used); err != nil {
			return fmt.Errorf("%s: %w", c.Path, err)
		}
		used[c.short] = true
	}
	return nil
}

// shortName makes the 8.3 name and says whether it loses anything of name.
func shortName(name string, used map[[11]byte]bool) (short [11]byte, long bool, err error) {
	base, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		base, ext = name[:i], name[i+1:]
	}
	b, e := shortCharacters(base), shortCharacters(ext)
	long = b != base || e != ext || len(b) > 8 || len(e) > 3
	e = e[:min(len(e), 3)]
	for i := 0; i < 1_000_000; i++ {
		candidate := b
		if i > 0 || len(b) > 8 {
			suffix := fmt.Sprintf("~%d", max(i, 1))
			candidate = b[:min(len(b), 8-len(suffix))] + suffix
		}
		copy(short[:], fmt.Sprintf("%-8s%-3s", candidate, e))
		if !used[short] {
			return short, long || i > 0, nil
		}
	}
	return short, false, fmt.Errorf("too many names like it in one folder")
}

func shortCharacters(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-~!#$%&'()@^`{}", r) {
			return r
		}
		return '_'
	}, strings.ToUpper(s))
}

// listingSize returns the size in bytes of a folder's entries.
func (n *node) listingSize() int {
	entries := 2 // "." and ".."
	if n.parent == nil {
		entries = 1 // the label
	}
	for _, c := range n.children {
		entries++
		if c.long {
			entries += longEntries(c.Name)
		}
	}
	return entries * direntSize
}

func longEntries(name string) int {
	return (len(utf16.Encode([]rune(name))) + longChars - 1) / longChars
}

// listing returns a folder's entries.
func (fs *FileSystem) listing(n *node) []byte {
	var b []byte
	if n.parent == nil {
		b = fs.dirent(b, short(fs.opt.Label), attrLabel, 0, 0)
	} else {
		up := n.parent.first
		if n.parent.parent == nil {
			up = 0 // ".." of a first-level folder is 0, also where the root has a cluster
		}
		b = fs.dirent(b, short("."), attrDir, n.first, 0)
		b = fs.dirent(b, short(".."), attrDir, up, 0)
	}
	for _, c := range n.children {
		if c.long {
			b = longName(b, c.Name, c.short)
		}
		if c.IsDir() {
			b = fs.dirent(b, c.short, attrDir, c.first, 0)
		} else {
			b = fs.dirent(b, c.short, attrArchive, c.first, uint32(c.Size))
		}
	}
	return b
}

func short(s string) (name [11]byte) {
	copy(name[:], fmt.Sprintf("%-11s", s))
	return name
}

func (fs *FileSystem) dirent(b []byte, name [11]byte, attr byte, first, size uint32) []byte {
	date, clock := fs.stamp()
	e := make([]byte, direntSize)
	copy(e, name[:])
	e[11] = attr
	if attr != attrLabel {
		le.PutUint16(e[14:], clock) // created
		le.PutUint16(e[16:], date)
		le.PutUint16(e[18:], date) // read
	}
	le.PutUint16(e[20:], uint16(first>>16))
	le.PutUint16(e[22:], clock) // written
	le.PutUint16(e[24:], date)
	le.PutUint16(e[26:], uint16(first))
	le.PutUint32(e[28:], size)
	return append(b, e...)
}

func (fs *FileSystem) stamp() (date, clock uint16) {
	t := fs.opt.Time.UTC()
	if t.Year() < 1980 || t.Year() > 2107 {
		return 1<<5 | 1, 0 // 1980-01-01
	}
	return uint16((t.Year()-1980)<<9 | int(t.Month())<<5 | t.Day()), uint16(t.Hour()<<11 | t.Minute()<<5 | t.Second()/2)
}

// longName appends the long-name entries, last part first.
func longName(b []byte, name string, short [11]byte) []byte {
	var sum byte
	for _, c := range short {
		sum = sum&1<<7 + sum>>1 + c
	}
	n := longEntries(name)
	chars := utf16.Encode([]rune(name))
	if len(chars)%longChars != 0 {
		chars = append(chars, 0)
	}
	for len(chars) < n*longChars {
		chars = append(chars, 0xffff)
	}
	places := [longChars]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}
	for i := n; i >= 1; i-- {
		e := make([]byte, direntSize)
		e[0] = byte(i)
		if i == n {
			e[0] |= 0x40
		}
		e[11], e[13] = attrLongName, sum
		for j, at := range places {
			le.PutUint16(e[at:], chars[(i-1)*longChars+j])
		}
		b = append(b, e...)
	}
	return b
}
