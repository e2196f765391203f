package squashfs

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// block is one data or fragment block on its way to the image.
type block struct {
	raw, packed []byte
	done        chan struct{}
	placed      func(at int64, size uint32) // called in the order of submission
}

// stored is the bit of a block's size that says "not compressed".
const stored = 1 << 24

// pipeline compresses blocks in parallel and writes them in the order in which
// they came. What is in flight is bounded by its channels.
type pipeline struct {
	ctx   context.Context
	work  chan *block
	queue chan *block
	free  chan []byte
	size  int
	group *errgroup.Group
}

func (m *image) newPipeline(ctx context.Context) *pipeline {
	workers := m.opt.Workers
	group, ctx := errgroup.WithContext(ctx)
	p := &pipeline{ctx: ctx, group: group, size: m.opt.BlockSize,
		work: make(chan *block, 2*workers), queue: make(chan *block, 8*workers), free: make(chan []byte, 8*workers)}
	for range workers {
		group.Go(func() error {
			enc, err := newEncoder(m.opt.Level, m.opt.BlockSize)
			if err != nil {
				return err
			}
			defer enc.Close()
			for b := range p.work {
				b.packed = enc.EncodeAll(b.raw, p.buffer())
				close(b.done)
			}
			return nil
		})
	}
	group.Go(func() error { return p.write(m) })
	return p
}

// write takes blocks in order, waits for each to be compressed, and places it.
func (p *pipeline) write(m *image) error {
	for b := range p.queue {
		select {
		case <-b.done:
		case <-p.ctx.Done():
			return p.ctx.Err()
		}
		bytes, size := b.packed, uint32(len(b.packed))
		if len(b.packed) >= len(b.raw) {
			bytes, size = b.raw, uint32(len(b.raw))|stored
		}
		at, err := m.put(bytes)
		if err != nil {
			return err
		}
		b.placed(at, size)
		p.recycle(b.raw)
		p.recycle(b.packed)
	}
	return nil
}

// submit hands over a block; raw belongs to the pipeline from now on.
func (p *pipeline) submit(raw []byte, placed func(at int64, size uint32)) error {
	b := &block{raw: raw, done: make(chan struct{}), placed: placed}
	for _, c := range []chan *block{p.queue, p.work} {
		select {
		case c <- b:
		case <-p.ctx.Done():
			return p.ctx.Err()
		}
	}
	return nil
}

// finish waits until every block is placed. It must be called once.
func (p *pipeline) finish() error {
	close(p.queue)
	close(p.work)
	return p.group.Wait()
}

// buffer returns an empty buffer with room for a block.
func (p *pipeline) buffer() []byte {
	select {
	case b := <-p.free:
		return b
	default:
		return make([]byte, 0, p.size)
	}
}

func (p *pipeline) recycle(b []byte) {
	if cap(b) < p.size {
		return
	}
	select {
	case p.free <- b[:0]:
	default:
	}
}
