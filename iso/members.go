package iso

import (
	"bytes"
	"context"
	"io"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

// memberSize is how much of the input one gzip member holds: so much that
// starting anew costs little (0.1 %), so little that few are in memory.
const memberSize = 1 << 20

// members is a writer that compresses with gzip on several cores. Its output is a
// row of members, which is a gzip file like any other (RFC 1952, section 2.2),
// and does not depend on the number of cores.
type members struct {
	ctx     context.Context
	group   *errgroup.Group
	filling []byte
	todo    chan *member
	inOrder chan *member
	free    chan []byte
}

type member struct {
	raw    []byte
	packed bytes.Buffer
	done   chan struct{}
}

// newMembers returns a writer into w that compresses with so many goroutines,
// which Close ends, after an error too.
func newMembers(ctx context.Context, w io.Writer, workers int) *members {
	workers = max(workers, 1)
	group, ctx := errgroup.WithContext(ctx)
	m := &members{ctx: ctx, group: group, todo: make(chan *member), inOrder: make(chan *member, 2*workers), free: make(chan []byte, 4*workers)}
	for range workers {
		group.Go(func() error { return m.compress() })
	}
	group.Go(func() error {
		for next := range m.inOrder {
			select {
			case <-next.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if _, err := w.Write(next.packed.Bytes()); err != nil {
				return err
			}
		}
		return nil
	})
	return m
}

func (m *members) compress() error {
	z, err := gzip.NewWriterLevel(nil, gzip.DefaultCompression)
	if err != nil {
		return err
	}
	for next := range m.todo {
		z.Reset(&next.packed)
		if _, err := z.Write(next.raw); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		select {
		case m.free <- next.raw[:0]:
		default:
		}
		close(next.done)
	}
	return nil
}

// Write implements [io.Writer].
func (m *members) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		if m.filling == nil {
			select {
			case m.filling = <-m.free:
			default:
				m.filling = make([]byte, 0, memberSize)
			}
		}
		n := min(len(rest), memberSize-len(m.filling))
		m.filling, rest = append(m.filling, rest[:n]...), rest[n:]
		if len(m.filling) == memberSize {
			if err := m.submit(); err != nil {
				return 0, err
			}
		}
	}
	return len(b), nil
}

func (m *members) submit() error {
	next := &member{raw: m.filling, done: make(chan struct{})}
	m.filling = nil
	for _, c := range []chan *member{m.inOrder, m.todo} {
		select {
		case c <- next:
		case <-m.ctx.Done():
			return m.ctx.Err() // Close knows why
		}
	}
	return nil
}

// Close compresses the rest and waits until all is written. It is called once,
// and its error, if there is one, is the reason of those of Write.
func (m *members) Close() error {
	var err error
	if len(m.filling) > 0 {
		err = m.submit()
	}
	close(m.todo)
	close(m.inOrder)
	if e := m.group.Wait(); e != nil {
		err = e
	}
	return err
}
