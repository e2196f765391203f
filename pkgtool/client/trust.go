package client

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"ashlar/repo"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// walk is the client workflow of The Update Framework (specification 1.0,
// section 5) over what one mirror serves. It begins at the trusted state it is
// given and never changes that; what it verified is in got, even if the walk
// ends early.
type walk struct {
	limits Limits
	mirror mirror
	now    time.Time

	set    *trustedmetadata.TrustedMetadata
	got    stored
	file   string // what is being looked at, for errors
	oddity error  // something to warn of, though the walk goes on
}

// run updates root, timestamp, snapshot and targets. mirror may be nil: then
// nothing is fetched and the stored state must suffice.
func (w *walk) run(ctx context.Context) error {
	if err := w.start(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{w.roots, w.timestamp, w.snapshot, w.targets} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) start() (err error) {
	w.file = "the trusted root"
	if err := tuf.Check(metadata.ROOT, w.got.Root); err != nil {
		return err
	}
	w.set, err = trustedmetadata.New(w.got.Root)
	if err != nil {
		return tuf.Translate(err)
	}
	w.set.RefTime = w.now
	return nil
}

// roots walks root metadata version by version, each signed by the keys of the
// one before and by its own.
func (w *walk) roots(ctx context.Context) error {
	if w.mirror == nil {
		return nil
	}
	first := w.set.Root
	for rotations := 0; ; rotations++ {
		w.file = repo.MetadataPath(metadata.ROOT, w.set.Root.Signed.Version+1)
		data, err := w.limits.readFile(ctx, w.mirror, w.file, tuf.MaxSize[metadata.ROOT], -1)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		if rotations == tuf.MaxRootRotations {
			return tuf.Refuse(tuf.Unbounded, "more than %d new roots", tuf.MaxRootRotations)
		}
		if err := tuf.Check(metadata.ROOT, data); err != nil {
			return err
		}
		if _, err := w.set.UpdateRoot(data); err != nil {
			return tuf.Translate(err)
		}
		w.got.Root = data
	}
	// A stolen timestamp or snapshot key can push the counters up. New keys
	// mean that the counters begin anew (5.3.11).
	for _, role := range []string{metadata.TIMESTAMP, metadata.SNAPSHOT} {
		if !sameKeys(first.Signed.Roles[role], w.set.Root.Signed.Roles[role]) {
			w.got.Timestamp, w.got.Snapshot = nil, nil
		}
	}
	return nil
}

func sameKeys(a, b *metadata.Role) bool {
	x, y := slices.Clone(a.KeyIDs), slices.Clone(b.KeyIDs)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

func (w *walk) timestamp(ctx context.Context) error {
	w.file = repo.TimestampPath
	if expires := w.set.Root.Signed.Expires; w.set.RefTime.After(expires) {
		w.file = repo.MetadataPath(metadata.ROOT, w.set.Root.Signed.Version)
		return w.expired(metadata.ROOT, expires)
	}
	if w.got.Timestamp != nil {
		// Expired is fine here: it still says what must not be undercut. One that
		// the present root does not vouch for says nothing.
		if tuf.Check(metadata.TIMESTAMP, w.got.Timestamp) == nil {
			_, _ = w.set.UpdateTimestamp(w.got.Timestamp)
		}
		if w.set.Timestamp != nil {
			w.raiseClock()
		} else {
			w.got.Timestamp = nil
		}
	}
	if w.mirror == nil {
		return w.stillValid()
	}
	data, err := w.limits.readFile(ctx, w.mirror, w.file, tuf.MaxSize[metadata.TIMESTAMP], -1)
	if err != nil {
		return missing(err)
	}
	if err := tuf.Check(metadata.TIMESTAMP, data); err != nil {
		return err
	}
	_, err = w.set.UpdateTimestamp(data)
	if errors.Is(err, &metadata.ErrEqualVersionNumber{}) {
		if !bytes.Equal(data, w.got.Timestamp) {
			w.oddity = tuf.Refuse(tuf.Tampered, "differs from the one of the same version, %d, that this machine has; it was ignored", w.set.Timestamp.Signed.Version)
		}
		return w.stillValid()
	}
	if err != nil {
		return w.translate(err, metadata.TIMESTAMP)
	}
	w.got.Timestamp = data
	w.raiseClock()
	return w.stillValid()
}

// raiseClock keeps the clock from being behind the time at which the timestamp
// was signed. The floor goes with the timestamp: new keys remove both.
func (w *walk) raiseClock() {
	text, _ := w.set.Timestamp.Signed.UnrecognizedFields[repo.PublishedField].(string)
	if at, err := time.Parse(time.RFC3339, text); err == nil && at.After(w.set.RefTime) {
		w.set.RefTime = at
	}
}

// stillValid checks the timestamp in force against the raised clock.
func (w *walk) stillValid() error {
	if w.set.Timestamp == nil {
		return tuf.Refuse(tuf.Unreachable, "nothing is known of this repository yet; refresh it first")
	}
	if expires := w.set.Timestamp.Signed.Expires; w.set.RefTime.After(expires) {
		return w.expired(metadata.TIMESTAMP, expires)
	}
	return nil
}

func (w *walk) expired(role string, expires time.Time) error {
	return tuf.Refuse(tuf.Stale, "%s metadata expired on %s; it is now %s", role,
		expires.UTC().Format(time.RFC3339), w.set.RefTime.UTC().Format(time.RFC3339))
}

func (w *walk) snapshot(ctx context.Context) error {
	meta := w.set.Timestamp.Signed.Meta["snapshot.json"]
	w.file = repo.MetadataPath(metadata.SNAPSHOT, meta.Version)
	if w.got.Snapshot != nil && tuf.Check(metadata.SNAPSHOT, w.got.Snapshot) == nil {
		// The stored one counts for the check against rollback even when it is
		// not the current one any more.
		_, err := w.set.UpdateSnapshot(w.got.Snapshot, true)
		if err == nil && meta.VerifyLengthHashes(w.got.Snapshot) == nil {
			return nil
		}
	}
	data, err := w.hung(ctx, metadata.SNAPSHOT, meta)
	if err != nil {
		return err
	}
	if _, err := w.set.UpdateSnapshot(data, false); err != nil {
		return w.translate(err, metadata.SNAPSHOT)
	}
	w.got.Snapshot = data
	return nil
}

func (w *walk) targets(ctx context.Context) error {
	meta := w.set.Snapshot.Signed.Meta["targets.json"]
	w.file = repo.MetadataPath(metadata.TARGETS, meta.Version)
	if w.got.Targets != nil && tuf.Check(metadata.TARGETS, w.got.Targets) == nil {
		if _, err := w.set.UpdateTargets(w.got.Targets); err == nil {
			return nil
		}
	}
	data, err := w.hung(ctx, metadata.TARGETS, meta)
	if err != nil {
		return err
	}
	if _, err := w.set.UpdateTargets(data); err != nil {
		return w.translate(err, metadata.TARGETS)
	}
	w.got.Targets = data
	return nil
}

// hung fetches metadata that other metadata refers to, by length where stated.
func (w *walk) hung(ctx context.Context, role string, meta *metadata.MetaFiles) ([]byte, error) {
	if w.mirror == nil {
		return nil, tuf.Refuse(tuf.Unreachable, "the stored %s metadata is not current; refresh the repository", role)
	}
	limit := tuf.MaxSize[role]
	size := int64(-1)
	if meta.Length > limit {
		return nil, tuf.Refuse(tuf.Unbounded, "%s metadata is said to have %d bytes; at most %d are allowed", role, meta.Length, limit)
	}
	if meta.Length > 0 {
		limit, size = meta.Length, meta.Length
	}
	data, err := w.limits.readFile(ctx, w.mirror, w.file, limit, size)
	if err != nil {
		return nil, missing(err)
	}
	if err := meta.VerifyLengthHashes(data); err != nil {
		return nil, tuf.Refuse(tuf.Tampered, "does not have the sha256 that was signed; tampered with, or of another state of the repository")
	}
	return data, tuf.Check(role, data)
}

// translate is tuf.Translate with more to say about expiry.
func (w *walk) translate(err error, role string) error {
	if errors.Is(err, &metadata.ErrExpiredMetadata{}) {
		switch {
		case w.set.RefTime.After(w.set.Root.Signed.Expires):
			return w.expired(metadata.ROOT, w.set.Root.Signed.Expires)
		case role == metadata.TIMESTAMP && w.set.Timestamp != nil:
			return w.expired(role, w.set.Timestamp.Signed.Expires)
		case role == metadata.SNAPSHOT && w.set.Snapshot != nil:
			return w.expired(role, w.set.Snapshot.Signed.Expires)
		}
	}
	return tuf.Translate(err)
}

// missing gives a file that must be there, and is not, a better message.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the mirror does not have this file (%w); it may be incomplete", err)
	}
	return err
}

// target returns path, length and sha256 of a target's file.
func (w *walk) target(name string) (path string, length int64, sum string, err error) {
	t := w.set.Targets[metadata.TARGETS].Signed.Targets[name]
	if t == nil {
		return "", 0, "", fs.ErrNotExist
	}
	raw := t.Hashes["sha256"]
	if len(raw) != 32 || t.Length <= 0 {
		return "", 0, "", tuf.Refuse(tuf.Tampered, "target %s has no length and sha256", name)
	}
	sum = hex.EncodeToString(raw)
	return repo.TargetPath(name, sum), t.Length, sum, nil
}

// further reports whether a saw a later state of the repository than b.
func (a stored) further(b stored) bool {
	return timestampVersion(a.Timestamp) > timestampVersion(b.Timestamp) || !bytes.Equal(a.Root, b.Root) && rootVersion(a.Root) > rootVersion(b.Root)
}

func timestampVersion(data []byte) int64 {
	if data == nil {
		return 0
	}
	m, err := metadata.Timestamp().FromBytes(data)
	if err != nil {
		return 0
	}
	return m.Signed.Version
}

func rootVersion(data []byte) int64 {
	m, err := metadata.Root().FromBytes(data)
	if err != nil {
		return 0
	}
	return m.Signed.Version
}
