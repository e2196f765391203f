package mirror

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"ashlar/repo"
	"ashlar/repo/index/newer"
	"ashlar/repo/transport"
)

// index returns the content of an index. One that is not there yet waits in the
// scratch folder until it is put.
func (r *run) index(ctx context.Context, t target) ([]byte, error) {
	if r.list.has(t.Path) {
		data, err := r.Limits.ReadFile(ctx, r.to, t.Path, t.Size, t.Size)
		if err == nil && sumOf(data) == t.SHA256 {
			return data, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		r.damage(t.Path)
	}
	file := filepath.Join(r.scratch, t.SHA256)
	var failures []error
	old, err := r.oldIndex(ctx, t.name, r.list.base[t.name])
	if err != nil || !newer.HasFrames(old) {
		old = nil
	}
	for _, s := range r.inOrder() {
		data, err := r.newIndex(ctx, s, t, old, file)
		var local *transport.LocalError
		switch {
		case err == nil:
			for _, f := range failures {
				r.Warn(f)
			}
			return data, nil
		case errors.As(err, &local):
			return nil, err
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
		failures = append(failures, failure(s, t.Path, err))
	}
	return nil, worst(failures)
}

// newIndex gets an index from a source into a file: what the older one does not
// have of it, or all of it.
func (r *run) newIndex(ctx context.Context, s *counted, t target, old []byte, file string) ([]byte, error) {
	if old != nil {
		if data, err := newer.Fetch(ctx, r.Limits, s, t.Object, old); err == nil {
			if err := os.WriteFile(file, data, 0o644); err != nil {
				return nil, &transport.LocalError{Err: err}
			}
			return data, nil
		}
	}
	if err := r.fetch(ctx, s, t.Object, file); err != nil {
		return nil, err
	}
	return transport.ReadSmall(file, t.Size)
}

// oldIndex reads an index of the state shown until now.
func (r *run) oldIndex(ctx context.Context, name, sum string) ([]byte, error) {
	data, err := r.Limits.ReadFile(ctx, r.to, repo.TargetPath(name, sum), maxIndex, -1)
	if err == nil && sumOf(data) != sum {
		err = errNoBase
	}
	return data, err
}
