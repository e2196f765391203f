package index

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// FormatVersion is the version of the format that this package writes and the only
// one it reads.
const FormatVersion = 1

// Header is the first line of an index.
type Header struct {
	Format   int    `json:"ashlar_index"`
	Channel  string `json:"channel"`
	Arch     string `json:"arch"`
	Packages int    `json:"packages"` // number of lines that follow
	Plain    int64  `json:"-"`        // bytes after decompression; reading fills it in
}

// Limits bounds what Decode accepts. A zero field means its default.
type Limits struct {
	Size     int64 // decompressed bytes; default 1 GiB
	Packages int   // entries; default 1,000,000
}

func (l Limits) orDefault() Limits {
	if l.Size <= 0 {
		l.Size = 1 << 30
	}
	if l.Packages <= 0 {
		l.Packages = 1_000_000
	}
	return l
}

func (l Limits) tooLong() error {
	return fmt.Errorf("index is longer than the %d bytes allowed", l.Size)
}

const (
	maxLine    = 1 << 20 // a kernel's or a desktop's provides fit many times over
	maxName    = 128
	maxString  = 64 << 10
	maxList    = 100_000
	maxPackage = 1 << 40
	// Indexes of one frame have this window; a decoder must not be made to hold
	// more by a hostile file.
	maxWindow = 8 << 20
)

// Encode writes an index. Equal entries in any order give equal bytes, which
// are also those that Edit gives. It also returns the length before
// compression, which the signed targets state.
func Encode(channel, arch string, entries []Entry) (data []byte, plain int64, err error) {
	sorted := append([]Entry(nil), entries...)
	if err := Sort(sorted); err != nil {
		return nil, 0, err
	}
	var items []item
	for begin := 0; begin < len(sorted); {
		end := begin + 1
		for end < len(sorted) && sorted[end].Name == sorted[begin].Name {
			end++
		}
		it := item{name: sorted[begin].Name}
		if it.text, err = appendLines(nil, sorted[begin:end]); err != nil {
			return nil, 0, err
		}
		it.plain = int64(len(it.text))
		items = append(items, it)
		begin = end
	}
	var frames []packed
	for i, begins := range cut(items) {
		if begins {
			frames = append(frames, packed{frame: Frame{First: items[i].name}})
		}
		last := &frames[len(frames)-1]
		last.text = append(last.text, items[i].text...)
	}
	return assemble(Header{Format: FormatVersion, Channel: channel, Arch: arch, Packages: len(sorted)}, frames)
}

// appendLines writes the lines of valid entries.
func appendLines(text []byte, entries []Entry) (_ []byte, err error) {
	for i := range entries {
		if err := entries[i].Validate(); err != nil {
			return nil, err
		}
		before := len(text)
		if text, err = appendLine(text, &entries[i]); err != nil {
			return nil, err
		}
		if len(text)-before > maxLine {
			return nil, fmt.Errorf("package %s: its line has %d bytes; at most %d are allowed", entries[i].ID(), len(text)-before, maxLine)
		}
	}
	return text, nil
}

func appendLine(text []byte, e *Entry) ([]byte, error) {
	b := bytes.NewBuffer(text)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(e)
	return b.Bytes(), err
}

// Decode reads an index. Its input is expected to have matched a signed hash;
// it is bounded nevertheless.
func Decode(r io.Reader, limits Limits) (Header, []Entry, error) {
	limits = limits.orDefault()
	in := bufio.NewReader(r)
	h, entries, err := decode(in, limits)
	if err != nil {
		return Header{}, nil, err
	}
	return h, entries, nil
}

func decode(in *bufio.Reader, limits Limits) (Header, []Entry, error) {
	begin, _ := in.Peek(tableHead)
	size, err := TableSize(begin)
	if err == ErrNoTable {
		return decodeStream(in, limits)
	}
	if err != nil {
		return Header{}, nil, err
	}
	data, err := readFully(in, size)
	if err != nil {
		return Header{}, nil, fmt.Errorf("the table of the index: %w", err)
	}
	t, err := readTable(data)
	if err != nil {
		return Header{}, nil, err
	}
	return decodeFrames(in, t, limits)
}

// readFully reads size bytes, without believing that there are so many.
func readFully(r io.Reader, size int64) ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, 0, min(size, 1<<20)))
	_, err := io.CopyN(b, r, size)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b.Bytes(), err
}
