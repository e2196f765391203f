package pkgfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Our frames are single-segment (the content's size stands in the header, and
// no window beyond it is needed), with a checksum and without a dictionary.
// See RFC 8878.

// DefaultLevel is the compression level of Options.Level 0.
const DefaultLevel = 9

func newEncoder(level int) (*zstd.Encoder, error) {
	if level == 0 {
		level = DefaultLevel
	}
	return zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
		zstd.WithWindowSize(bigFrame),
		zstd.WithSingleSegment(true),
		zstd.WithEncoderCRC(true),
		zstd.WithZeroFrames(true))
}

// decoder is shared: it only decodes whole frames held in memory, whose size
// was checked before.
var decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(0),
		zstd.WithDecoderMaxMemory(maxMeta),
		zstd.WithDecoderMaxWindow(maxMeta),
		zstd.WithDecodeAllCapLimit(true))
})

// maxCompressed is the most that n bytes can become: raw blocks of at least 4 KiB with
// 3 bytes each, a header of at most 14 and a checksum of 4 bytes.
func maxCompressed(n int64) int64 { return n + 3*(n>>12+1) + 18 }

// decodeFrame decompresses exactly one frame of ours into dst, which must be
// empty and have exactly the capacity of the content.
func decodeFrame(frame, dst []byte) ([]byte, error) {
	size, length, err := frameLength(&sliceReader{b: frame}, int64(len(frame)))
	if err != nil {
		return nil, err
	}
	if size != int64(cap(dst)) {
		return nil, fmt.Errorf("the frame says it holds %d bytes instead of %d", size, cap(dst))
	}
	if length != int64(len(frame)) {
		return nil, fmt.Errorf("%d bytes behind the end of the frame", int64(len(frame))-length)
	}
	d, err := decoder()
	if err != nil {
		return nil, err
	}
	out, err := d.DecodeAll(frame, dst)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(out) != cap(dst) {
		return nil, fmt.Errorf("decompressed to %d bytes instead of %d", len(out), cap(dst))
	}
	return out, nil
}

type frameReader interface {
	io.Reader
	Discard(n int) (int, error)
}

type sliceReader struct{ b []byte }

func (s *sliceReader) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.b)
	s.b = s.b[n:]
	return n, nil
}

func (s *sliceReader) Discard(n int) (int, error) {
	if n > len(s.b) {
		return 0, io.ErrUnexpectedEOF
	}
	s.b = s.b[n:]
	return n, nil
}

// frameLength reads a frame's headers, and nothing else: the size of its
// content as it claims, and its own length, which is at most limit.
func frameLength(r frameReader, limit int64) (content, length int64, err error) {
	defer func() {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = errors.New("truncated zstd frame")
		}
	}()
	var b [8]byte
	if _, err := io.ReadFull(r, b[:5]); err != nil {
		return 0, 0, err
	}
	if binary.LittleEndian.Uint32(b[:]) != 0xFD2FB528 {
		return 0, 0, errors.New("not a zstd frame")
	}
	descriptor := b[4]
	if descriptor&^0xC0 != 0x24 { // single segment, checksum, no dictionary, no reserved bit
		return 0, 0, errors.New("a zstd frame that no package has: it must be single-segment, with checksum, without dictionary")
	}
	width := 1 << (descriptor >> 6)
	clear(b[:])
	if _, err := io.ReadFull(r, b[:width]); err != nil {
		return 0, 0, err
	}
	claim := binary.LittleEndian.Uint64(b[:])
	if width == 2 {
		claim += 256
	}
	if claim > maxMeta {
		return 0, 0, fmt.Errorf("a zstd frame of %d bytes, more than the %d allowed", claim, maxMeta)
	}
	length = int64(5 + width)
	for {
		if _, err := io.ReadFull(r, b[:3]); err != nil {
			return 0, 0, err
		}
		header := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		size := int(header >> 3)
		switch header >> 1 & 3 {
		case 1: // run of one byte
			size = 1
		case 3:
			return 0, 0, errors.New("reserved zstd block type")
		}
		if _, err := r.Discard(size); err != nil {
			return 0, 0, err
		}
		if length += 3 + int64(size); length > limit {
			return 0, 0, fmt.Errorf("a zstd frame longer than %d bytes", limit)
		}
		if header&1 == 1 {
			break
		}
	}
	if _, err := r.Discard(4); err != nil {
		return 0, 0, err
	}
	return int64(claim), length + 4, nil
}

// metaLength finds the length of the meta frame at the beginning of a package.
func metaLength(r io.ReaderAt, size int64) (content, length int64, err error) {
	limit := min(size, maxCompressed(maxMeta))
	return frameLength(bufio.NewReaderSize(io.NewSectionReader(r, 0, limit), 4096), limit)
}
