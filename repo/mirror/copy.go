package mirror

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"

	"ashlar/repo"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// copy brings all of the state that is not there, and shows it.
func (r *run) copy(ctx context.Context) error {
	var err error
	if r.survey, err = r.look(ctx); err != nil {
		return err
	}
	if err := r.makePlan(ctx); err != nil {
		return err
	}
	needed, err := r.needed(ctx)
	if err != nil {
		return err
	}
	r.report(needed)
	if r.DryRun {
		return nil
	}
	packages, others := split(needed)
	news, err := r.expect(ctx, needed)
	if err != nil {
		return err
	}
	for _, objects := range [][]transport.Object{packages, others} {
		if err := r.bringAll(ctx, objects); err != nil {
			return err
		}
	}
	return r.show(ctx, news)
}

// split divides objects into packages and the rest, which comes after them.
func split(objects []transport.Object) (packages, others []transport.Object) {
	for _, o := range objects {
		if isPackage(o.Path) {
			packages = append(packages, o)
		} else {
			others = append(others, o)
		}
	}
	return packages, others
}

func isPackage(path string) bool { return len(path) > 5 && path[:5] == "pool/" }

// show writes the metadata and switches the timestamp.
func (r *run) show(ctx context.Context, news bool) error {
	for _, m := range r.state.metadata {
		if err := r.putMetadata(ctx, m); err != nil {
			return err
		}
	}
	roots, err := r.roots(ctx)
	if err != nil {
		return err
	}
	if err := r.to.Sync(ctx); err != nil {
		return err
	}
	if news {
		if err := r.checkpoint(ctx); err != nil {
			return err
		}
	}
	// Readers who see only one of the new root and the new timestamp must be able
	// to go on. A publisher who changes keys signs with old and new ones, so that
	// the timestamp fits the root before as well; then that comes first.
	steps := []func(context.Context) error{
		func(ctx context.Context) error { return r.putRoots(ctx, roots) },
		r.switchTimestamp,
	}
	if r.holdsUnderShownRoot(ctx, roots) {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) putRoots(ctx context.Context, roots []piece) error {
	for _, m := range roots {
		if err := r.putMetadata(ctx, m); err != nil {
			return err
		}
	}
	return r.to.Sync(ctx)
}

func (r *run) switchTimestamp(ctx context.Context) error {
	if bytes.Equal(r.survey.shown, r.state.walk.Got.Timestamp) {
		return nil
	}
	r.result.Changed = true
	return r.to.Switch(ctx, repo.TimestampPath, r.state.walk.Got.Timestamp)
}

// holdsUnderShownRoot reports whether the new state is one for those who see no
// newer root than the mirror shows until now.
func (r *run) holdsUnderShownRoot(ctx context.Context, missing []piece) bool {
	if len(missing) == 0 || r.survey.shown == nil {
		return false
	}
	next, err := metadata.Root().FromBytes(missing[0].data)
	if err != nil {
		return false
	}
	path := repo.MetadataPath(metadata.ROOT, next.Signed.Version-1)
	data, err := r.Limits.ReadFile(ctx, r.to, path, tuf.MaxSize[metadata.ROOT], -1)
	if err != nil || tuf.Check(metadata.ROOT, data) != nil {
		return false
	}
	set, err := trustedmetadata.New(data)
	if err != nil {
		return false
	}
	got := r.state.walk.Got
	set.RefTime = r.state.walk.Clock()
	_, err = set.UpdateTimestamp(got.Timestamp)
	if err == nil {
		_, err = set.UpdateSnapshot(got.Snapshot, false)
	}
	if err == nil {
		_, err = set.UpdateTargets(got.Targets)
	}
	return err == nil
}

// putMetadata writes a file of the state unless it is there.
func (r *run) putMetadata(ctx context.Context, m piece) error {
	r.plan.fixed[m.path] = true
	if r.list.has(m.path) && !r.Verify {
		return nil
	}
	there, err := r.Limits.ReadFile(ctx, r.to, m.path, int64(len(m.data)), int64(len(m.data)))
	if err != nil || !bytes.Equal(there, m.data) {
		if err := r.to.PutBytes(ctx, m.path, m.data); err != nil {
			return err
		}
	}
	r.list.set(m.path, int64(len(m.data)), true, r.Now())
	return nil
}

// roots returns the roots that the mirror lacks, the oldest first. The walk has
// proven those from the pinned one on; of older ones it is proven that each
// leads to the next.
func (r *run) roots(ctx context.Context) ([]piece, error) {
	newest := r.state.walk.Root().Version
	pinned, err := metadata.Root().FromBytes(r.record.Pinned)
	if err != nil {
		return nil, tuf.Translate(err)
	}
	chain := map[int64][]byte{newest: r.state.walk.Got.Root, pinned.Signed.Version: r.record.Pinned}
	var missing []piece
	for v := newest; v >= 1; v-- {
		path := repo.MetadataPath(metadata.ROOT, v)
		r.plan.fixed[path] = true
		if r.list.has(path) && !r.Verify {
			continue
		}
		data, err := r.root(ctx, chain, v)
		if errors.Is(err, fs.ErrNotExist) && v < pinned.Signed.Version {
			break // nothing proves those before the pinned one anyway
		}
		if err == nil && v < newest {
			var next []byte
			if next, err = r.root(ctx, chain, v+1); err == nil {
				err = leadsTo(data, next)
			}
		}
		if err != nil {
			return nil, failure(r.walked, path, err)
		}
		missing = append(missing, piece{path, data})
	}
	slices.Reverse(missing)
	return missing, nil
}

// root reads a version of root metadata, and keeps it in chain.
func (r *run) root(ctx context.Context, chain map[int64][]byte, version int64) ([]byte, error) {
	if chain[version] != nil {
		return chain[version], nil
	}
	var first error
	for _, s := range r.inOrder() {
		data, err := r.Limits.ReadFile(ctx, s, repo.MetadataPath(metadata.ROOT, version), tuf.MaxSize[metadata.ROOT], -1)
		if err == nil {
			chain[version] = data
			return data, nil
		}
		first = cmp.Or(first, err)
	}
	return nil, first
}

// leadsTo proves that whoever trusts one root takes another one as its successor.
func leadsTo(root, next []byte) error {
	for _, data := range [][]byte{root, next} {
		if err := tuf.Check(metadata.ROOT, data); err != nil {
			return err
		}
	}
	set, err := trustedmetadata.New(root)
	if err == nil {
		_, err = set.UpdateRoot(next)
	}
	return tuf.Translate(err)
}

// inOrder lists the sources, the one of the state first.
func (r *run) inOrder() []*counted {
	all := []*counted{r.walked}
	for _, s := range r.sources {
		if s != r.walked {
			all = append(all, s)
		}
	}
	return all
}

// report counts the state and what of it is missing.
func (r *run) report(needed []transport.Object) {
	w := r.state.walk
	r.result.Source, r.result.Version = r.walked.String(), w.Timestamp().Version
	r.result.Published, r.result.Expires = w.Published(), w.Timestamp().Expires
	r.result.Objects, r.result.Bytes = r.size()
	r.result.Needed, r.result.NeededBytes = len(needed), 0
	for _, o := range needed {
		r.result.NeededBytes += o.Size
	}
	if r.DryRun {
		r.result.Changed = !bytes.Equal(r.survey.shown, w.Got.Timestamp)
	}
	r.meter = newMeter(r.Progress, len(needed), r.result.NeededBytes)
}

// size counts packages, indexes and other targets of the state.
func (r *run) size() (objects int, bytes int64) {
	for _, t := range slices.Concat(r.state.indexes, r.state.others) {
		objects++
		bytes += t.Size
	}
	for path, o := range r.list.objects {
		if _, counted := r.plan.wants[path]; isPackage(path) && !counted && r.plan.refsOf(path, o) > 0 {
			objects++
			bytes += o.size
		}
	}
	for _, o := range r.plan.wants {
		objects++
		bytes += o.Size
	}
	return objects, bytes
}
