package index

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
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
	Plain    int64  `json:"-"`        // bytes after decompression; Decode fills it in
}

// Limits bounds what Decode accepts. A zero field means its default.
type Limits struct {
	Size     int64 // decompressed bytes; default 1 GiB
	Packages int   // entries; default 1,000,000
}

const (
	maxLine    = 1 << 20 // a kernel's or a desktop's provides fit many times over
	maxString  = 64 << 10
	maxList    = 100_000
	maxPackage = 1 << 40
	// The encoder's window at our level is 8 MiB; a decoder must not be made to
	// hold more by a hostile file.
	maxWindow = 8 << 20
)

// Encode writes an index: a header line, then a line for each entry, sorted.
// Equal entries in any order give equal bytes. It also returns the length
// before compression, which the signed targets state.
func Encode(channel, arch string, entries []Entry) (data []byte, plain int64, err error) {
	sorted := append([]Entry(nil), entries...)
	if err := Sort(sorted); err != nil {
		return nil, 0, err
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(Header{Format: FormatVersion, Channel: channel, Arch: arch, Packages: len(sorted)}); err != nil {
		return nil, 0, err
	}
	for i := range sorted {
		if err := sorted[i].Validate(); err != nil {
			return nil, 0, err
		}
		if err := enc.Encode(&sorted[i]); err != nil {
			return nil, 0, err
		}
	}
	// One goroutine: the output must not depend on the number of cores.
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression),
		zstd.WithWindowSize(maxWindow))
	if err != nil {
		return nil, 0, err
	}
	defer z.Close()
	return z.EncodeAll(text.Bytes(), nil), int64(text.Len()), nil
}

// Decode reads an index. Its input is expected to have matched a signed hash;
// it is bounded nevertheless.
func Decode(r io.Reader, limits Limits) (Header, []Entry, error) {
	if limits.Size <= 0 {
		limits.Size = 1 << 30
	}
	if limits.Packages <= 0 {
		limits.Packages = 1_000_000
	}
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecoderMaxMemory(uint64(limits.Size)+maxWindow))
	if err != nil {
		return Header{}, nil, fmt.Errorf("index: %w", err)
	}
	defer z.Close()
	bounded := &io.LimitedReader{R: z, N: limits.Size + 1}
	lines := bufio.NewScanner(bounded)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	h, entries, err := decodeLines(lines, limits)
	if bounded.N <= 0 {
		err = fmt.Errorf("index is longer than the %d bytes allowed", limits.Size)
	}
	if err != nil {
		return Header{}, nil, err
	}
	h.Plain = limits.Size + 1 - bounded.N
	return h, entries, nil
}

func decodeLines(lines *bufio.Scanner, limits Limits) (h Header, entries []Entry, err error) {
	if !lines.Scan() {
		return h, nil, fmt.Errorf("index has no header line: %w", errors.Join(lines.Err(), io.ErrUnexpectedEOF))
	}
	if err := json.Unmarshal(lines.Bytes(), &h); err != nil {
		return h, nil, fmt.Errorf("index header: %w", err)
	}
	if h.Format != FormatVersion {
		return h, nil, fmt.Errorf("index format %d: this pkgtool reads format %d", h.Format, FormatVersion)
	}
	if h.Packages < 0 || h.Packages > limits.Packages {
		return h, nil, fmt.Errorf("index states %d packages; at most %d are allowed", h.Packages, limits.Packages)
	}
	seen := map[string]bool{}
	for lines.Scan() {
		if len(entries) == h.Packages {
			return h, nil, fmt.Errorf("index holds more packages than the %d it states", h.Packages)
		}
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return h, nil, fmt.Errorf("index line %d: %w", len(entries)+2, err)
		}
		if err := e.Validate(); err != nil {
			return h, nil, fmt.Errorf("index line %d: %w", len(entries)+2, err)
		}
		if e.Arch != h.Arch {
			return h, nil, fmt.Errorf("index line %d: %s does not belong into an index of %s", len(entries)+2, e.ID(), h.Arch)
		}
		if seen[e.ID()] {
			return h, nil, fmt.Errorf("index line %d: %s is listed twice", len(entries)+2, e.ID())
		}
		seen[e.ID()] = true
		entries = append(entries, e)
	}
	if err := lines.Err(); err != nil {
		return h, nil, fmt.Errorf("index line %d: %w", len(entries)+2, err)
	}
	if len(entries) != h.Packages {
		return h, nil, fmt.Errorf("index states %d packages and holds %d", h.Packages, len(entries))
	}
	return h, entries, nil
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// word reports whether s has 1 to max characters, all of set, the first of
// first. (Regular expressions would cost every start of the program.)
func word(s string, max int, first, set string) bool {
	return s != "" && len(s) <= max && strings.ContainsRune(first, rune(s[0])) && strings.Trim(s, set) == ""
}

func validName(s string) bool { return word(s, 128, lower+digits, lower+digits+"+._-") }

func validArch(s string) bool { return word(s, 32, lower+digits+"_", lower+digits+"_") }

func validSum(s string) bool { return len(s) == 64 && word(s, 64, digits+"abcdef", digits+"abcdef") }

// validVersion looks at the shape only; whether it is a semantic version is
// package version's matter.
func validVersion(s string) bool {
	return word(s, 128, lower+upper+digits, lower+upper+digits+".~-")
}

// Validate says what is wrong with an entry, whoever made it.
func (e *Entry) Validate() error {
	switch {
	case !validName(e.Name):
		return fmt.Errorf("invalid package name %.150q", e.Name)
	case !validVersion(e.Version):
		return fmt.Errorf("package %s: invalid version %.150q", e.Name, e.Version)
	case !validArch(e.Arch):
		return fmt.Errorf("package %s: invalid arch %.50q", e.Name, e.Arch)
	case e.Release == 0:
		return fmt.Errorf("package %s: a release counts from 1", e.Name)
	case !validSum(e.SHA256):
		return fmt.Errorf("package %s: invalid sha256 %.80q", e.ID(), e.SHA256)
	case !validSum(e.Manifest):
		return fmt.Errorf("package %s: invalid manifest_sha256 %.80q", e.ID(), e.Manifest)
	case e.Size <= 0 || e.Size > maxPackage:
		return fmt.Errorf("package %s: impossible size %d", e.ID(), e.Size)
	case e.MetaSize <= 0 || e.MetaSize > e.Size:
		return fmt.Errorf("package %s: impossible meta_size %d", e.ID(), e.MetaSize)
	case e.InstalledSize < 0:
		return fmt.Errorf("package %s: impossible installed_size %d", e.ID(), e.InstalledSize)
	case e.Path != e.PoolPath():
		return fmt.Errorf("package %s: path %.300q should be %s", e.ID(), e.Path, e.PoolPath())
	}
	if _, err := e.EVR(); err != nil {
		return fmt.Errorf("package %s: %w", e.ID(), err)
	}
	return e.validateTexts()
}

// validateTexts keeps control characters out: these strings reach terminals.
func (e *Entry) validateTexts() error {
	for _, s := range []string{e.Upstream, e.Summary, e.Recipe, e.Vendor} {
		if !plain(s) {
			return fmt.Errorf("package %s: text %.80q is too long or not printable", e.ID(), s)
		}
	}
	for _, list := range [][]string{e.Requires, e.Provides, e.Conflicts, e.Replaces, e.Recommends, e.Supplements} {
		if len(list) > maxList {
			return fmt.Errorf("package %s: %d dependencies", e.ID(), len(list))
		}
		for _, s := range list {
			if s == "" || !plain(s) {
				return fmt.Errorf("package %s: dependency %.80q is empty, too long or not printable", e.ID(), s)
			}
		}
	}
	return nil
}

func plain(s string) bool {
	if len(s) > maxString || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
