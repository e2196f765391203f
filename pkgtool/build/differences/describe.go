package differences

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/diff"
)

// MaxSize is the size in bytes up to which contents are described.
const MaxSize = 512 << 20

// Bounds of a description.
const (
	maxParts = 5  // members or sections that are looked into
	maxLines = 30 // of a text
	maxDepth = 4  // archives in archives
	maxText  = 1 << 20
)

// Describe lists in what two contents differ; nothing where they are equal.
func Describe(old, new []byte) []string { return describe(old, new, 0) }

func describe(old, new []byte, depth int) []string {
	if bytes.Equal(old, new) {
		return nil
	}
	if depth < maxDepth {
		for _, look := range []func(old, new []byte, depth int) ([]string, bool){ofGzip, ofZstd, ofArchives, ofELF} {
			if lines, ok := look(old, new, depth); ok {
				return lines
			}
		}
	}
	if lines, ok := ofTexts(old, new); ok {
		return lines
	}
	return ofBytes(old, new)
}

// ofGzip compares what is compressed, and the headers.
func ofGzip(old, new []byte, depth int) ([]string, bool) {
	type content struct {
		header gzip.Header
		data   []byte
	}
	open := func(data []byte) (c content, ok bool) {
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return c, false
		}
		c.header = r.Header
		c.data, err = io.ReadAll(io.LimitReader(r, MaxSize))
		return c, err == nil
	}
	a, okA := open(old)
	b, okB := open(new)
	if !okA || !okB {
		return nil, false
	}
	var lines []string
	if !a.header.ModTime.Equal(b.header.ModTime) {
		lines = append(lines, fmt.Sprintf("gzip header: time %v -> %v (gzip -n leaves it out)", a.header.ModTime.UTC(), b.header.ModTime.UTC()))
	}
	if a.header.Name != b.header.Name {
		lines = append(lines, fmt.Sprintf("gzip header: name %q -> %q", a.header.Name, b.header.Name))
	}
	return inside("gzip", lines, describe(a.data, b.data, depth+1)), true
}

func ofZstd(old, new []byte, depth int) ([]string, bool) {
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	if !bytes.HasPrefix(old, magic) || !bytes.HasPrefix(new, magic) {
		return nil, false
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(MaxSize), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, false
	}
	defer d.Close()
	a, errA := d.DecodeAll(old, nil)
	b, errB := d.DecodeAll(new, nil)
	if errA != nil || errB != nil {
		return nil, false
	}
	return inside("zstd", nil, describe(a, b, depth+1)), true
}

// inside marks lines about the content of something compressed.
func inside(what string, lines, content []string) []string {
	for _, line := range content {
		lines = append(lines, what+": "+line)
	}
	if len(lines) == 0 {
		lines = []string{what + ": the same content, compressed differently"}
	}
	return lines
}

// part is a member of an archive or a section of an ELF file.
type part struct {
	name   string
	header string // besides the content
	data   []byte
}

// ofParts compares two lists of parts by name; of those that have the same name
// the first with the first, and so on.
func ofParts(kind string, old, new []part, depth int) []string {
	var lines []string
	number := func(list []part) (keys []string, at map[string]part) {
		seen := map[string]int{}
		at = map[string]part{}
		for _, p := range list {
			key := p.name
			if seen[p.name]++; seen[p.name] > 1 {
				key = fmt.Sprintf("%s (%d)", p.name, seen[p.name])
			}
			keys = append(keys, key)
			at[key] = p
		}
		return keys, at
	}
	oldKeys, before := number(old)
	newKeys, after := number(new)
	for _, k := range oldKeys {
		if _, ok := after[k]; !ok {
			lines = append(lines, fmt.Sprintf("%s %s is only in the first", kind, printable(k)))
		}
	}
	differing := 0
	for _, k := range newKeys {
		b := after[k]
		a, ok := before[k]
		switch {
		case !ok:
			lines = append(lines, fmt.Sprintf("%s %s is only in the second", kind, printable(k)))
			continue
		case a.header != b.header:
			lines = append(lines, fmt.Sprintf("%s %s: %s -> %s", kind, printable(k), a.header, b.header))
		}
		if bytes.Equal(a.data, b.data) {
			continue
		}
		differing++
		if differing > maxParts {
			continue
		}
		for _, line := range describe(a.data, b.data, depth+1) {
			lines = append(lines, fmt.Sprintf("%s %s: %s", kind, printable(k), line))
		}
	}
	if differing > maxParts {
		lines = append(lines, fmt.Sprintf("and %d %ss more differ", differing-maxParts, kind))
	}
	if len(lines) == 0 && !slices.Equal(oldKeys, newKeys) {
		lines = append(lines, fmt.Sprintf("the same %ss in another order", kind))
	}
	return lines
}

// ofTexts is a diff of lines.
func ofTexts(old, new []byte) ([]string, bool) {
	if !isText(old) || !isText(new) {
		return nil, false
	}
	all := strings.Split(strings.TrimSuffix(string(diff.Diff("first", old, "second", new)), "\n"), "\n")
	if len(all) > 1 {
		all = all[1:] // the command that would print the same
	}
	var lines []string
	for i, line := range all {
		if i == maxLines {
			lines = append(lines, fmt.Sprintf("and %d lines more", len(all)-maxLines))
			break
		}
		lines = append(lines, shorten(printable(strings.ReplaceAll(line, "\t", "    "))))
	}
	return lines, true
}

func isText(data []byte) bool {
	return len(data) > 0 && len(data) <= maxText && utf8.Valid(data) &&
		!bytes.ContainsFunc(data, func(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\n\r\f", r) })
}

// ofBytes shows the bytes around the first difference.
func ofBytes(old, new []byte) []string {
	at := 0
	for at < len(old) && at < len(new) && old[at] == new[at] {
		at++
	}
	count := 0
	for i := at; i < min(len(old), len(new)); i++ {
		if old[i] != new[i] {
			count++
		}
	}
	summary := fmt.Sprintf("%d bytes differ, the first at %#x", count, at)
	switch {
	case len(old) != len(new) && count == 0:
		summary = fmt.Sprintf("%d -> %d bytes, equal up to %#x", len(old), len(new), at)
	case len(old) != len(new):
		summary = fmt.Sprintf("%d -> %d bytes, the first difference at %#x", len(old), len(new), at)
	}
	lines := []string{summary}
	start := at &^ 15
	for _, side := range []struct {
		mark string
		data []byte
	}{{"-", old}, {"+", new}} {
		for line := start; line < min(start+32, len(side.data)); line += 16 {
			row := side.data[line:min(line+16, len(side.data))]
			lines = append(lines, fmt.Sprintf("%s %08x  %-47s  %s", side.mark, line, spaced(row), visible(row)))
		}
	}
	return lines
}

func spaced(row []byte) string {
	text := hex.EncodeToString(row)
	var b strings.Builder
	for i := 0; i < len(text); i += 2 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(text[i : i+2])
	}
	return b.String()
}

func visible(row []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, string(latin(row)))
}

// latin makes one rune of each byte.
func latin(row []byte) []rune {
	runes := make([]rune, len(row))
	for i, c := range row {
		runes[i] = rune(c)
	}
	return runes
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

func shorten(line string) string {
	if runes := []rune(line); len(runes) > 160 {
		return string(runes[:157]) + "..."
	}
	return line
}
