package boot

import (
	"strings"
	"unicode/utf8"
)

// maxLine is where a line without an end is cut.
const maxLine = 64 << 10

// cleaner turns the bytes of a terminal into lines of plain text: escape
// sequences go, backspace deletes, and a jump of the cursor ends the line
// (boot loaders draw menus that way). It works byte by byte, so it does not
// matter how the stream is cut.
type cleaner struct {
	line     []byte
	state    cleanerState
	returned bool // a carriage return came, and what follows decides
	emit     func(line string)
}

type cleanerState int

const (
	text cleanerState = iota
	escape
	control // ESC [ ... final byte
	command // ESC ] ... BEL or ESC \
	charset // ESC ( and one byte
	commandEnd
)

// Write implements io.Writer; it never fails.
func (c *cleaner) Write(p []byte) (int, error) {
	for _, b := range p {
		c.byte(b)
	}
	return len(p), nil
}

// unfinished is the line that has no end yet, as it is; partial is the same
// without blanks at its end.
func (c *cleaner) unfinished() string { return strings.ToValidUTF8(string(c.line), "\uFFFD") }
func (c *cleaner) partial() string    { return plain(c.line) }

func (c *cleaner) byte(b byte) {
	switch c.state {
	case escape:
		c.escaped(b)
	case control:
		if b >= 0x40 && b <= 0x7e {
			c.state = text
			if strings.IndexByte("HfABEFdJ", b) >= 0 && len(c.line) > 0 {
				c.end()
			}
		}
	case command:
		if b == 7 {
			c.state = text
		} else if b == 27 {
			c.state = commandEnd
		}
	case charset, commandEnd:
		c.state = text
	default:
		c.plainByte(b)
	}
}

func (c *cleaner) escaped(b byte) {
	switch b {
	case '[':
		c.state = control
	case ']', 'P', '_', '^':
		c.state = command
	case '(', ')', '#', '%':
		c.state = charset
	case 27:
	default:
		c.state = text
	}
}

func (c *cleaner) plainByte(b byte) {
	if c.returned && b != '\r' && b != 27 {
		c.returned = false
		if b != '\n' && len(c.line) > 0 {
			c.end()
		}
	}
	switch {
	case b == '\n':
		c.end()
	case b == '\r':
		c.returned = true
	case b == 27:
		c.state = escape
	case b == '\b' || b == 0x7f:
		if _, size := utf8.DecodeLastRune(c.line); size > 0 {
			c.line = c.line[:len(c.line)-size]
		}
	case b >= 0x20 || b == '\t':
		c.line = append(c.line, b)
		if len(c.line) >= maxLine {
			c.end()
		}
	}
}

func (c *cleaner) end() {
	c.emit(plain(c.line))
	c.line = c.line[:0]
}

func plain(b []byte) string {
	return strings.TrimRight(strings.ToValidUTF8(string(b), "\uFFFD"), " \t")
}
