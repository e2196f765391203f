package pkgfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// The compressions that a package can have. All frames of one package have the
// same.
const (
	Zstd = "zstd" // the default
	XZ   = "xz"   // smaller, and several times as slow to read; for hosts whose tar knows no zstd
)

// Compressions lists them, the default first.
func Compressions() []string { return []string{Zstd, XZ} }

// codec is one kind of frame.
type codec interface {
	name() string
	// compressor returns what makes frames; level 0 is the default.
	compressor(level int) (compressor, error)
	// frameLength reads a frame's headers, and nothing else: the size of its
	// content as it claims, and its own length, which is at most limit.
	frameLength(r frameReader, limit int64) (content, length int64, err error)
	// decompress fills dst with the content of a frame, whose length and claimed
	// size were checked. What capacity dst has beyond that may be written to.
	decompress(frame, dst []byte) error
}

// compressor makes one frame of each content. It can be used concurrently.
type compressor interface {
	compress(content []byte) ([]byte, error)
	close()
}

var codecs = []codec{zstdCodec{}, xzCodec{}}

// codecNamed returns the codec for Options.Compression; "" is the default.
func codecNamed(name string) (codec, error) {
	if name == "" {
		return codecs[0], nil
	}
	if i := slices.IndexFunc(codecs, func(c codec) bool { return c.name() == name }); i >= 0 {
		return codecs[i], nil
	}
	return nil, fmt.Errorf("compression %.50q; zstd and xz exist", name)
}

// maxCompressed is the most that n bytes can become in any codec: raw blocks of
// at least 4 KiB with 3 bytes each, and what stands before and behind: at most
// 18 bytes in zstd, 80 in xz.
func maxCompressed(n int64) int64 { return n + 3*(n>>12+1) + 80 }

// decodeFrame decompresses exactly one frame into dst, which must have exactly
// the length of the content. It is faster if the capacity is decodeRoom more.
func decodeFrame(c codec, frame, dst []byte) error {
	size, length, err := frameLength(c, &sliceReader{b: frame}, int64(len(frame)))
	if err != nil {
		return err
	}
	if size != int64(len(dst)) {
		return fmt.Errorf("the frame says it holds %d bytes instead of %d", size, len(dst))
	}
	if length != int64(len(frame)) {
		return fmt.Errorf("%d bytes behind the end of the frame", int64(len(frame))-length)
	}
	if err := c.decompress(frame, dst); err != nil {
		return fmt.Errorf("decompress: %w", err)
	}
	return nil
}

// decodeRoom behind a frame's content lets the zstd decoder copy 16 bytes at a
// time in every block: it wants space for the longest possible one.
const decodeRoom = 128<<10 + 16

// frameLength is the codec's, with one error for every place where a frame can
// be cut off.
func frameLength(c codec, r frameReader, limit int64) (content, length int64, err error) {
	content, length, err = c.frameLength(r, limit)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = fmt.Errorf("truncated %s frame", c.name())
	}
	if err == nil && length > limit {
		err = fmt.Errorf("a %s frame longer than %d bytes", c.name(), limit)
	}
	return content, length, err
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

// findMeta finds the meta frame at the beginning of a package: its codec, the
// size of its content as it claims, and its length.
func findMeta(r io.ReaderAt, size int64) (c codec, content, length int64, err error) {
	limit := min(size, maxCompressed(maxMeta))
	in := bufio.NewReaderSize(io.NewSectionReader(r, 0, limit), 4096)
	start, err := in.Peek(len(xzMagic))
	if err != nil && err != io.EOF {
		return nil, 0, 0, err
	}
	switch {
	case bytes.HasPrefix(start, zstdMagic):
		c = zstdCodec{}
	case bytes.HasPrefix(start, xzMagic):
		c = xzCodec{}
	default:
		return nil, 0, 0, errors.New("neither a zstd frame nor an xz stream")
	}
	content, length, err = frameLength(c, in, limit)
	return c, content, length, err
}
