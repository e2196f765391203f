package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"ashlar/repo/tuf"
)

// Limits bounds how long a mirror may take. A zero field means its default.
type Limits struct {
	Connect     time.Duration // to connect, and for a TLS handshake; default 10 s
	Stall       time.Duration // without enough bytes, or to begin an answer; default 30 s
	MinimumRate int64         // bytes per second, averaged over Stall; default 1024
	Metadata    time.Duration // for all metadata and the index of a mirror; default 5 min
	Attempts    int           // at a mirror that fails in passing; default 3
	Backoff     time.Duration // before the second attempt, then doubling; default 500 ms
}

func (l Limits) orDefault() Limits {
	pick(&l.Connect, 10*time.Second)
	pick(&l.Stall, 30*time.Second)
	pick(&l.MinimumRate, 1024)
	pick(&l.Metadata, 5*time.Minute)
	pick(&l.Attempts, 3)
	pick(&l.Backoff, 500*time.Millisecond)
	return l
}

func pick[T ~int | ~int64](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// errTruncated is a body that ended before its length.
var errTruncated = errors.New("the answer ended early")

// readFile reads a whole file of at most max bytes into memory. A wanted size
// of 0 or more must be met exactly.
func (l Limits) readFile(ctx context.Context, m mirror, path string, max, size int64) ([]byte, error) {
	var data []byte
	err := l.retry(ctx, func() error {
		ctx, watch := watched(ctx, l)
		defer watch.stop()
		a, err := m.get(ctx, path, 0)
		if err != nil {
			return err
		}
		defer a.body.Close()
		over := tuf.Unbounded
		if size >= 0 {
			over = tuf.Tampered
		}
		if a.length > max {
			return tuf.Refuse(over, "answer of %d bytes; at most %d are allowed", a.length, max)
		}
		data, err = io.ReadAll(io.LimitReader(&counting{a.body, &watch.bytes}, max+1))
		switch {
		case err != nil:
			return causeOf(ctx, err)
		case int64(len(data)) > max:
			return tuf.Refuse(over, "more than the %d bytes allowed", max)
		case a.length >= 0 && int64(len(data)) < a.length, size > int64(len(data)) && !a.framed:
			return errTruncated
		case size >= 0 && int64(len(data)) != size:
			return tuf.Refuse(tuf.Tampered, "%d bytes instead of the %d that were signed", len(data), size)
		}
		return nil
	})
	return data, err
}

// retry runs try again while it fails in a way that may pass.
func (l Limits) retry(ctx context.Context, try func() error) error {
	wait := l.Backoff
	for attempt := 1; ; attempt++ {
		err := try()
		if err == nil || attempt >= l.Attempts || !passing(err) || ctx.Err() != nil {
			return err
		}
		pause := wait + rand.N(wait/2+1)
		// A server that wants to be left alone for longer than we wait for a
		// stalled one is given up.
		if status := (*httpError)(nil); errors.As(err, &status) {
			if status.retryAfter > l.Stall {
				return err
			}
			pause = max(pause, status.retryAfter)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		wait *= 2
	}
}

// passing reports whether asking again could help: not where the answer was
// wrong rather than missing, and not where waiting has been long already.
func passing(err error) bool {
	var status *httpError
	if errors.As(err, &status) {
		return status.status >= 500 || status.status == 429 || status.status == 408
	}
	var local *localError
	return !errors.As(err, &local) && tuf.KindOf(err) == "" && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errRange) && !errors.Is(err, errTooSlow)
}

var errTooSlow = errors.New("too slow")

// watch cancels a transfer that stays under the minimum rate.
type watch struct {
	bytes  atomic.Int64
	cancel context.CancelCauseFunc
}

func watched(ctx context.Context, l Limits) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{cancel: cancel}
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
				cancel(fmt.Errorf("%w: %d bytes in %s; at least %d are expected", errTooSlow, now-seen, l.Stall, least))
				return
			}
			seen = now
		}
	}()
	return ctx, w
}

func (w *watch) stop() { w.cancel(context.Canceled) }

// counting counts what passes.
type counting struct {
	r     io.Reader
	bytes *atomic.Int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}
