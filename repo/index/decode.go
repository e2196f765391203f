package index

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// decodeFrames reads an index behind its table, several frames at once.
func decodeFrames(in *bufio.Reader, t table, limits Limits) (h Header, entries []Entry, err error) {
	if t.plain() > limits.Size {
		return h, nil, limits.tooLong()
	}
	workers := min(runtime.GOMAXPROCS(0), maxWorkers)
	u := newUnpacker(workers)
	defer u.z.Close()
	next := func(f Frame) ([]byte, error) {
		data, err := readFully(in, f.Size)
		if err != nil {
			return nil, fmt.Errorf("index frame of package %.150q: %w", f.First, err)
		}
		return data, f.check(data)
	}
	data, err := next(t.frames[0])
	if err != nil {
		return h, nil, err
	}
	text, err := u.unpack(t.frames[0], data)
	if err != nil {
		return h, nil, err
	}
	if h, err = parseHeaderFrame(text, limits); err != nil {
		return h, nil, err
	}
	frames := t.frames[1:]
	parts := make([][]Entry, len(frames))
	var group errgroup.Group
	group.SetLimit(workers)
	for i, f := range frames {
		data, failure := next(f)
		if failure != nil {
			err = failure
			break
		}
		group.Go(func() error {
			text, err := u.unpack(f, data)
			if err == nil {
				parts[i], err = parseFrame(f, text, h.Arch)
			}
			return err
		})
	}
	if err := errors.Join(group.Wait(), err); err != nil {
		return h, nil, err
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return h, nil, errors.New("index goes on behind its last frame")
	}
	for i, part := range parts {
		if i > 0 && frames[i].First <= parts[i-1][len(parts[i-1])-1].Name {
			return h, nil, fmt.Errorf("index frame of package %s: the frame before it goes further", frames[i].First)
		}
		entries = append(entries, part...)
	}
	h.Plain = t.plain()
	return h, entries, h.count(len(entries))
}

// count compares the number of packages with what the header says.
func (h *Header) count(n int) error {
	if n > h.Packages {
		return fmt.Errorf("index holds more packages than the %d it states", h.Packages)
	}
	if n < h.Packages {
		return fmt.Errorf("index states %d packages and holds %d", h.Packages, n)
	}
	return nil
}

func parseHeader(line []byte, limits Limits) (h Header, err error) {
	if err := json.Unmarshal(line, &h); err != nil {
		return h, fmt.Errorf("index header: %w", err)
	}
	if h.Format != FormatVersion {
		return h, fmt.Errorf("index format %d: this pkgtool reads format %d", h.Format, FormatVersion)
	}
	if h.Packages < 0 || h.Packages > limits.Packages {
		return h, fmt.Errorf("index states %d packages; at most %d are allowed", h.Packages, limits.Packages)
	}
	return h, nil
}

// parseHeaderFrame reads the frame that has nothing but the header line.
func parseHeaderFrame(text []byte, limits Limits) (Header, error) {
	line, rest, _ := bytes.Cut(text, []byte{'\n'})
	if len(rest) > 0 {
		return Header{}, errors.New("index header: it does not have a frame of its own")
	}
	return parseHeader(line, limits)
}

// parseFrame reads the lines of a frame.
func parseFrame(f Frame, text []byte, arch string) (entries []Entry, err error) {
	entries = make([]Entry, 0, bytes.Count(text, []byte{'\n'}))
	lines := lineReader{arch: arch}
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte{'\n'})
		e, err := lines.parse(line)
		if err != nil {
			return nil, fmt.Errorf("index frame of package %s: %w", f.First, err)
		}
		entries = append(entries, e)
		text = rest
	}
	if entries[0].Name != f.First {
		return nil, fmt.Errorf("index frame of package %s: it begins with %s", f.First, entries[0].Name)
	}
	return entries, nil
}

// decodeStream reads an index without a table: one of an earlier version of
// this program, as a rule.
func decodeStream(in io.Reader, limits Limits) (h Header, entries []Entry, err error) {
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecoderMaxMemory(uint64(limits.Size)+maxWindow))
	if err != nil {
		return h, nil, fmt.Errorf("index: %w", err)
	}
	defer z.Close()
	bounded := &io.LimitedReader{R: z, N: limits.Size + 1}
	lines := bufio.NewScanner(bounded)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	h, entries, err = decodeLines(lines, limits)
	if bounded.N <= 0 {
		err = limits.tooLong()
	}
	h.Plain = limits.Size + 1 - bounded.N
	return h, entries, err
}

func decodeLines(lines *bufio.Scanner, limits Limits) (h Header, entries []Entry, err error) {
	if !lines.Scan() {
		return h, nil, fmt.Errorf("index has no header line: %w", errors.Join(lines.Err(), io.ErrUnexpectedEOF))
	}
	if h, err = parseHeader(lines.Bytes(), limits); err != nil {
		return h, nil, err
	}
	reader := lineReader{arch: h.Arch}
	for lines.Scan() {
		if len(entries) == h.Packages {
			return h, nil, h.count(len(entries) + 1)
		}
		e, err := reader.parse(lines.Bytes())
		if err != nil {
			return h, nil, fmt.Errorf("index line %d: %w", len(entries)+2, err)
		}
		entries = append(entries, e)
	}
	if err := lines.Err(); err != nil {
		return h, nil, fmt.Errorf("index line %d: %w", len(entries)+2, err)
	}
	return h, entries, h.count(len(entries))
}

// lineReader reads the lines of packages, which must be in the order of names.
type lineReader struct {
	arch string
	same []Entry // the packages so far that have the name of the last one
}

func (r *lineReader) parse(line []byte) (e Entry, err error) {
	if len(line) >= maxLine {
		return e, bufio.ErrTooLong
	}
	if e, err = parseLine(line); err != nil {
		return e, err
	}
	if err := e.Validate(); err != nil {
		return e, err
	}
	if e.Arch != r.arch {
		return e, fmt.Errorf("%s does not belong into an index of %s", e.ID(), r.arch)
	}
	if len(r.same) > 0 && r.same[0].Name != e.Name {
		if r.same[0].Name > e.Name {
			return e, fmt.Errorf("%s is not in the order of names", e.ID())
		}
		r.same = r.same[:0]
	}
	for i := range r.same {
		if sameID(&r.same[i], &e) {
			return e, fmt.Errorf("%s is listed twice", e.ID())
		}
	}
	r.same = append(r.same, e)
	return e, nil
}

// sameID tells whether two entries have the same ID.
func sameID(a, b *Entry) bool {
	return a.Release == b.Release && a.Epoch == b.Epoch && a.Version == b.Version && a.Name == b.Name && a.Arch == b.Arch
}
