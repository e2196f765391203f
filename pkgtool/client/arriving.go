package client

import (
	"context"
	"io"

	"ashlar/repo/transport"
	"ashlar/repo/tuf"
)

// arriving is the body of an answer while it is read.
type arriving struct {
	r     io.Reader
	watch *transport.Watch
	meter *meter
	ended bool // as the mirror meant, not by a broken connection
}

func (a *arriving) Read(b []byte) (int, error) {
	n, err := a.r.Read(b)
	a.watch.Count(n)
	a.meter.arrive(int64(n))
	a.ended = err == io.EOF
	return n, err
}

// cutOff says what an error while reading means: a connection that broke, or a
// server that ends a range, or the file, where it should not.
func (a *arriving) cutOff(ctx context.Context, of *transport.Answer, err error) error {
	switch {
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return transport.CauseOf(ctx, err)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !a.ended || !of.Framed:
		return transport.ErrTruncated
	case of.Whole:
		return tuf.Refuse(tuf.Tampered, "the file is shorter than the index states")
	}
	return transport.ErrRange
}

// meter counts the bytes of a fetch for who watches it. A nil one counts nothing.
type meter struct {
	progress    Progress
	done, total int64
	verified    int64 // of done, what has the right hash
}

// expect says how many bytes are still to come.
func (m *meter) expect(bytes int64) {
	if m != nil {
		m.total = m.done + bytes
	}
}

func (m *meter) arrive(bytes int64) {
	if m == nil || bytes == 0 {
		return
	}
	m.done += bytes
	m.total = max(m.total, m.done)
	if m.progress != nil {
		m.progress(m.done, m.total)
	}
}

func (m *meter) verify(bytes int64) {
	if m != nil {
		m.verified += bytes
	}
}

// finish corrects the total if less came than was expected.
func (m *meter) finish() {
	if m.progress != nil && m.done != m.total {
		m.progress(m.done, m.done)
	}
}
