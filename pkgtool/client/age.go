package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ashlar/repo/transport"
	"ashlar/repo/trust"
	"ashlar/repo/tuf"
)

// old is the refusal of a state that was published longer ago than the
// repository's definition calls usual; nil if it is young enough. Without a
// definition of that, it is half of the time that the state is good for: by then
// a publisher signs it anew.
func (r *repository) old(w *trust.Walk) error {
	published := w.Published()
	if published.IsZero() {
		return nil
	}
	usual := time.Duration(r.config.WarnAfter) * 24 * time.Hour
	if usual == 0 {
		usual = w.Timestamp().Expires.Sub(published) / 2
	}
	age := w.Clock().Sub(published)
	if age <= usual {
		return nil
	}
	return tuf.Refuse(tuf.Old, "it was published %s ago, on %s: newer packages may be hidden from you", Age(age), published.UTC().Format(time.RFC3339))
}

// Age words a span of time roughly.
func Age(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := d / unit.size; n > 1 {
			return fmt.Sprintf("%d %ss", n, unit.name)
		} else if n == 1 {
			return "1 " + unit.name
		}
	}
	return "less than a minute"
}

// newest asks the other mirrors whether one has a later state than the old one
// that w verified, and returns the walk to go by: the state of the first that
// has, or w.
func (r *repository) newest(ctx context.Context, w *trust.Walk, from trust.State, others []transport.Source) *trust.Walk {
	for _, m := range others {
		other := r.newWalk(m, from)
		other.Others = [][]byte{w.Got.Timestamp}
		if r.refreshIfNewer(ctx, other, w) == nil {
			return other
		}
	}
	return w
}

var errNotNewer = errors.New("not newer")

// refreshIfNewer is refreshFrom for a state after another one.
func (r *repository) refreshIfNewer(ctx context.Context, w, than *trust.Walk) error {
	ctx, cancel := r.patience(ctx)
	defer cancel()
	err := w.Run(ctx)
	if err == nil && !w.Got.Further(than.Got) {
		err = errNotNewer
	}
	if err != nil {
		return err
	}
	return r.take(ctx, w, w.Source)
}
