package source

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
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
		plain, err = xz.ReaderConfig{DictCap: maxWindow}.NewReader(in)
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
