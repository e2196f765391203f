package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/transport"
	"ashlar/repo/trust"
	"ashlar/repo/tuf"
)

// clock is the time, but never before the metadata in force was signed.
func (r *repository) clock() time.Time {
	now := r.client.opts.Now().UTC()
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.floor) {
		return r.floor
	}
	return now
}

// goodFirst lists the mirrors, those that failed before at the end.
func (r *repository) goodFirst() []transport.Source {
	r.mu.Lock()
	defer r.mu.Unlock()
	var good, bad []transport.Source
	for _, m := range r.mirrors {
		if r.warned[m.String()] {
			bad = append(bad, m)
		} else {
			good = append(good, m)
		}
	}
	return append(good, bad...)
}

// warn reports a mirror once.
func (r *repository) warn(failures []*MirrorError) {
	for _, f := range failures {
		r.mu.Lock()
		again := r.warned[f.Mirror]
		r.warned[f.Mirror] = true
		r.mu.Unlock()
		if !again {
			r.client.opts.Warn(fault.Mark(f, f.Kind.Class(), f.Kind.Hint()))
		}
	}
}

// newWalk is a walk over m. Each mirror is judged by what was known before: one
// that is merely behind another that turned out broken has not gone back in time.
func (r *repository) newWalk(m transport.Source, from trust.State) *trust.Walk {
	return &trust.Walk{Limits: r.limits, Source: m, Now: r.client.opts.Now().UTC(), Got: from}
}

func (r *repository) load(ctx context.Context) error {
	from, err := r.readStored()
	if err != nil {
		return err
	}
	w := r.newWalk(nil, from)
	err = w.Run(ctx)
	if tuf.KindOf(err) == tuf.Stale {
		late := r.lateError(w, err)
		if !r.client.opts.AllowStale {
			return late
		}
		r.client.opts.Warn(late)
		w = r.newWalk(nil, from)
		w.Stale = true
		err = w.Run(ctx)
	}
	if err != nil {
		kind := tuf.KindOf(err)
		return fault.Mark(fmt.Errorf("repository %s: %s: %w", r.config.Name, w.File, err), kind.Class(), "run: pkgtool refresh")
	}
	if err := r.take(ctx, w, nil); err != nil {
		return fault.Mark(fmt.Errorf("repository %s: %w", r.config.Name, err), fault.ClassOf(err), "run: pkgtool refresh")
	}
	return nil
}

// lateError is the error that what the last refresh found has expired.
func (r *repository) lateError(w *trust.Walk, err error) error {
	return fault.Mark(fault.Mark(fmt.Errorf("repository %s: %s: %w", r.config.Name, w.File, err), fault.Stale, "to go by it all the same: --allow-stale"),
		fault.Stale, "run: pkgtool refresh")
}

func (r *repository) refresh(ctx context.Context) error {
	err := r.refreshOnline(ctx)
	if err != nil && r.client.opts.AllowStale && fault.ClassOf(err) == fault.Stale {
		r.client.opts.Warn(err)
		return r.load(ctx)
	}
	return err
}

func (r *repository) refreshOnline(ctx context.Context) error {
	if len(r.mirrors) == 0 {
		return fault.Mark(fmt.Errorf("repository %s: none of its urls is on this machine, and the network is not to be used", r.config.Name),
			fault.Network, "leave out --offline")
	}
	unlock, err := r.lockState(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	from, err := r.readStored()
	if err != nil {
		return err
	}
	var failures []*MirrorError
	furthest := from
	var seen [][]byte // timestamps of mirrors that failed later
	for i, m := range r.mirrors {
		w := r.newWalk(m, from)
		w.Others = seen
		err := r.refreshFrom(ctx, w)
		if err == nil {
			if old := r.old(w); old != nil {
				failures = append(failures, r.mirrorError(m, repo.TimestampPath, old))
				w = r.newest(ctx, w, from, r.mirrors[i+1:])
			}
			r.warn(failures)
			return r.remember(w, from)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		failures = append(failures, r.mirrorError(m, w.File, err))
		if two := (*trust.Contradiction)(nil); errors.As(err, &two) {
			if err := r.keepEvidence(two); err != nil {
				return err
			}
			furthest = from // neither of the two is to be remembered
			continue
		}
		if w.Got.Timestamp != nil {
			seen = append(seen, w.Got.Timestamp)
		}
		if w.Got.Further(furthest) {
			furthest = w.Got
		}
	}
	// What was verified on the way must not be forgotten (specification 5.3 ff.).
	if furthest.Further(from) {
		if err := r.writeStored(furthest); err != nil {
			return err
		}
	}
	return allFailed(failures)
}

func (r *repository) refreshFrom(ctx context.Context, w *trust.Walk) error {
	ctx, cancel := r.patience(ctx)
	defer cancel()
	if err := w.Run(ctx); err != nil {
		return transport.CauseOf(ctx, err)
	}
	if err := r.take(ctx, w, w.Source); err != nil {
		return transport.CauseOf(ctx, err)
	}
	return nil
}

// patience bounds the time for all metadata and indexes of a mirror.
func (r *repository) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, r.limits.Metadata, fmt.Errorf("%w: metadata took longer than %s", transport.ErrTooSlow, r.limits.Metadata))
}

// remember stores what a successful walk verified.
func (r *repository) remember(w *trust.Walk, before trust.State) error {
	r.status.Mirror = w.Source.String()
	r.status.Changed = !bytes.Equal(before.Timestamp, w.Got.Timestamp) || !bytes.Equal(before.Root, w.Got.Root)
	if !r.status.Changed && bytes.Equal(before.Targets, w.Got.Targets) && bytes.Equal(before.Snapshot, w.Got.Snapshot) && before.Timestamp != nil {
		return nil
	}
	return r.writeStored(w.Got)
}
