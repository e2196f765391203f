package cases

import (
	"bytes"
	"slices"
)

// The lists of a line.
const (
	requires = iota
	conflicts
	replaces
	recommends
	supplements
	provides
	lists
)

var listNames = [lists]string{"requires", "conflicts", "replaces", "recommends", "supplements", "provides"}

// fields are what a line says. Its memory is used for the next line again.
type fields struct {
	name, version, release, epoch, arch, repo, vendor, id, reason []byte

	lists                  [lists][][]byte
	installOnly, installed bool
	priority               *int

	rest  []byte // of the line
	plain []byte // texts that were written with escapes
	seen  int
}

func (f *fields) reset() {
	for i := range f.lists {
		f.lists[i] = f.lists[i][:0]
	}
	*f = fields{lists: f.lists, plain: f.plain[:0]}
}

// set takes over a line that was decoded elsewhere.
func (f *fields) set(l *line) {
	f.reset()
	f.name, f.version, f.release, f.epoch = []byte(l.Name), []byte(l.Version), []byte(l.Release), []byte(l.Epoch)
	f.arch, f.repo, f.vendor, f.id, f.reason = []byte(l.Arch), []byte(l.Repo), []byte(l.Vendor), []byte(l.ID), []byte(l.Reason)
	f.installOnly, f.installed, f.priority = l.InstallOnly, l.Installed, l.Priority
	for i, texts := range [lists][]string{l.Requires, l.Conflicts, l.Replaces, l.Recommends, l.Supplements, l.Provides} {
		for _, text := range texts {
			f.lists[i] = append(f.lists[i], []byte(text))
		}
	}
}

// scan reads a line of the usual form, several times faster than encoding/json.
// It reports false for anything unusual (unknown or repeated fields, other types,
// rare escapes, whatever is wrong), which is then left to encoding/json.
func (f *fields) scan(text []byte) bool {
	f.reset()
	f.rest = text
	if !f.take('{') {
		return false
	}
	for {
		key, ok := f.text()
		if !ok || !f.take(':') || !f.value(key) {
			return false
		}
		if f.take('}') {
			return len(f.rest) == 0
		}
		if !f.take(',') {
			return false
		}
	}
}

// value reads the value of a field.
func (f *fields) value(key []byte) bool {
	var ok bool
	number := 0
	switch string(key) {
	case "name":
		f.name, ok = f.text()
	case "version":
		number = 1
		f.version, ok = f.text()
	case "release":
		number = 2
		f.release, ok = f.textOrNumber()
	case "epoch":
		number = 3
		f.epoch, ok = f.textOrNumber()
	case "arch":
		number = 4
		f.arch, ok = f.text()
	case "repo":
		number = 5
		f.repo, ok = f.text()
	case "vendor":
		number = 6
		f.vendor, ok = f.text()
	case "id":
		number = 7
		f.id, ok = f.text()
	case "reason":
		number = 8
		f.reason, ok = f.text()
	case "install_only":
		number = 9
		f.installOnly, ok = f.truth()
	case "installed":
		number = 10
		f.installed, ok = f.truth()
	default:
		list := slices.Index(listNames[:], string(key))
		if list < 0 {
			return false
		}
		number = 11 + list
		f.lists[list], ok = f.list(f.lists[list])
	}
	if f.seen&(1<<number) != 0 {
		return false
	}
	f.seen |= 1 << number
	return ok
}

// take skips blanks and, if it comes next, c and the blanks behind it.
func (f *fields) take(c byte) bool {
	f.rest = bytes.TrimLeft(f.rest, " \t\r")
	if len(f.rest) == 0 || f.rest[0] != c {
		return false
	}
	f.rest = bytes.TrimLeft(f.rest[1:], " \t\r")
	return true
}

func (f *fields) text() ([]byte, bool) {
	if len(f.rest) == 0 || f.rest[0] != '"' {
		return nil, false
	}
	for i := 1; i < len(f.rest); i++ {
		switch c := f.rest[i]; {
		case c == '"':
			text := f.rest[1:i]
			f.rest = f.rest[i+1:]
			return text, true
		case c == '\\':
			return f.escaped(i)
		case c < ' ' || c > '~':
			return nil, false
		}
	}
	return nil, false
}

// escaped reads a text whose first escape is at a place: \u00XX of ASCII, which
// writers use for < and >, or one of the short ones for a character.
func (f *fields) escaped(first int) ([]byte, bool) {
	start := len(f.plain)
	f.plain = append(f.plain, f.rest[1:first]...)
	for i := first; i < len(f.rest); i++ {
		switch c := f.rest[i]; {
		case c == '"':
			f.rest = f.rest[i+1:]
			return f.plain[start:len(f.plain):len(f.plain)], true
		case c < ' ' || c > '~':
			return nil, false
		case c != '\\':
			f.plain = append(f.plain, c)
		case i+1 < len(f.rest) && bytes.IndexByte([]byte(`"\/`), f.rest[i+1]) >= 0:
			i++
			f.plain = append(f.plain, f.rest[i])
		case i+5 < len(f.rest) && f.rest[i+1] == 'u' && f.rest[i+2] == '0' && f.rest[i+3] == '0':
			high, low := hex(f.rest[i+4]), hex(f.rest[i+5])
			if high < 2 || high > 7 || low > 15 {
				return nil, false
			}
			f.plain = append(f.plain, high<<4|low)
			i += 5
		default:
			return nil, false
		}
	}
	return nil, false
}

// hex returns the value of a hexadecimal digit; more than 15 if it is none.
func hex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

func (f *fields) textOrNumber() ([]byte, bool) {
	n := len(f.rest) - len(bytes.TrimLeft(f.rest, "0123456789"))
	if n == 0 {
		return f.text()
	}
	digits := f.rest[:n]
	f.rest = f.rest[n:]
	plain := len(f.rest) > 0 && bytes.IndexByte([]byte(",} \t\r"), f.rest[0]) >= 0
	return digits, plain && (n == 1 || digits[0] != '0')
}

func (f *fields) truth() (value, ok bool) {
	if after, found := bytes.CutPrefix(f.rest, []byte("true")); found {
		f.rest = after
		return true, true
	}
	f.rest, ok = bytes.CutPrefix(f.rest, []byte("false"))
	return false, ok
}

func (f *fields) list(texts [][]byte) ([][]byte, bool) {
	if !f.take('[') {
		return texts, false
	}
	if f.take(']') {
		return texts, true
	}
	for {
		text, ok := f.text()
		if !ok {
			return texts, false
		}
		texts = append(texts, text)
		if f.take(']') {
			return texts, true
		}
		if !f.take(',') {
			return texts, false
		}
	}
}
