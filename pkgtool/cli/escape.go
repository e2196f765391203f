package cli

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// printable makes text from outside safe for one line of a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != ' ' && !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// screen passes lines of text on with everything replaced that a terminal
// would obey instead of show. It stands around all that commands print for
// people, for the texts that nobody thought of: arguments, names of files, other
// programs' errors. A write must not end inside a character.
type screen struct{ w io.Writer }

func (t screen) Write(b []byte) (int, error) {
	safe := bytes.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, b)
	if _, err := t.w.Write(safe); err != nil {
		return 0, err
	}
	return len(b), nil
}

// jsonText does the same for JSON, where such characters can stand as \uXXXX
// and keep their meaning. encoding/json does so for the ASCII ones only.
type jsonText struct{ w io.Writer }

func (j jsonText) Write(b []byte) (int, error) {
	out := make([]byte, 0, len(b))
	for rest := b; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r < utf8.RuneSelf && r != 0x7f || strconv.IsPrint(r):
			out = append(out, rest[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		rest = rest[size:]
	}
	if _, err := j.w.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}
