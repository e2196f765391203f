package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// An index file is a zstd skippable frame with the table, a frame with the
// header line, and frames with the lines of packages. Frames begin where the
// name of a package changes (cut.go says where), so that what is known of one
// frame stays true of it in every index that has it.

// Frame is one zstd frame of an index, as the table describes it.
type Frame struct {
	Offset int64    // where it begins in the file
	Size   int64    // bytes in the file
	Plain  int64    // bytes after decompression
	SHA256 [32]byte // of the bytes in the file
	First  string   // name of its first package; empty for the header's frame, which is the first one
}

// ErrNoTable is returned for an index that is not divided into frames that a
// table describes: one of an earlier pkgtool, or one with a table of a later
// version. Decode reads it all the same.
var ErrNoTable = errors.New("the index has no table of its frames")

const (
	skippable    = 0x184D2A5A // magic number of a zstd frame that decoders skip
	skipHead     = 8          // magic number and length
	tableMagic   = "ASHLARIX"
	tableVersion = 1
	tableHead    = skipHead + len(tableMagic) + 1
	maxTable     = 64 << 20 // a million packages, each in a frame of its own
	minRow       = 1 + 1 + 32 + 1
)

// TableSize returns how many bytes at the start of an index hold its table, of
// which begin are the first ones, 17 or more. The error is ErrNoTable if there
// is none.
func TableSize(begin []byte) (int64, error) {
	if len(begin) < tableHead || binary.LittleEndian.Uint32(begin) != skippable ||
		string(begin[skipHead:tableHead-1]) != tableMagic || begin[tableHead-1] != tableVersion {
		return 0, ErrNoTable
	}
	size := int64(binary.LittleEndian.Uint32(begin[4:])) + skipHead
	if size > maxTable || size < int64(tableHead) {
		return 0, fmt.Errorf("an index table of %d bytes; at most %d are allowed", size, maxTable)
	}
	return size, nil
}

// Table returns the frames of an index, of which data is the whole or the first
// TableSize bytes. Whether the frames are what it says is not looked at.
func Table(data []byte) ([]Frame, error) {
	t, err := readTable(data)
	return t.frames, err
}

// table is a table as it was read. Indexes of another writer have their frames
// cut or compressed in another way than ours.
type table struct {
	size   int64 // of the table itself, in the file
	writer byte
	frames []Frame
}

// plain is the length of the index after decompression.
func (t *table) plain() (sum int64) {
	for _, f := range t.frames {
		sum += f.Plain
	}
	return sum
}

// end is the length of the index in the file.
func (t *table) end() int64 {
	last := t.frames[len(t.frames)-1]
	return last.Offset + last.Size
}

func readTable(data []byte) (table, error) {
	size, err := TableSize(data)
	if err != nil {
		return table{}, err
	}
	if size > int64(len(data)) {
		return table{}, errors.New("the table of the index is cut off")
	}
	t, err := parseRows(data[tableHead:size])
	if err != nil {
		return table{}, fmt.Errorf("the table of the index: %w", err)
	}
	t.size = size
	at := size
	for i := range t.frames {
		t.frames[i].Offset = at
		at += t.frames[i].Size
	}
	return t, nil
}

func parseRows(rows []byte) (t table, err error) {
	if len(rows) == 0 {
		return t, errors.New("it ends early")
	}
	r := rowReader{rest: rows[1:]}
	t.writer = rows[0]
	n := r.number(int64(len(rows) / minRow))
	for range n {
		f := Frame{Size: r.number(maxFrame), Plain: r.number(maxFrame)}
		copy(f.SHA256[:], r.take(32))
		f.First = string(r.take(r.number(maxName)))
		if r.err != nil {
			return t, r.err
		}
		last := len(t.frames) - 1
		switch {
		case f.Size == 0 || f.Plain == 0 || f.Size > f.Plain+f.Plain/64+64:
			return t, fmt.Errorf("frame %d has impossible sizes", last+1)
		case last < 0 && f.First != "", last >= 0 && !validName(f.First):
			return t, fmt.Errorf("frame %d cannot begin with package %.150q", last+1, f.First)
		case last >= 0 && f.First <= t.frames[last].First:
			return t, fmt.Errorf("frames %d and %d are not in the order of names", last, last+1)
		}
		t.frames = append(t.frames, f)
	}
	switch {
	case r.err != nil:
		return t, r.err
	case n == 0:
		return t, errors.New("it has no frames")
	case len(r.rest) > 0:
		return t, errors.New("it goes on behind its end")
	}
	return t, nil
}

// appendTable writes a table. Offsets follow from sizes and are not written.
func appendTable(b []byte, frames []Frame) ([]byte, error) {
	begin := len(b)
	b = binary.LittleEndian.AppendUint32(b, skippable)
	b = binary.LittleEndian.AppendUint32(b, 0) // becomes the length
	b = append(append(b, tableMagic...), tableVersion, writer)
	b = binary.AppendUvarint(b, uint64(len(frames)))
	for _, f := range frames {
		b = binary.AppendUvarint(b, uint64(f.Size))
		b = binary.AppendUvarint(b, uint64(f.Plain))
		b = append(b, f.SHA256[:]...)
		b = append(binary.AppendUvarint(b, uint64(len(f.First))), f.First...)
	}
	if len(b)-begin > maxTable {
		return nil, fmt.Errorf("an index of %d frames; its table would be longer than %d bytes", len(frames), maxTable)
	}
	binary.LittleEndian.PutUint32(b[begin+4:], uint32(len(b)-begin-skipHead))
	return b, nil
}

// rowReader takes numbers and bytes off a table. After an error it returns
// zeroes.
type rowReader struct {
	rest []byte
	err  error
}

// number reads an unsigned LEB128 of at most max, written as shortly as it can be.
func (r *rowReader) number(max int64) int64 {
	n, length := binary.Uvarint(r.rest)
	switch {
	case r.err != nil:
		return 0
	case length <= 0 || n > math.MaxInt64 || int64(n) > max || length > 1 && r.rest[length-1] == 0:
		r.err = errors.New("it ends early or holds an impossible number")
		return 0
	}
	r.rest = r.rest[length:]
	return int64(n)
}

func (r *rowReader) take(n int64) []byte {
	if r.err != nil || n > int64(len(r.rest)) {
		r.err = errors.Join(r.err, errors.New("it ends early"))
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}
