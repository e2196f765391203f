package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"

	"golang.org/x/sync/errgroup"
)

// A run notes what has arrived after so much time; what came since then is read
// again after a kill, to prove it.
const checkpointEvery = 30 * time.Second

// maxFailures is after how many objects that no source has a run gives up.
const maxFailures = 20

// expect notes what a run is about to bring, so that what a kill leaves is known.
// It reports whether that is anything.
func (r *run) expect(ctx context.Context, needed []transport.Object) (bool, error) {
	for _, m := range r.state.metadata {
		if !r.list.has(m.path) {
			needed = append(needed, transport.Object{Path: m.path, Size: int64(len(m.data))})
		}
	}
	for _, o := range needed {
		r.list.set(o.Path, o.Size, false, r.Now())
	}
	if len(needed) == 0 {
		return false, nil
	}
	return true, r.checkpoint(ctx)
}

// checkpoint makes what has arrived durable, and notes it.
func (r *run) checkpoint(ctx context.Context) error {
	arriving := newList()
	for path, o := range r.list.objects {
		if o.refs == 0 || !o.present {
			arriving.objects[path] = o
		}
	}
	if err := r.to.Sync(ctx); err != nil {
		return err
	}
	return arriving.write(ctx, r.to, arrivingPath)
}

// bringAll brings objects, several at a time. Where the sources fail it goes on
// with the others, so that the next run has less to do.
func (r *run) bringAll(ctx context.Context, objects []transport.Object) error {
	var mu sync.Mutex
	var failures []error
	last := time.Now()
	arrived := func(o transport.Object, err error) error {
		mu.Lock()
		defer mu.Unlock()
		var local *transport.LocalError
		switch {
		case err != nil && (errors.As(err, &local) || ctx.Err() != nil):
			return err
		case err != nil:
			failures = append(failures, err)
			if len(failures) == maxFailures {
				return worst(failures)
			}
			return nil
		}
		r.list.set(o.Path, o.Size, true, r.Now())
		if time.Since(last) < checkpointEvery {
			return nil
		}
		last = time.Now()
		return r.checkpoint(ctx)
	}
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(r.Jobs)
	for _, o := range objects {
		if within.Err() != nil {
			break
		}
		group.Go(func() error { return arrived(o, r.bring(within, o)) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(failures) > 0 {
		return worst(failures)
	}
	return ctx.Err()
}

// bring makes sure that an object is in the store.
func (r *run) bring(ctx context.Context, o transport.Object) error {
	there, err := r.there(ctx, o)
	if err != nil {
		return err
	}
	if there {
		r.meter.found(o.Size)
		return nil
	}
	var failures []error
	for _, s := range r.inOrder() {
		err := r.transfer(ctx, s, o)
		var local *transport.LocalError
		switch {
		case err == nil:
			for _, f := range failures {
				r.warn(f)
			}
			r.meter.arrived()
			return nil
		case errors.As(err, &local):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		failures = append(failures, failure(s, o.Path, err))
	}
	return worst(failures)
}

// there reports whether a file that an earlier run, or somebody else, has put
// where an object belongs is that object.
func (r *run) there(ctx context.Context, o transport.Object) (bool, error) {
	size, known := r.survey.unknown[o.Path]
	if !r.survey.listed {
		found, err := r.to.Stat(ctx, o.Path)
		size, known = found, err == nil
	}
	if !known || size != o.Size {
		return false, nil
	}
	return r.intact(ctx, o)
}

// intact reads an object of the store and compares its hash.
func (r *run) intact(ctx context.Context, o transport.Object) (bool, error) {
	sum, err := hashOf(ctx, r.to, o)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return err == nil && sum == o.SHA256, nil
}

// hashOf reads a whole object.
func hashOf(ctx context.Context, s transport.Source, o transport.Object) (string, error) {
	a, err := s.Get(ctx, o.Path, 0)
	if err != nil {
		return "", err
	}
	defer a.Body.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, &untilDone{ctx, io.LimitReader(a.Body, o.Size+1)})
	if err == nil && n != o.Size {
		err = tuf.Refuse(tuf.Tampered, "has %d bytes or more instead of %d", n, o.Size)
	}
	return hex.EncodeToString(sum.Sum(nil)), err
}

// untilDone ends with its context.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// transfer moves an object from a source to the store.
func (r *run) transfer(ctx context.Context, s *counted, o transport.Object) error {
	put := store.PutOptions{Size: o.Size, SHA256: o.SHA256}
	file := filepath.Join(r.scratch, o.SHA256)
	_, waiting := os.Lstat(file)
	if f, ok := s.Source.(transport.Folder); ok && waiting != nil {
		if err := r.to.PutFile(ctx, o.Path, f.Path(o.Path), put); err != nil {
			return transport.Missing(err)
		}
		s.bytes.Add(o.Size)
		r.meter.bytes(o.Size)
		return nil
	}
	if err := r.fetch(ctx, s, o, file); err != nil {
		return err
	}
	put.Consume = true
	if err := r.to.PutFile(ctx, o.Path, file, put); err != nil {
		os.Remove(file) // or it would come to this again
		return &transport.LocalError{Err: fmt.Errorf("write %s to %s: %w", o.Path, r.to, err)}
	}
	return nil
}

// fetch brings an object into a file, unless a killed run has done so.
func (r *run) fetch(ctx context.Context, s transport.Source, o transport.Object, file string) error {
	if _, err := os.Lstat(file); err == nil {
		sum, err := hashOf(ctx, transport.Folder{Dir: r.scratch}, transport.Object{Path: o.SHA256, Size: o.Size})
		if err == nil && sum == o.SHA256 {
			r.meter.bytes(o.Size)
			return nil
		}
		if err := os.Remove(file); err != nil {
			return &transport.LocalError{Err: err}
		}
	}
	seen := int64(0)
	return r.Limits.Fetch(ctx, s, o, file, func(done, _ int64) {
		r.meter.bytes(done - seen)
		seen = done
	})
}

// verify reads all objects that are there and notes which are damaged.
func (r *run) verify(ctx context.Context, all []transport.Object) error {
	bad := make([]bool, len(all))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(r.Jobs)
	for i, o := range all {
		if r.list.has(o.Path) && within.Err() == nil {
			group.Go(func() error {
				good, err := r.intact(within, o)
				bad[i] = !good
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, o := range all {
		if bad[i] {
			r.damage(o.Path)
		}
	}
	return ctx.Err()
}
