package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// ErrTooSlow says that a source stayed under the minimum rate.
var ErrTooSlow = errors.New("too slow")

// Watch cancels a transfer that stays under the minimum rate.
type Watch struct {
	bytes  atomic.Int64
	cancel context.CancelCauseFunc
}

// Watched returns a context that ends when what Watch counts stays under the
// minimum rate. The caller calls Stop.
func Watched(ctx context.Context, l Limits) (context.Context, *Watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &Watch{cancel: cancel}
	ctx = context.WithValue(ctx, watchKey{}, w)
	least := int64(float64(l.MinimumRate) * l.Stall.Seconds())
	go func() {
		tick := time.NewTicker(l.Stall)
		defer tick.Stop()
		for seen := int64(0); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := w.bytes.Load()
			if now-seen < least {
				cancel(fmt.Errorf("%w: %d bytes in %s; at least %d are expected", ErrTooSlow, now-seen, l.Stall, least))
				return
			}
			seen = now
		}
	}()
	return ctx, w
}

// watchKey is under which a context knows its watch.
type watchKey struct{}

// watched counts what a source reads on its way to an answer, such as lists of
// files, for the watch of ctx.
func watched(ctx context.Context, r io.Reader) io.Reader {
	if w, ok := ctx.Value(watchKey{}).(*Watch); ok {
		return &counting{r, w}
	}
	return r
}

// Count notes that bytes have arrived.
func (w *Watch) Count(bytes int) { w.bytes.Add(int64(bytes)) }

// Stop ends the watch, and its context.
func (w *Watch) Stop() { w.cancel(context.Canceled) }

// counting counts what passes.
type counting struct {
	r     io.Reader
	watch *Watch
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.watch.Count(n)
	return n, err
}

// Counted returns a reader of r that tells watch what passes.
func Counted(r io.Reader, watch *Watch) io.Reader { return &counting{r, watch} }
