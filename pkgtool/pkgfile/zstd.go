package pkgfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdCodec makes frames that are single-segment (the content's size stands in
// the header, and no window beyond it is needed), with a checksum and without a
// dictionary. See RFC 8878.
type zstdCodec struct{}

var zstdMagic = []byte{0x28, 0xB5, 0x2F, 0xFD}

func (zstdCodec) name() string { return Zstd }

// DefaultLevel is the compression level of Options.Level 0.
const DefaultLevel = 9 // docs/decisions/0025-level-of-compression.md has the figures

func (zstdCodec) compressor(level int) (compressor, error) {
	if level == 0 {
		level = DefaultLevel
	}
	if level < 1 || level > 22 {
		return nil, fmt.Errorf("zstd level %d; 1 to 22 exist", level)
	}
	encoder, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
		zstd.WithWindowSize(bigFrame),
		zstd.WithSingleSegment(true),
		zstd.WithEncoderCRC(true),
		zstd.WithZeroFrames(true))
	if err != nil {
		return nil, err
	}
	return zstdCompressor{encoder}, nil
}

// zstdCompressor can be used concurrently: the encoder keeps states apart.
type zstdCompressor struct{ encoder *zstd.Encoder }

func (c zstdCompressor) compress(content []byte) ([]byte, error) {
	return c.encoder.EncodeAll(content, nil), nil
}

func (c zstdCompressor) close() { c.encoder.Close() }

// zstdDecoder is shared: it only decodes whole frames held in memory, whose size
// was checked before.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(0),
		zstd.WithDecoderMaxMemory(maxMeta),
		zstd.WithDecoderMaxWindow(maxMeta),
		zstd.WithDecodeAllCapLimit(true))
})

func (zstdCodec) decompress(frame, dst []byte) error {
	d, err := zstdDecoder()
	if err != nil {
		return err
	}
	out, err := d.DecodeAll(frame, dst[:0])
	if err == nil && len(out) != len(dst) {
		err = fmt.Errorf("%d bytes instead of %d", len(out), len(dst))
	}
	return err
}

func (zstdCodec) frameLength(r frameReader, limit int64) (content, length int64, err error) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:5]); err != nil {
		return 0, 0, err
	}
	if !bytes.Equal(b[:4], zstdMagic) {
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
