package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// FuzzTable: a table that is accepted is the only one that says what it says,
// and its frames lie one behind the other.
func FuzzTable(f *testing.F) {
	data := mustEncode(f, universe(1500))
	size, err := TableSize(data)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[:size])
	f.Add(data[:tableHead])
	f.Add(append(slices.Clone(data[:tableHead]), writer, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > tableHead {
			binary.LittleEndian.PutUint32(data[4:], uint32(len(data)-skipHead)) // gets fuzzing past it
		}
		table, err := readTable(data)
		if err != nil {
			return
		}
		at := table.size
		for _, frame := range table.frames {
			if frame.Offset != at || frame.Size <= 0 || frame.Plain <= 0 {
				t.Fatalf("%+v at %d", frame, at)
			}
			at += frame.Size
		}
		if at != table.end() {
			t.Fatalf("it ends at %d, not %d", table.end(), at)
		}
		again, err := appendTable(nil, table.frames)
		if err != nil {
			t.Fatal(err)
		}
		again[tableHead] = table.writer
		if !bytes.Equal(again, data[:table.size]) {
			t.Fatalf("%x is written as %x", data[:table.size], again)
		}
	})
}

// FuzzFrames: whatever frames hold, an index that is read by its table is read
// as the same without it.
func FuzzFrames(f *testing.F) {
	lines, err := appendLines(nil, universe(4))
	if err != nil {
		f.Fatal(err)
	}
	one, _, _ := bytes.Cut(lines, []byte{'\n'})
	quick, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("package00000", string(lines), "package00001", "", 4)
	f.Add("package00000", string(one)+"\n", "package00001", string(one)+"\n", 2)
	f.Add("package00000", "\n", "package00001", "{}\n", 2)
	f.Fuzz(func(t *testing.T, first, text, second, more string, count int) {
		header := fmt.Sprintf(`{"ashlar_index":1,"channel":"stable","arch":"x86_64","packages":%d}`, count)
		var frames []Frame
		var body []byte
		for _, part := range [][2]string{{"", header + "\n"}, {first, text}, {second, more}} {
			if part[1] == "" {
				continue
			}
			data := quick.EncodeAll([]byte(part[1]), nil)
			frames = append(frames, Frame{Size: int64(len(data)), Plain: int64(len(part[1])), SHA256: sha256.Sum256(data), First: part[0]})
			body = append(body, data...)
		}
		data, err := appendTable(nil, frames)
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, body...)
		h, entries, err := Decode(bytes.NewReader(data), Limits{})
		if err != nil {
			return
		}
		size, err := TableSize(data)
		if err != nil {
			t.Fatal(err)
		}
		h2, entries2, err := Decode(bytes.NewReader(data[size:]), Limits{})
		if err != nil || h != h2 || !reflect.DeepEqual(entries, entries2) {
			t.Fatalf("%+v instead of %+v, %v", h2, h, err)
		}
	})
}

// TestTableRefuses: rules of a table that mutations of a good one break.
func TestTableRefuses(t *testing.T) {
	frame := func(size, plain int64, first string) Frame { return Frame{Size: size, Plain: plain, First: first} }
	head := frame(80, 67, "")
	for name, tc := range map[string]struct {
		frames []Frame
		says   string
	}{
		"none":               {nil, "no frames"},
		"no header":          {[]Frame{frame(9, 9, "a")}, "cannot begin"},
		"two headers":        {[]Frame{head, head}, "cannot begin"},
		"no name":            {[]Frame{head, frame(9, 9, "A b")}, "cannot begin"},
		"names out of order": {[]Frame{head, frame(9, 9, "b"), frame(9, 9, "a")}, "order"},
		"a name twice":       {[]Frame{head, frame(9, 9, "b"), frame(9, 9, "b")}, "order"},
		"empty":              {[]Frame{head, frame(9, 0, "b")}, "impossible"},
		"of no bytes":        {[]Frame{head, frame(0, 9, "b")}, "impossible"},
		"longer compressed":  {[]Frame{head, frame(1000, 100, "b")}, "impossible"},
		"of 512 MiB":         {[]Frame{head, frame(1000, 512<<20, "b")}, "impossible"},
		"a long name":        {[]Frame{head, frame(9, 9, strings.Repeat("b", maxName+1))}, "impossible"},
	} {
		data, err := appendTable(nil, tc.frames)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Table(data); err == nil || errors.Is(err, ErrNoTable) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want %q", name, err, tc.says)
		}
	}
}

// TestTableBomb: a table that promises more than is allowed is refused before
// anything is decompressed.
func TestTableBomb(t *testing.T) {
	frames := []Frame{{Size: 80, Plain: 67}}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		frames = append(frames, Frame{Size: 1000, Plain: maxFrame, First: name})
	}
	data, err := appendTable(nil, frames)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Decode(bytes.NewReader(data), Limits{}); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
}
