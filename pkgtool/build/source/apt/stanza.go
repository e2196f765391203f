package apt

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// maxLine bounds one line of a control file; the longest real ones (file lists
// of the kernel's source package) have about 100 kB.
const maxLine = 4 << 20

// Stanza is one paragraph of a Debian control file (deb822), keyed by the
// field name as written. A folded value keeps its line breaks.
type Stanza map[string]string

// Stanzas calls each for every paragraph of r in order and stops at the first
// error. Comment lines (#) are skipped. The map is the callee's to keep.
func Stanzas(r io.Reader, each func(Stanza) error) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 64<<10), maxLine)
	var stanza Stanza
	var field string
	var value strings.Builder
	store := func() {
		if field != "" {
			stanza[field] = value.String()
			field = ""
			value.Reset()
		}
	}
	line := 0
	for scanner.Scan() {
		line++
		text := strings.TrimRight(scanner.Text(), " \t\r")
		switch {
		case text == "":
			store()
			if stanza != nil {
				if err := each(stanza); err != nil {
					return err
				}
				stanza = nil
			}
		case text[0] == '#':
		case text[0] == ' ' || text[0] == '\t':
			if field == "" {
				return fmt.Errorf("line %d: a continuation line without a field", line)
			}
			value.WriteByte('\n')
			value.WriteString(strings.TrimSpace(text))
		default:
			name, rest, ok := strings.Cut(text, ":")
			if !ok || name == "" || strings.ContainsAny(name, " \t") {
				return fmt.Errorf("line %d: not a field: %.40q", line, text)
			}
			store()
			if stanza == nil {
				stanza = Stanza{}
			}
			if _, twice := stanza[name]; twice {
				return fmt.Errorf("line %d: field %s given twice", line, name)
			}
			field = name
			value.WriteString(strings.TrimSpace(rest))
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("line %d: %w", line+1, err)
	}
	store()
	if stanza != nil {
		return each(stanza)
	}
	return nil
}

// lines returns the non-empty lines of a folded value.
func lines(value string) []string {
	var out []string
	for l := range strings.SplitSeq(value, "\n") {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}
