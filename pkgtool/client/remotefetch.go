package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"sync"

	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/index"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"
)

// Fetch makes the content of files readable from Package. It transfers the
// frames that are missing, by single ranges: near ones together, and the whole
// package where that is hardly more or where a server does not do ranges. Each
// frame is checked when it arrives; a wrong one is dropped and asked of the next
// mirror. What has arrived stays in the cache, whatever happens afterwards.
// progress, which may be nil, is told the bytes that came of those expected,
// which become more if a server sends the whole package.
func (r *Remote) Fetch(ctx context.Context, files []*pkgfile.File, progress Progress) error {
	wanted := r.wantedFrames(files)
	if r.local != nil && r.partial.Load() == nil {
		good, err := r.readLocal(ctx, wanted)
		if good || err != nil {
			return err
		}
	}
	p := r.partial.Load()
	meter := &meter{progress: progress}
	var failures []*MirrorError
	queue := r.repository.rangesFirst()
	for n := 0; n < len(queue); n++ {
		m := queue[n]
		whole := r.repository.isRangeless(m)
		err := r.fetchFrom(ctx, m, wanted, meter)
		if err == nil {
			r.repository.warn(failures)
			meter.finish()
			return nil
		}
		if err := final(ctx, r.entry, err); err != nil {
			return err
		}
		if errors.Is(err, transport.ErrRange) && !whole {
			r.repository.noteRangeless(m)
			queue = append(queue, m) // as a whole, if no other mirror does better
			continue
		}
		failures = append(failures, r.repository.mirrorError(m, r.entry.Path, err))
	}
	if len(p.missing(wanted)) == 0 {
		return nil
	}
	return r.repository.failed(r.entry, failures)
}

// readLocal proves frames of a package on this machine, if another mirror could
// help should they be wrong. Who uses them checks them anyway.
func (r *Remote) readLocal(ctx context.Context, wanted []int) (good bool, err error) {
	if len(r.repository.mirrors) == 1 {
		return true, nil
	}
	here := newPartial(r.local, r.pkg)
	for _, i := range wanted {
		if err := ctx.Err(); err != nil {
			return false, context.Cause(ctx)
		}
		if !here.has(i) {
			return false, r.leaveLocal()
		}
	}
	return true, nil
}

// leaveLocal goes on with a cached file in the place of one on this machine.
func (r *Remote) leaveLocal() error {
	meta := make([]byte, r.pkg.MetaSize())
	if _, err := r.local.ReadAt(meta, 0); err != nil {
		return err
	}
	file, err := makePartial(r.repository.packagePath(&r.entry.Entry, partialSuffix), r.entry.Size)
	if err != nil {
		return err
	}
	if _, err := file.WriteAt(meta, 0); err != nil {
		file.Close()
		return err
	}
	r.partial.Store(newPartial(file, r.pkg))
	return nil
}

func wrongFrame(i int) error {
	return tuf.Refuse(tuf.Tampered, "the sha256 of frame %d is not the one that the signed manifest states", i)
}

// fetchFrom gets what is missing from one mirror.
func (r *Remote) fetchFrom(ctx context.Context, m transport.Source, wanted []int, meter *meter) error {
	p := r.partial.Load()
	spans := spansOf(p.frames, p.missing(wanted))
	meter.expect(sumOfSpans(p.frames, spans))
	for _, s := range spans {
		for {
			before := meter.verified
			err := r.repository.limits.Retry(ctx, func() error { return r.fetchSpan(ctx, m, s, wanted, meter) })
			if err == nil {
				break
			}
			// A mirror that breaks off again and again, but goes on, is good enough.
			if !transport.Passing(err) || ctx.Err() != nil || meter.verified < before+transport.LeastProgress {
				return transport.Missing(err)
			}
		}
	}
	return nil
}

// fetchSpan gets what is still missing of a span.
func (r *Remote) fetchSpan(ctx context.Context, m transport.Source, s span, wanted []int, meter *meter) error {
	p := r.partial.Load()
	missing := slices.DeleteFunc(p.missing(wanted), func(i int) bool { return i < s.first || i >= s.end })
	if len(missing) == 0 {
		return nil
	}
	s = span{missing[0], missing[len(missing)-1] + 1}
	ctx, watch := transport.Watched(ctx, r.repository.limits)
	defer watch.Stop()
	begin := p.meta + p.frames[s.first].Offset
	a, err := r.repository.askSpan(ctx, m, &r.entry.Entry, begin, begin+s.bytes(p.frames))
	if err != nil {
		return err
	}
	defer a.Body.Close()
	body := &arriving{r: a.Body, watch: watch}
	if a.Whole {
		// What else is missing comes with it.
		if _, err := io.CopyN(io.Discard, body, p.meta); err != nil {
			return body.cutOff(ctx, a, err)
		}
		missing = p.missing(wanted)
		s = span{0, missing[len(missing)-1] + 1}
		meter.expect(s.bytes(p.frames))
	}
	body.meter = meter
	if err := r.receive(ctx, body, s, wanted); err != nil {
		return body.cutOff(ctx, a, err)
	}
	return nil
}

// frameBuffers recycles the memory of frames on their way.
var frameBuffers = sync.Pool{New: func() any { return new([]byte) }}

// receive reads the frames of s from body and keeps those that are right. That
// one is wrong is an error if it is wanted.
func (r *Remote) receive(ctx context.Context, body *arriving, s span, wanted []int) error {
	p := r.partial.Load()
	buffer := frameBuffers.Get().(*[]byte)
	defer frameBuffers.Put(buffer)
	for i := s.first; i < s.end; i++ {
		frame := p.frames[i]
		if int64(cap(*buffer)) < frame.Size {
			*buffer = make([]byte, frame.Size)
		}
		data := (*buffer)[:frame.Size]
		if _, err := io.ReadFull(body, data); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if p.has(i) {
			continue
		}
		sum := sha256.Sum256(data)
		if hex.EncodeToString(sum[:]) != frame.SHA256 {
			if _, asked := slices.BinarySearch(wanted, i); asked {
				return wrongFrame(i)
			}
			continue
		}
		if err := p.put(i, data); err != nil {
			return err
		}
		body.meter.verify(frame.Size)
	}
	return nil
}

// askSpan asks m for a part of a package, or for the whole if it is known not to
// do ranges, and remembers if it does not.
func (r *repository) askSpan(ctx context.Context, m transport.Source, e *index.Entry, first, end int64) (*transport.Answer, error) {
	var a *transport.Answer
	var err error
	if end-first == e.Size || r.isRangeless(m) {
		a, err = m.Get(ctx, e.Path, 0)
	} else if a, err = m.Span(ctx, e.Path, first, end, e.Size); errors.Is(err, transport.ErrRange) || err == nil && a.Whole {
		r.noteRangeless(m)
	}
	if err == nil && a.Whole && a.Length >= 0 && a.Length != e.Size {
		a.Body.Close()
		return nil, tuf.Refuse(tuf.Tampered, "the file has %d bytes; the index states %d", a.Length, e.Size)
	}
	return a, err
}

func (r *repository) isRangeless(m transport.Source) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rangeless[m.String()]
}

func (r *repository) noteRangeless(m transport.Source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rangeless[m.String()] = true
}

// rangesFirst lists the mirrors, good before bad ones, and those that do ranges
// before the others.
func (r *repository) rangesFirst() []transport.Source {
	var with, without []transport.Source
	for _, m := range r.goodFirst() {
		if r.isRangeless(m) {
			without = append(without, m)
		} else {
			with = append(with, m)
		}
	}
	return append(with, without...)
}
