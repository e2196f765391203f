package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// packed is a frame to be written.
type packed struct {
	frame Frame
	text  []byte // what it holds; nil if data is there already
	data  []byte
}

// assemble compresses what is not compressed, and writes an index.
func assemble(header Header, frames []packed) (data []byte, plain int64, err error) {
	line, err := json.Marshal(header)
	if err != nil {
		return nil, 0, err
	}
	frames = append([]packed{{text: append(line, '\n')}}, frames...)
	if err := pack(frames); err != nil {
		return nil, 0, err
	}
	rows := make([]Frame, len(frames))
	for i, p := range frames {
		rows[i] = p.frame
		plain += p.frame.Plain
	}
	if data, err = appendTable(nil, rows); err != nil {
		return nil, 0, err
	}
	for _, p := range frames {
		data = append(data, p.data...)
	}
	return data, plain, nil
}

// pack compresses frames, several at once: none depends on another one.
func pack(frames []packed) error {
	workers := min(runtime.GOMAXPROCS(0), maxWorkers, len(frames))
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(workers), zstd.WithEncoderLevel(zstd.SpeedBestCompression),
		zstd.WithWindowSize(packWindow))
	if err != nil {
		return err
	}
	defer z.Close()
	var group errgroup.Group
	group.SetLimit(workers)
	for i := range frames {
		p := &frames[i]
		if p.text == nil {
			continue
		}
		group.Go(func() error {
			p.data = z.EncodeAll(p.text, nil)
			p.frame.Size, p.frame.Plain, p.frame.SHA256 = int64(len(p.data)), int64(len(p.text)), sha256.Sum256(p.data)
			if p.frame.Plain > maxFrame {
				return fmt.Errorf("package %s: its versions take %d bytes; at most %d are allowed", p.frame.First, p.frame.Plain, maxFrame)
			}
			return nil
		})
	}
	return group.Wait()
}

const (
	maxWorkers = 8
	packWindow = 1 << 20 // frames are shorter, but for names with very many versions
	maxFrame   = 256 << 20
)

// unpacker decompresses frames. It can be used concurrently.
type unpacker struct{ z *zstd.Decoder }

func newUnpacker(workers int) *unpacker {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(workers), zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // these options are never refused
	}
	return &unpacker{z}
}

// check compares a frame's bytes with its hash in the table.
func (f *Frame) check(data []byte) error {
	if sha256.Sum256(data) != f.SHA256 {
		return fmt.Errorf("the frame of package %.150q has another sha256 than the table of the index says", f.First)
	}
	return nil
}

// unpack returns what a frame holds, which has as many bytes as the table says.
func (u *unpacker) unpack(f Frame, data []byte) ([]byte, error) {
	text, err := u.z.DecodeAll(data, make([]byte, 0, f.Plain))
	if err == nil && int64(len(text)) != f.Plain {
		err = fmt.Errorf("it holds %d bytes, and by the table of the index %d", len(text), f.Plain)
	}
	if err == nil && !bytes.HasSuffix(text, []byte{'\n'}) {
		err = fmt.Errorf("its last line does not end")
	}
	if err != nil {
		return nil, fmt.Errorf("the frame of package %.150q: %w", f.First, err)
	}
	return text, nil
}
