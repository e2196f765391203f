package pkgfile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"runtime"
	"sync"
)

// Walk calls fn once for every file in path order, with its content (empty for
// what has none). The content is verified: fn of a small file starts only after
// its hash was found right; a big one is streamed, and its reader returns
// io.EOF only if the hash is right, else an error. What fn leaves unread is
// verified too. content is not valid after fn returns. An error of fn ends the
// walk and is returned.
//
// Frames are read and decompressed ahead, one per core.
func (p *Package) Walk(ctx context.Context, fn func(f *File, content io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	ahead := p.readAhead(ctx, 0, len(p.frames))
	defer ahead.wait()
	defer cancel()
	for i := 0; i < len(p.frames); i++ {
		layout := p.frames[i]
		if layout.split {
			f := &p.manifest.Files[layout.first]
			pieces := 1
			for i+pieces < len(p.frames) && p.frames[i+pieces].split && p.frames[i+pieces].first == layout.first {
				pieces++
			}
			r := &splitReader{p: p, f: f, frame: i, end: i + pieces, next: ahead.next, sum: sha256.New()}
			err := fn(f, r)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			r.release()
			if err != nil {
				return err
			}
			i += pieces - 1
			continue
		}
		buf, err := ahead.next()
		if err != nil {
			return err
		}
		for n := layout.first; n < layout.last && err == nil; n++ {
			f := &p.manifest.Files[n]
			var content []byte
			if f.Size > 0 {
				content = p.contentOf(f, i, *buf)
			}
			if err = ctx.Err(); err == nil {
				err = fn(f, bytes.NewReader(content))
			}
		}
		buffers.Put(buf)
		if err != nil {
			return err
		}
	}
	return nil
}

// Verify reads the whole package and proves that it is what its manifest says.
func (p *Package) Verify(ctx context.Context) error {
	return p.Walk(ctx, func(*File, io.Reader) error { return nil })
}

// VerifyFrames reads the whole package and proves that each frame has the hash
// that the manifest states, so that every byte is what its packager signed. What
// Verify proves beyond that, that the frames hold what the manifest says, is left
// to whoever unpacks them.
func (p *Package) VerifyFrames(ctx context.Context) error {
	for i, frame := range p.manifest.Frames {
		if err := ctx.Err(); err != nil {
			return err
		}
		packed := takeBuffer(frame.Size)
		err := p.readPacked(i, packed)
		buffers.Put(packed)
		if err != nil {
			return err
		}
	}
	return nil
}

// readAhead decodes frames first to end (exclusive) in parallel.
type readAhead struct {
	ctx   context.Context
	queue chan chan decoded
	group sync.WaitGroup
}

type decoded struct {
	buf *[]byte
	err error
}

func (p *Package) readAhead(ctx context.Context, first, end int) *readAhead {
	a := &readAhead{ctx: ctx, queue: make(chan chan decoded, runtime.GOMAXPROCS(0))}
	a.group.Go(func() {
		defer close(a.queue)
		for i := first; i < end; i++ {
			result := make(chan decoded, 1)
			select {
			case a.queue <- result:
			case <-ctx.Done():
				return
			}
			a.group.Go(func() {
				buf, err := p.readFrame(i)
				result <- decoded{buf, err}
			})
		}
	})
	return a
}

// next returns the next frame's content, in order.
func (a *readAhead) next() (*[]byte, error) {
	result, ok := <-a.queue
	if !ok {
		return nil, a.ctx.Err()
	}
	d := <-result
	if err := a.ctx.Err(); err != nil && d.err == nil {
		buffers.Put(d.buf)
		return nil, err
	}
	return d.buf, d.err
}

// wait returns when nothing reads from the package any more. The context must
// be cancelled before.
func (a *readAhead) wait() {
	for result := range a.queue {
		if d := <-result; d.buf != nil {
			buffers.Put(d.buf)
		}
	}
	a.group.Wait()
}

// splitReader streams the content of a file that has several frames. At the end
// it compares the hash.
type splitReader struct {
	p          *Package
	f          *File
	frame, end int
	next       func() (*[]byte, error)
	buf        *[]byte
	rest       []byte
	sum        hash.Hash
	err        error
}

func (r *splitReader) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.advance()
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo hands over whole frames, which io.Copy then need not copy.
func (r *splitReader) WriteTo(w io.Writer) (written int64, err error) {
	for {
		if len(r.rest) > 0 {
			n, err := w.Write(r.rest)
			r.rest = r.rest[n:]
			if written += int64(n); err != nil {
				return written, err
			}
		}
		if r.err == io.EOF {
			return written, nil
		}
		if r.err != nil {
			return written, r.err
		}
		r.advance()
	}
}

// advance takes the next frame, or finishes. A frame's content enters the hash
// when it arrives, not when it is read.
func (r *splitReader) advance() {
	r.release()
	if r.frame == r.end {
		r.err = io.EOF
		if hex.EncodeToString(r.sum.Sum(nil)) != r.f.SHA256 {
			r.err = invalid(fmt.Errorf("file %.200q: its sha256 is not the manifest's", r.f.Path))
		}
		return
	}
	if r.buf, r.err = r.next(); r.err != nil {
		r.buf = nil
		return
	}
	r.rest = r.p.contentOf(r.f, r.frame, *r.buf)
	r.sum.Write(r.rest)
	r.frame++
}

func (r *splitReader) release() {
	if r.buf != nil {
		buffers.Put(r.buf)
		r.buf, r.rest = nil, nil
	}
}
