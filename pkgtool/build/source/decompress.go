package source

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// maxWindow bounds the memory of a decoder, in bytes: what xz -9 needs is
// 64 MiB, what zstd --ultra -22 needs is 128 MiB.
const maxWindow = 256 << 20

// Decompress returns the plain content of r, whose compression (gzip, bzip2,
// xz, zstd or none) is recognised by its first bytes. Decoding runs beside the
// caller, on another core. The caller closes the result; r stays open.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	magic, err := in.Peek(6)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var plain io.Reader
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		plain, err = gzip.NewReader(in)
	case bytes.HasPrefix(magic, []byte("BZh")):
		plain, err = bzip2.NewReader(in), nil
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		if err = checkXZWindow(in); err == nil {
			plain, err = xz.NewReader(in)
		}
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		var d *zstd.Decoder
		d, err = zstd.NewReader(in, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err == nil {
			plain = d.IOReadCloser()
		}
	default:
		plain, err = in, nil
	}
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return newReadAhead(plain), nil
}

// DecompressFile is Decompress for a whole file of size bytes. It decodes the
// blocks of an .xz file on all cores where the file has several. The file must
// stay open until the result is closed.
func DecompressFile(file io.ReaderAt, size int64) (io.ReadCloser, error) {
	layout, err := readXZLayout(file, size)
	if err == nil {
		return newBlockReader(file, layout), nil
	}
	if !errors.Is(err, errNotBlocks) {
		return nil, err
	}
	return Decompress(io.NewSectionReader(file, 0, size))
}

// checkXZWindow refuses an .xz stream whose first block asks for a dictionary
// larger than maxWindow; the decoder would give it up to 4 GiB. (The .xz File
// Format, 3.1 and 5.3.1.)
func checkXZWindow(in *bufio.Reader) error {
	head, _ := in.Peek(xzHeaderSize + 64) // a block header as long as that has no LZMA2 filter
	if len(head) <= xzHeaderSize+2 {
		return nil
	}
	flags, rest := head[xzHeaderSize+1], head[xzHeaderSize+2:]
	skip := 0
	if flags&0x40 != 0 {
		skip++ // compressed size
	}
	if flags&0x80 != 0 {
		skip++ // uncompressed size
	}
	for range skip {
		_, n := binary.Uvarint(rest)
		rest = rest[max(0, n):]
	}
	const lzma2 = 0x21
	if len(rest) < 3 || rest[0] != lzma2 || rest[1] != 1 {
		return nil // the decoder says what is wrong
	}
	if size, err := lzma.DecodeDictCap(rest[2]); err != nil || size > maxWindow {
		return fmt.Errorf("xz: a dictionary of %d bytes is more than any archive needs", size)
	}
	return nil
}

// readAhead reads its source in a goroutine of its own, a few blocks ahead.
type readAhead struct {
	full  chan []byte
	empty chan []byte
	stop  chan struct{}
	done  chan struct{}
	err   error // valid once full is closed
	block []byte
	rest  []byte
}

const (
	aheadBlock = 1 << 20
	aheadCount = 4
)

func newReadAhead(r io.Reader) *readAhead {
	a := &readAhead{full: make(chan []byte, aheadCount), empty: make(chan []byte, aheadCount),
		stop: make(chan struct{}), done: make(chan struct{})}
	for range aheadCount {
		a.empty <- make([]byte, aheadBlock)
	}
	go a.fill(r)
	return a
}

func (a *readAhead) fill(r io.Reader) {
	defer close(a.done)
	defer close(a.full)
	if c, ok := r.(io.Closer); ok {
		defer c.Close()
	}
	for {
		var block []byte
		select {
		case block = <-a.empty:
		case <-a.stop:
			return
		}
		// Not io.ReadFull: it says ErrUnexpectedEOF for a short last block,
		// and a truncated stream says the same.
		var err error
		n := 0
		for n < aheadBlock && err == nil {
			var more int
			more, err = r.Read(block[n:aheadBlock])
			n += more
		}
		if n > 0 {
			a.full <- block[:n] // never blocks: there are only aheadCount blocks
		}
		if err != nil {
			a.err = err
			return
		}
	}
}

func (a *readAhead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.block != nil {
			a.empty <- a.block[:aheadBlock]
			a.block = nil
		}
		block, ok := <-a.full
		if !ok {
			if a.err == nil {
				return 0, io.ErrClosedPipe
			}
			return 0, a.err
		}
		a.block, a.rest = block, block
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// Close stops the goroutine and waits for it, so that the source may be closed.
func (a *readAhead) Close() error {
	select {
	case <-a.stop:
	default:
		close(a.stop)
	}
	<-a.done
	return nil
}
