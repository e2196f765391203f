package source

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"sync"

	"github.com/ulikunitz/xz"
)

// An .xz file made with several threads consists of blocks that do not depend
// on each other, listed in an index at its end (The .xz File Format, 1.2.0).
// Decoding them on all cores is worth it: xz is most of the time that
// unpacking the kernel takes.

const (
	xzHeaderSize = 12
	xzFooterSize = 12
	maxXZBlock   = 64 << 20 // bytes decoded; xz -6 makes 24 MiB, -9 192 MiB
	maxXZIndex   = 1 << 20  // bytes
)

type xzBlock struct {
	offset, size int64 // in the file, padded
	unpadded     uint64
	content      uint64 // bytes when decoded
}

// xzLayout is what header, index and footer of a one-stream file say.
type xzLayout struct {
	header []byte
	blocks []xzBlock
}

var errNotBlocks = errors.New("not an xz file of several usable blocks")

// readXZLayout reads the index at the end of the file. Any file that is not
// exactly one stream of two or more blocks of bounded size is errNotBlocks:
// the ordinary decoder then reads it, or says what is wrong with it.
func readXZLayout(file io.ReaderAt, size int64) (*xzLayout, error) {
	if size < xzHeaderSize+xzFooterSize {
		return nil, errNotBlocks
	}
	header, footer := make([]byte, xzHeaderSize), make([]byte, xzFooterSize)
	if _, err := file.ReadAt(header, 0); err != nil {
		return nil, err
	}
	if _, err := file.ReadAt(footer, size-xzFooterSize); err != nil {
		return nil, err
	}
	indexSize := (int64(binary.LittleEndian.Uint32(footer[4:])) + 1) * 4
	if string(header[:6]) != "\xfd7zXZ\x00" || string(footer[10:]) != "YZ" || !bytes.Equal(header[6:8], footer[8:10]) ||
		crc32.ChecksumIEEE(footer[4:10]) != binary.LittleEndian.Uint32(footer) ||
		indexSize > maxXZIndex || indexSize > size-xzHeaderSize-xzFooterSize {
		return nil, errNotBlocks
	}
	index := make([]byte, indexSize)
	if _, err := file.ReadAt(index, size-xzFooterSize-indexSize); err != nil {
		return nil, err
	}
	blocks, err := parseXZIndex(index)
	if err != nil {
		return nil, err
	}
	at := int64(xzHeaderSize)
	for i := range blocks {
		blocks[i].offset = at
		at += blocks[i].size
	}
	if at != size-xzFooterSize-indexSize || len(blocks) < 2 {
		return nil, errNotBlocks
	}
	return &xzLayout{header, blocks}, nil
}

func parseXZIndex(index []byte) ([]xzBlock, error) {
	body, sum := index[:len(index)-4], index[len(index)-4:]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(sum) || body[0] != 0 {
		return nil, errNotBlocks
	}
	body = body[1:]
	next := func() uint64 {
		v, n := binary.Uvarint(body) // the format's integers are the same as Go's
		if n <= 0 || v > 1<<62 {
			body = nil
			return 1 << 63
		}
		body = body[n:]
		return v
	}
	count := next()
	if count > uint64(len(index)) {
		return nil, errNotBlocks
	}
	var blocks []xzBlock
	for range count {
		b := xzBlock{unpadded: next(), content: next()}
		if b.unpadded > 2*maxXZBlock || b.content > maxXZBlock {
			return nil, errNotBlocks
		}
		b.size = int64(b.unpadded+3) &^ 3
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// stream returns block b as an .xz file of its own: the ordinary decoder then
// checks everything about it.
func (l *xzLayout) stream(file io.ReaderAt, b xzBlock) io.Reader {
	index := binary.AppendUvarint([]byte{0, 1}, b.unpadded)
	index = binary.AppendUvarint(index, b.content)
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(index))
	fields := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1))
	fields = append(fields, l.header[6:8]...)
	end := binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(fields))
	end = append(append(end, fields...), "YZ"...)
	return io.MultiReader(bytes.NewReader(l.header), io.NewSectionReader(file, b.offset, b.size), bytes.NewReader(end))
}

func (l *xzLayout) decode(file io.ReaderAt, b xzBlock, buf []byte) ([]byte, error) {
	in := bufio.NewReaderSize(l.stream(file, b), 64<<10)
	if err := checkXZWindow(in); err != nil {
		return nil, err
	}
	reader, err := xz.ReaderConfig{SingleStream: true}.NewReader(in)
	if err != nil {
		return nil, err
	}
	if uint64(cap(buf)) < b.content {
		buf = make([]byte, b.content)
	}
	buf = buf[:b.content]
	if _, err := io.ReadFull(reader, buf); err != nil {
		return nil, err
	}
	if n, err := reader.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		if err == nil || err == io.EOF {
			err = errors.New("xz: a block is longer than the index says")
		}
		return nil, err
	}
	return buf, nil
}

// blockReader delivers the blocks in order while others are being decoded.
type blockReader struct {
	queue chan chan decoded // in order; each gets one answer
	free  chan []byte
	stop  chan struct{}
	group sync.WaitGroup
	once  sync.Once
	block []byte
	rest  []byte
	err   error
}

type decoded struct {
	content []byte
	err     error
}

// newBlockReader decodes with one goroutine a core. The file must stay open
// until Close returns.
func newBlockReader(file io.ReaderAt, layout *xzLayout) *blockReader {
	workers := runtime.GOMAXPROCS(0)
	r := &blockReader{queue: make(chan chan decoded, workers), free: make(chan []byte, workers+2), stop: make(chan struct{})}
	slots := make(chan struct{}, workers)
	r.group.Go(func() {
		defer close(r.queue)
		for _, b := range layout.blocks {
			answer := make(chan decoded, 1)
			if !send(slots, struct{}{}, r.stop) || !send(r.queue, answer, r.stop) {
				return
			}
			r.group.Go(func() {
				defer func() { <-slots }()
				var buf []byte
				select {
				case buf = <-r.free:
				default:
				}
				content, err := layout.decode(file, b, buf)
				answer <- decoded{content, err}
			})
		}
	})
	return r
}

func send[T any](to chan<- T, v T, stop <-chan struct{}) bool {
	select {
	case to <- v:
		return true
	case <-stop:
		return false
	}
}

func (r *blockReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if r.block != nil {
			select {
			case r.free <- r.block:
			default:
			}
			r.block = nil
		}
		answer, ok := <-r.queue
		if !ok {
			r.err = io.EOF
			continue
		}
		d := <-answer
		r.block, r.rest, r.err = d.content, d.content, d.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close stops the decoders and waits for them.
func (r *blockReader) Close() error {
	r.once.Do(func() { close(r.stop) })
	r.group.Wait()
	return nil
}
