package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/trust"
)

// maxMoves is how often a run begins anew because the origin has published, and
// has removed what it had, in the middle of it.
const maxMoves = 5

// run is one Sync.
type run struct {
	Options
	to      store.Store
	sources []*counted
	scratch string

	record *record
	list   *list
	state  *state
	walked *counted // that the state came from
	plan   *plan
	survey *survey
	result *Result
	meter  *meter
}

// Sync makes to show the state that the first of sources shows which answers as
// it should; the others serve what that one does not have. Nothing is done
// where that is the state already. An error leaves what readers see as it was.
func Sync(ctx context.Context, to store.Store, sources []transport.Source, o Options) (*Result, error) {
	r, done, err := prepare(ctx, to, sources, o)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := r.remember(ctx); err != nil {
		return nil, err
	}
	var absent error
	for move := 1; ; move++ {
		before := r.record.State.Timestamp
		if err := r.follow(ctx); err != nil {
			return nil, err
		}
		if move > 1 && bytes.Equal(before, r.record.State.Timestamp) {
			return nil, fault.Mark(fmt.Errorf("%s does not have all of the state that it shows: %w", r.walked, absent), fault.Network,
				"if it is a mirror of a part, choose the same part with --channel and --arch; otherwise its own synchronisation has to finish first")
		}
		err := r.copy(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil || move == maxMoves {
			return nil, err
		}
		absent = err // perhaps because the origin has moved on
	}
	r.result.Fetched = r.meter.moves
	for _, s := range r.sources {
		r.result.FetchedBytes += s.bytes.Load()
	}
	if r.DryRun {
		return r.result, nil
	}
	return r.result, r.finish(ctx)
}

// prepare completes the options and opens what a run needs.
func prepare(ctx context.Context, to store.Store, sources []transport.Source, o Options) (r *run, done func(), err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	if o.Jobs <= 0 {
		o.Jobs = 8
	}
	o.Limits = o.Limits.OrDefault()
	r = &run{Options: o, to: to, result: &Result{Damaged: []string{}, Strangers: []string{}}}
	for _, s := range sources {
		r.sources = append(r.sources, &counted{Source: s})
	}
	done, err = r.open(ctx)
	return r, done, err
}

// open locks the store and finds a place for what is arriving.
func (r *run) open(ctx context.Context) (done func(), err error) {
	if r.DryRun {
		return r.temporaryScratch()
	}
	var locker store.Locker
	var scratcher store.Scratcher
	closeLocal := func() {}
	if l, ok := r.to.(store.Locker); ok {
		locker = l
	}
	if s, ok := r.to.(store.Scratcher); ok {
		scratcher = s
	}
	if locker == nil || scratcher == nil {
		local, err := store.OpenDir(r.Scratch)
		if err != nil {
			return nil, err
		}
		locker, scratcher, closeLocal = local, local, func() { local.Close() }
	}
	unlock, err := locker.Lock(ctx)
	if err == nil {
		r.scratch, err = scratcher.Scratch()
		if err != nil {
			unlock()
		}
	}
	if err != nil {
		closeLocal()
		return nil, err
	}
	return func() { unlock(); closeLocal() }, nil
}

// remember reads what earlier runs left, and whom to trust.
func (r *run) remember(ctx context.Context) error {
	if _, err := r.to.Stat(ctx, ".ashlar/repository.json"); err == nil {
		return fault.Mark(fmt.Errorf("%s is a publisher's own repository", r.to), fault.Usage, "choose another place for the mirror")
	}
	known, err := readRecord(ctx, r.Limits, r.to)
	if errors.Is(err, fs.ErrNotExist) {
		known, err = &record{Format: 1}, nil
	}
	if err != nil {
		return err
	}
	r.record = known
	before := known.Settings
	if lifted(r.Channels) {
		r.Channels, before.Channels = nil, nil
	}
	if lifted(r.Arches) {
		r.Arches, before.Arches = nil, nil
	}
	r.Settings = r.Settings.merged(before)
	known.Settings = r.Settings
	if err := r.Settings.validate(); err != nil {
		return err
	}
	if err := known.pin(ctx, r.to, r.sources, r.Options); err != nil {
		return err
	}
	r.list, err = readList(ctx, r.Limits, r.to)
	return err
}

// follow walks to the current state of the first source that has a good one.
func (r *run) follow(ctx context.Context) error {
	var failures []error
	furthest := r.record.State
	for _, s := range r.sources {
		// Each source is judged by what was known before: one that is merely
		// behind another that turned out broken has not gone back in time.
		w := &trust.Walk{Limits: r.Limits, Source: s.Source, Now: r.Now().UTC(), Got: r.record.State}
		err := r.walk(ctx, w)
		if err == nil {
			for _, f := range failures {
				r.Warn(f)
			}
			r.walked = s
			return r.verified(ctx, w)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		failures = append(failures, failure(s, w.File, err))
		if w.Got.Further(furthest) {
			furthest = w.Got
		}
	}
	// What was verified on the way must not be forgotten (TUF 5.3 ff.).
	if !r.DryRun && furthest.Further(r.record.State) && r.record.State.Timestamp != nil {
		r.record.State = furthest
		if err := r.record.write(ctx, r.to); err != nil {
			return err
		}
	}
	return worst(failures)
}

func (r *run) walk(ctx context.Context, w *trust.Walk) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.Limits.Metadata,
		fmt.Errorf("%w: metadata took longer than %s", transport.ErrTooSlow, r.Limits.Metadata))
	defer cancel()
	if err := w.Run(ctx); err != nil {
		return transport.CauseOf(ctx, err)
	}
	return nil
}

// verified remembers a state before anything of it is copied.
func (r *run) verified(ctx context.Context, w *trust.Walk) (err error) {
	if r.state, err = stateOf(w, r.Settings); err != nil {
		if fault.ClassOf(err) == fault.Usage {
			return err
		}
		return failure(r.walked, "targets", err)
	}
	before := r.record.State
	r.record.State = w.Got
	if r.DryRun || bytes.Equal(before.Timestamp, w.Got.Timestamp) && bytes.Equal(before.Root, w.Got.Root) {
		return nil
	}
	return r.record.write(ctx, r.to)
}

// finish cleans up after readers see the state, and notes that all is done.
func (r *run) finish(ctx context.Context) error {
	r.list.count(r.plan, r.Now())
	if err := r.prune(ctx); err != nil {
		return err
	}
	if err := r.to.Remove(ctx, arrivingPath); err != nil {
		return err
	}
	r.sweepScratch()
	r.record.Source, r.record.Synced = r.walked.String(), r.Now().UTC()
	if err := r.record.write(ctx, r.to); err != nil {
		return err
	}
	return r.to.Sync(ctx)
}
