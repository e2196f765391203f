package transport

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"time"

	"ashlar/repo/tuf"
)

// Limits bounds how long a source may take. A zero field means its default.
type Limits struct {
	Connect     time.Duration // to connect, and for a TLS handshake; default 10 s
	Stall       time.Duration // without enough bytes, or to begin an answer; default 30 s
	MinimumRate int64         // bytes per second, averaged over Stall; default 1024
	Metadata    time.Duration // for all metadata and the index of a source; default 5 min
	Attempts    int           // at a source that fails in passing; default 3
	Backoff     time.Duration // before the second attempt, then doubling; default 500 ms
}

// OrDefault fills in what is not given.
func (l Limits) OrDefault() Limits {
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

// ErrTruncated is a body that ended before its length.
var ErrTruncated = errors.New("the answer ended early")

// ReadFile reads a whole file of at most max bytes into memory. A wanted size
// of 0 or more must be met exactly.
func (l Limits) ReadFile(ctx context.Context, s Source, path string, max, size int64) ([]byte, error) {
	var data []byte
	err := l.Retry(ctx, func() error {
		ctx, watch := Watched(ctx, l)
		defer watch.Stop()
		a, err := s.Get(ctx, path, 0)
		if err != nil {
			return err
		}
		defer a.Body.Close()
		over := tuf.Unbounded
		if size >= 0 {
			over = tuf.Tampered
		}
		if a.Length > max {
			return tuf.Refuse(over, "answer of %d bytes; at most %d are allowed", a.Length, max)
		}
		data, err = io.ReadAll(io.LimitReader(&counting{a.Body, watch}, max+1))
		switch {
		case err != nil:
			return CauseOf(ctx, err)
		case int64(len(data)) > max:
			return tuf.Refuse(over, "more than the %d bytes allowed", max)
		case a.Length >= 0 && int64(len(data)) < a.Length, size > int64(len(data)) && !a.Framed:
			return ErrTruncated
		case size >= 0 && int64(len(data)) != size:
			return tuf.Refuse(tuf.Tampered, "%d bytes instead of the %d that were signed", len(data), size)
		}
		return nil
	})
	return data, err
}

// ReadProved is ReadFile for a file whose content right proves. One that is
// absent or wrong is asked for once more, past the caches on the way: they may
// hold files of different states.
func (l Limits) ReadProved(ctx context.Context, s Source, path string, max, size int64, right func(data []byte) error) ([]byte, error) {
	try := func(s Source) ([]byte, error) {
		data, err := l.ReadFile(ctx, s, path, max, size)
		if err == nil {
			err = right(data)
		}
		return data, err
	}
	data, err := try(s)
	again := errors.Is(err, fs.ErrNotExist) || tuf.KindOf(err) == tuf.Tampered || tuf.KindOf(err) == tuf.RolledBack
	if past := Anew(s); again && past != s {
		return try(past)
	}
	return data, err
}

// Retry runs try again while it fails in a way that may pass.
func (l Limits) Retry(ctx context.Context, try func() error) error {
	wait := l.Backoff
	for attempt := 1; ; attempt++ {
		err := try()
		if err == nil || attempt >= l.Attempts || !Passing(err) || ctx.Err() != nil {
			return err
		}
		pause := wait + rand.N(wait/2+1)
		// A server that wants to be left alone for longer than we wait for a
		// stalled one is given up.
		if status := (*HTTPError)(nil); errors.As(err, &status) {
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

// Passing reports whether asking again could help: not where the answer was
// wrong rather than missing, and not where waiting has been long already.
func Passing(err error) bool {
	var status *HTTPError
	if errors.As(err, &status) {
		return status.status >= 500 || status.status == 429 || status.status == 408
	}
	var local *LocalError
	return !errors.As(err, &local) && tuf.KindOf(err) == "" && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrRange) && !errors.Is(err, ErrTooSlow)
}
