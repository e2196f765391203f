package trigger

import (
	"bytes"
	"slices"
)

const keptLog = 64 << 10 // bytes of the log that are kept at least: its end

// printed keeps the end of what triggers print, and knows which one is running:
// the sandbox announces each.
type printed struct {
	headings []string
	current  int    // the trigger that was announced last
	begin    int    // where its output begins in data
	line     []byte // the beginning of the last line
	data     []byte
}

func newPrinted(triggers []Trigger) *printed {
	p := &printed{}
	for _, t := range triggers {
		p.headings = append(p.headings, "==> "+heading(t)+"\n")
	}
	return p
}

func (p *printed) Write(text []byte) (int, error) {
	for part := range bytes.Lines(text) {
		p.data = append(p.data, part...)
		if len(p.line) < 1024 {
			p.line = append(p.line, part...)
		}
		if part[len(part)-1] != '\n' {
			continue
		}
		if i := slices.Index(p.headings, string(p.line)); i >= 0 && (i == p.current+1 || p.begin == 0) {
			p.current, p.begin = i, len(p.data)
		}
		p.line = p.line[:0]
	}
	if surplus := len(p.data) - keptLog; surplus > keptLog {
		p.data = slices.Delete(p.data, 0, surplus)
		p.begin = max(1, p.begin-surplus)
	}
	return len(text), nil
}

// ofCurrent is what the trigger printed that was announced last.
func (p *printed) ofCurrent() string { return string(p.data[min(p.begin, len(p.data)):]) }
