package pkgfile

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Wanted are regular files of one package whose content is needed.
type Wanted struct {
	Package *Package
	Files   []*File // entries of Package.Manifest().Files
}

// Unpack reads the wanted files of several packages with at most jobs
// goroutines, in about the order given. It calls fn once per file, from several
// goroutines: data is the content of a file inside one frame, valid during the
// call; stream is that of a bigger one and returns io.EOF only if its hash is
// right. What fn leaves unread of a stream is verified too. Frames that are not
// needed are not read; of the others every tar header is compared, and the hash
// of what is wanted.
//
// The first error ends the work and is returned, when all calls of fn have
// ended. Those about packages that are not what they should be wrap ErrInvalid.
func Unpack(ctx context.Context, jobs int, wanted []Wanted, fn func(p *Package, f *File, data []byte, stream io.Reader) error) error {
	work, err := unpackWork(wanted)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	u := &unpacking{ctx: ctx, fn: fn, idle: make(chan struct{}, max(jobs, 1))}
	var next atomic.Int64
	var group sync.WaitGroup
	for range cap(u.idle) {
		group.Go(func() {
			for n := next.Add(1) - 1; n < int64(len(work)) && ctx.Err() == nil; n = next.Add(1) - 1 {
				if err := u.do(work[n]); err != nil {
					cancel(fmt.Errorf("unpack %s: %w", work[n].p.manifest.FileName(), err))
				}
			}
			u.idle <- struct{}{}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// unpackUnit is what one goroutine does in one go: the files of one frame, one
// file that has several, or files that have none because they are empty.
type unpackUnit struct {
	p     *Package
	files []*File // in path order
}

// unpackWork groups the files by the frames that hold them.
func unpackWork(wanted []Wanted) ([]unpackUnit, error) {
	var work []unpackUnit
	for _, w := range wanted {
		files := slices.Clone(w.Files)
		slices.SortFunc(files, func(a, b *File) int { return strings.Compare(a.Path, b.Path) })
		entries := w.Package.manifest.Files
		var empty, full []*File // full are those of the last frame
		for _, f := range files {
			for len(entries) > 0 && &entries[0] != f {
				entries = entries[1:]
			}
			if len(entries) == 0 || f.Type != TypeFile {
				return nil, fmt.Errorf("unpack %s: %.200q is not a regular file of its manifest, or wanted twice", w.Package.manifest.FileName(), f.Path)
			}
			entries = entries[1:]
			if f.Size == 0 {
				empty = append(empty, f)
				continue
			}
			if len(full) == 0 || full[0].Frame != f.Frame { // path order is frame order
				full = nil
				work = append(work, unpackUnit{p: w.Package})
			}
			full = append(full, f)
			work[len(work)-1].files = full
		}
		if len(empty) > 0 {
			work = append(work, unpackUnit{w.Package, empty})
		}
	}
	return work, nil
}

// unpacking is one call of Unpack.
type unpacking struct {
	ctx  context.Context
	fn   func(p *Package, f *File, data []byte, stream io.Reader) error
	idle chan struct{} // one element for each goroutine that has nothing to do
}

func (u *unpacking) do(unit unpackUnit) error {
	f := unit.files[0]
	switch {
	case f.Size == 0:
		return u.empty(unit)
	case unit.p.frames[f.Frame].split:
		return u.split(unit.p, f)
	}
	return u.frame(unit)
}

func (u *unpacking) empty(unit unpackUnit) error {
	for _, f := range unit.files {
		if f.SHA256 != emptySHA256 {
			return invalid(fmt.Errorf("file %.200q: its sha256 is not that of an empty file", f.Path))
		}
		if err := u.fn(unit.p, f, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacking) frame(unit unpackUnit) error {
	i := unit.files[0].Frame
	buf, err := unit.p.decodeData(i)
	if err != nil {
		return err
	}
	defer buffers.Put(buf)
	if err := unit.p.checkMembers(i, *buf, unit.files); err != nil {
		return invalid(fmt.Errorf("frame %d: %w", i, err))
	}
	for _, f := range unit.files {
		if err := u.fn(unit.p, f, unit.p.contentOf(f, i, *buf), nil); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacking) split(p *Package, f *File) error {
	first, end := p.manifest.FramesOf(f)
	ahead := &frameAhead{u: u, p: p, frame: first, end: end}
	defer ahead.wait()
	r := &splitReader{p: p, f: f, frame: first, end: end, next: ahead.next, sum: sha256.New()}
	defer r.release()
	if err := u.fn(p, f, nil, r); err != nil {
		return err
	}
	_, err := r.WriteTo(io.Discard)
	return err
}

// frameAhead decodes the frames of one file in order, the next one already while
// this one is in use if a goroutine of the call is idle.
type frameAhead struct {
	u          *unpacking
	p          *Package
	frame, end int
	coming     chan decoded
}

func (a *frameAhead) next() (*[]byte, error) {
	if err := a.u.ctx.Err(); err != nil {
		return nil, context.Cause(a.u.ctx)
	}
	now, frame := a.coming, a.frame
	a.coming = nil
	if a.frame++; a.frame < a.end {
		select {
		case <-a.u.idle:
			a.coming = make(chan decoded, 1)
			go a.decode(a.frame, a.coming)
		default:
		}
	}
	if now == nil {
		return a.p.readFrame(frame)
	}
	d := <-now
	return d.buf, d.err
}

func (a *frameAhead) decode(frame int, result chan<- decoded) {
	buf, err := a.p.readFrame(frame)
	a.u.idle <- struct{}{}
	result <- decoded{buf, err}
}

// wait returns when nothing reads from the package any more.
func (a *frameAhead) wait() {
	if a.coming != nil {
		if d := <-a.coming; d.buf != nil {
			buffers.Put(d.buf)
		}
	}
}
