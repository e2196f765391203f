package pkgfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"

	"github.com/ulikunitz/xz"
)

// xzCodec makes frames that are xz streams (the .xz file format, version 1.2)
// of one block with the LZMA2 filter alone and a CRC64. All of a stream but the
// LZMA2 chunks and the CRC64 is then known beforehand, or follows from the
// lengths of the chunks, and is compared, not parsed.
type xzCodec struct{}

// xzDictionary is the size in bytes of the dictionary for content of n bytes:
// the least power of two that holds it, within bounds. The memory that reading
// takes cannot be chosen by who wrote the file.
func xzDictionary(n int64) int {
	size := 64 << 10
	for int64(size) < n && size < bigFrame {
		size *= 2
	}
	return size
}

var (
	xzMagic = []byte{0xFD, '7', 'z', 'X', 'Z', 0}
	xzFlags = []byte{0, 4} // CRC64
)

var errXZ = errors.New("an xz stream that no package has: it must have one block, LZMA2 with the dictionary that fits the content, and a CRC64")

// xzStart is the stream header and the block header, 12 bytes each, of a stream
// with this dictionary.
func xzStart(dictionary int) []byte {
	b := append(bytes.Clone(xzMagic), xzFlags...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(xzFlags))
	block := []byte{
		2,                                                // 12 bytes
		0,                                                // one filter, sizes not stated
		0x21, 1, byte(bits.Len(uint(dictionary))-13) * 2, // LZMA2; the last byte b stands for 2<<(b/2+11) bytes
		0, 0, 0,
	}
	return binary.LittleEndian.AppendUint32(append(b, block...), crc32.ChecksumIEEE(block))
}

const (
	xzStartSize   = 24
	xzBlockHeader = 12
	xzCheck       = 8 // CRC64
)

func (xzCodec) name() string { return XZ }

func (xzCodec) compressor(level int) (compressor, error) {
	if level != 0 {
		return nil, fmt.Errorf("level %d: xz has no levels here", level)
	}
	return xzCompressor{}, nil
}

type xzCompressor struct{}

func (xzCompressor) compress(content []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := xz.WriterConfig{DictCap: xzDictionary(int64(len(content))), CheckSum: xz.CRC64}.NewWriter(&out)
	if err != nil {
		return nil, fmt.Errorf("xz: %w", err)
	}
	if _, err := w.Write(content); err != nil {
		return nil, fmt.Errorf("xz: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("xz: %w", err)
	}
	return out.Bytes(), nil
}

func (xzCompressor) close() {}

func (xzCodec) decompress(frame, dst []byte) error {
	r, err := xz.ReaderConfig{DictCap: xzDictionary(int64(len(dst))), SingleStream: true}.NewReader(bytes.NewReader(frame))
	if err != nil {
		return err
	}
	if _, err := io.ReadFull(r, dst); err != nil {
		return err
	}
	var more [1]byte
	// The end must be read: the CRC64 is compared there.
	if n, err := r.Read(more[:]); n > 0 {
		return errors.New("more content than it claims")
	} else if err != io.EOF {
		return err
	}
	return nil
}

func (xzCodec) frameLength(r frameReader, limit int64) (content, length int64, err error) {
	start := make([]byte, xzStartSize)
	if _, err := io.ReadFull(r, start); err != nil {
		return 0, 0, err
	}
	// What depends on the content is compared when its length is known.
	if begin := xzStart(bigFrame); !bytes.Equal(start[:16], begin[:16]) {
		return 0, 0, errXZ
	}
	length = xzStartSize
	for {
		unpacked, packed, err := lzma2Chunk(r)
		if err != nil {
			return 0, 0, err
		}
		if content += unpacked; content > maxMeta {
			return 0, 0, fmt.Errorf("an xz stream of more than the %d bytes allowed", maxMeta)
		}
		if length += packed; length > limit {
			return 0, 0, fmt.Errorf("an xz frame longer than %d bytes", limit)
		}
		if unpacked == 0 {
			break
		}
	}
	if !bytes.Equal(start, xzStart(xzDictionary(content))) {
		return 0, 0, errXZ
	}
	unpadded := length - xzStartSize + xzBlockHeader + xzCheck
	end, err := xzEnd(r, length, unpadded, content)
	return content, length + end, err
}

// lzma2Chunk reads the header of an LZMA2 chunk and skips its data: the length
// of what it holds, 0 for the mark of the end, and its own.
func lzma2Chunk(r frameReader) (unpacked, length int64, err error) {
	var b [6]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return 0, 0, err
	}
	control := b[0]
	header, data := 0, 0
	switch {
	case control == 0:
		return 0, 1, nil
	case control <= 2: // not compressed
		header = 3
	case control < 0x80:
		return 0, 0, fmt.Errorf("unknown LZMA2 chunk %#x", control)
	case control < 0xC0:
		header = 5
	default: // new properties
		header = 6
	}
	if _, err := io.ReadFull(r, b[1:header]); err != nil {
		return 0, 0, err
	}
	unpacked = int64(binary.BigEndian.Uint16(b[1:])) + 1
	data = int(unpacked)
	if control >= 0x80 {
		unpacked += int64(control&0x1F) << 16
		data = int(binary.BigEndian.Uint16(b[3:])) + 1
	}
	_, err = r.Discard(data)
	return unpacked, int64(header + data), err
}

// xzEnd reads what stands behind the last chunk, at offset from the beginning of
// the stream, and compares all but the CRC64 with what it must be.
func xzEnd(r frameReader, offset, unpadded, content int64) (length int64, err error) {
	index := []byte{0, 1} // one block
	index = binary.AppendUvarint(index, uint64(unpadded))
	index = binary.AppendUvarint(index, uint64(content))
	index = append(index, make([]byte, -len(index)&3)...)
	index = binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(index))
	footer := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1))
	footer = append(footer, xzFlags...)
	want := make([]byte, -offset&3+xzCheck)
	want = append(want, index...)
	want = binary.LittleEndian.AppendUint32(want, crc32.ChecksumIEEE(footer))
	want = append(append(want, footer...), 'Y', 'Z')
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil {
		return 0, err
	}
	check := got[-offset&3:]
	clear(check[:xzCheck])
	if !bytes.Equal(got, want) {
		return 0, errors.New("the end of an xz stream that its beginning does not have")
	}
	return int64(len(want)), nil
}
