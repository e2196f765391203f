package iso9660

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"ashlar/iso/tree"
)

// copyBuffer is the size of one read of content.
const copyBuffer = 1 << 20

// Write writes the image to w: exactly Size bytes. systemArea, of at most
// SystemAreaSize bytes, is what the image starts with.
func (m *Image) Write(ctx context.Context, w io.Writer, systemArea []byte) error {
	if len(systemArea) > SystemAreaSize {
		return fmt.Errorf("iso9660: a system area of %d bytes; there is room for %d", len(systemArea), SystemAreaSize)
	}
	out := &stream{w: bufio.NewWriterSize(w, copyBuffer)}
	out.put(append(systemArea[:len(systemArea):len(systemArea)], make([]byte, SystemAreaSize-len(systemArea))...))
	out.put(m.volumeDescriptor())
	out.put(m.bootRecord())
	out.put(terminator())
	out.put(m.catalog())
	for _, order := range []binary.AppendByteOrder{le, be} {
		var table []byte
		for _, d := range m.folders {
			table = append(table, pathTableRecord(d, order)...)
		}
		out.put(pad(table))
	}
	for _, d := range m.folders {
		records, continued := m.folder(d)
		out.put(records)
		out.put(continued)
	}
	for _, f := range m.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := out.file(f); err != nil {
			return fmt.Errorf("iso9660: %w", err)
		}
	}
	if out.err == nil && out.n != m.Size() {
		return fmt.Errorf("iso9660: wrote %d bytes of %d laid out", out.n, m.Size())
	}
	if out.err != nil {
		return fmt.Errorf("iso9660: %w", out.err)
	}
	return out.w.Flush()
}

// stream counts what goes out and keeps the first error.
type stream struct {
	w   *bufio.Writer
	n   int64
	err error
}

func (s *stream) put(b []byte) {
	if s.err != nil {
		return
	}
	n, err := s.w.Write(b)
	s.n += int64(n)
	s.err = err
}

func (s *stream) file(f *record) error {
	if s.err != nil {
		return s.err
	}
	r, err := f.Content()
	if err != nil {
		return err
	}
	defer r.Close()
	if f.boot != nil && (f.boot.BootInfoTable || f.boot.Patch != nil) {
		b := make([]byte, f.Size) // addBoot bounds it
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("read boot image %s: %w", f.Path, err)
		}
		if err := tree.Finish(r); err != nil {
			return err
		}
		if err := f.patch(b); err != nil {
			return err
		}
		s.put(b)
	} else {
		n, err := io.Copy(s.w, r)
		s.n += n
		if err != nil {
			return err
		}
	}
	s.put(make([]byte, (SectorSize-s.n%SectorSize)%SectorSize))
	return s.err
}

// volumeDescriptor is the primary volume descriptor.
func (m *Image) volumeDescriptor() []byte {
	const noTime = "0000000000000000\x00"
	b := append([]byte{1}, "CD001\x01\x00"...)
	b = text(b, "LINUX", 32)
	b = text(b, m.opt.VolumeID, 32)
	b = append(b, make([]byte, 8)...)
	b = both32(b, m.sectors)
	b = append(b, make([]byte, 32)...)
	b = both16(b, 1) // volumes in the set
	b = both16(b, 1) // number of this one
	b = both16(b, SectorSize)
	b = both32(b, uint32(m.pathTable))
	b = le.AppendUint32(b, m.tables[0])
	b = le.AppendUint32(b, 0)
	b = be.AppendUint32(b, m.tables[1])
	b = be.AppendUint32(b, 0)
	root := recordHead(m.root, m, "\x00", extent{m.root.sector, m.root.length}, false)
	root[0] = byte(len(root))
	b = append(b, root...)
	b = text(b, "", 128) // volume set
	b = text(b, m.opt.Publisher, 128)
	b = text(b, "", 128) // preparer
	b = text(b, m.opt.Application, 128)
	b = text(b, "", 3*37) // copyright, abstract, bibliography files
	stamp := longTime(m.opt.Time)
	b = append(append(b, stamp...), stamp...) // created, changed
	b = append(append(b, noTime...), noTime...)
	return pad(append(b, 1))
}

func longTime(t time.Time) string { return t.UTC().Format("20060102150405") + "00\x00" }

// text appends s, filled or cut to n bytes.
func text(b []byte, s string, n int) []byte {
	return fmt.Appendf(b, "%-*.*s", n, n, s)
}

func terminator() []byte { return pad(append([]byte{255}, "CD001\x01"...)) }
