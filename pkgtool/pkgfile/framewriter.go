package pkgfile

import (
	"context"
	"encoding/hex"
	"fmt"
	"runtime"

	"ashlar/pkgtool/fault"

	"golang.org/x/sync/errgroup"
)

// frameWriter fills frames and compresses them, several at a time, into the
// spool in order.
type frameWriter struct {
	ctx        context.Context
	compressor compressor
	group      *errgroup.Group
	queue      chan chan compressed
	buf        []byte
	free       chan []byte
}

type compressed struct {
	data []byte
	buf  []byte
}

func writeData(ctx context.Context, data *spool, m *Manifest, inputs []Input, kind codec, opts Options) error {
	jobs := opts.Jobs
	if jobs <= 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	c, err := kind.compressor(opts.Level)
	if err != nil {
		return fault.Mark(err, fault.Usage, "")
	}
	defer c.close()
	group, ctx := errgroup.WithContext(ctx)
	w := &frameWriter{ctx: ctx, compressor: c, group: group,
		queue: make(chan chan compressed, jobs), free: make(chan []byte, jobs+2),
		buf: make([]byte, 0, SmallFrame+trailerSize)}
	group.Go(func() error { return w.collect(data, m) })
	group.Go(func() error {
		defer close(w.queue)
		return w.members(m, inputs)
	})
	return group.Wait()
}

// collect writes finished frames in order.
func (w *frameWriter) collect(data *spool, m *Manifest) error {
	for result := range w.queue {
		var c compressed
		select {
		case c = <-result:
		case <-w.ctx.Done():
			return w.ctx.Err()
		}
		m.Frames = append(m.Frames, Frame{Offset: data.size, SHA256: hexSum(c.data), Size: int64(len(c.data)), USize: int64(len(c.buf))})
		if _, err := data.Write(c.data); err != nil {
			return err
		}
		select {
		case w.free <- c.buf[:0]:
		default:
		}
	}
	return nil
}

// emit hands the buffer over for compression and takes a free one.
func (w *frameWriter) emit() error {
	buf, result := w.buf, make(chan compressed, 1)
	select {
	case w.queue <- result:
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
	w.group.Go(func() error {
		data, err := w.compressor.compress(buf)
		if err == nil {
			result <- compressed{data, buf}
		}
		return err
	})
	select {
	case w.buf = <-w.free:
	default:
		w.buf = make([]byte, 0, SmallFrame+trailerSize)
	}
	return nil
}

// members writes every input's tar member, filling m's file table.
func (w *frameWriter) members(m *Manifest, inputs []Input) error {
	var p packer
	byPath := map[string]int{}
	for i := range inputs {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		in := &inputs[i]
		m.Files = append(m.Files, in.File)
		f := &m.Files[i]
		byPath[f.Path] = i
		attr := f
		if f.Type == TypeHardlink {
			attr = &m.Files[byPath[f.Target]]
		}
		var content *inputContent
		if f.Type == TypeFile {
			var err error
			if content, err = openInput(in); err != nil {
				return fmt.Errorf("file %.200q: %w", f.Path, err)
			}
			f.Size = content.size
		}
		header := tarHeader(f, attr, m.Provenance.Epoch)
		frame, offset, flush, big := p.place(i, int64(len(header))+f.Size+padding(f.Size))
		if f.Size > 0 {
			f.Frame, f.Offset = frame, offset+int64(len(header))
			m.InstalledSize += f.Size
		}
		err := w.member(header, content, f, flush, big)
		if content != nil {
			content.close()
		}
		if err != nil {
			return fmt.Errorf("file %.200q: %w", f.Path, err)
		}
	}
	p.finish(len(inputs))
	w.buf = append(w.buf, make([]byte, trailerSize)...)
	return w.emit()
}

func (w *frameWriter) member(header []byte, content *inputContent, f *File, flush, big bool) error {
	if flush {
		if err := w.emit(); err != nil {
			return err
		}
	}
	w.buf = append(w.buf, header...)
	if content != nil {
		if err := content.copy(w); err != nil {
			return err
		}
		f.SHA256 = hex.EncodeToString(content.sum.Sum(nil))
		w.buf = append(w.buf, make([]byte, padding(f.Size))...)
	}
	if big && len(w.buf) > 0 {
		return w.emit()
	}
	return nil
}
