package trust

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"time"

	"ashlar/repo"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// Walk is the client workflow of The Update Framework (specification 1.0,
// section 5) over what one source serves. It begins at the trusted state it is
// given and never changes that; what it verified is in Got, even if the walk
// ends early.
type Walk struct {
	Limits transport.Limits
	Source transport.Source // nil: nothing is fetched and the state must suffice
	Now    time.Time        // for expiry; raised to when the timestamp was signed
	Got    State            // to begin with, and afterwards what was verified
	Others [][]byte         // timestamps that other sources had shown just before
	Stale  bool             // judge by when the state was published, so that nothing has expired

	File string // what is being looked at, for errors

	set *trustedmetadata.TrustedMetadata
}

// Run updates root, timestamp, snapshot and targets. Its error is a *tuf.Refusal
// or says that no usable answer came; File names the file.
func (w *Walk) Run(ctx context.Context) error {
	if err := w.start(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{w.updateRoots, w.updateTimestamp, w.updateSnapshot, w.updateTargets} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *Walk) start() (err error) {
	w.File = "the trusted root"
	if err := tuf.Check(metadata.ROOT, w.Got.Root); err != nil {
		return err
	}
	w.set, err = trustedmetadata.New(w.Got.Root)
	if err != nil {
		return tuf.Translate(err)
	}
	w.set.RefTime = w.Now
	if w.Stale {
		w.set.RefTime = time.Time{}
	}
	return nil
}

// roots walks root metadata version by version, each signed by the keys of the
// one before and by its own.
func (w *Walk) updateRoots(ctx context.Context) error {
	if w.Source == nil {
		return nil
	}
	first := w.set.Root
	for rotations := 0; ; rotations++ {
		w.File = repo.MetadataPath(metadata.ROOT, w.set.Root.Signed.Version+1)
		data, err := w.Limits.ReadFile(ctx, w.Source, w.File, tuf.MaxSize[metadata.ROOT], -1)
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
		w.Got.Root = data
	}
	// A stolen timestamp or snapshot key can push the counters up. New keys
	// mean that the counters begin anew (5.3.11).
	for _, role := range []string{metadata.TIMESTAMP, metadata.SNAPSHOT} {
		if !sameKeys(first.Signed.Roles[role], w.set.Root.Signed.Roles[role]) {
			w.Got.Timestamp, w.Got.Snapshot = nil, nil
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

func (w *Walk) updateTimestamp(ctx context.Context) error {
	w.File = repo.TimestampPath
	if expires := w.set.Root.Signed.Expires; w.set.RefTime.After(expires) {
		w.File = repo.MetadataPath(metadata.ROOT, w.set.Root.Signed.Version)
		return w.expired(metadata.ROOT, expires)
	}
	if w.Got.Timestamp != nil {
		// Expired is fine here: it still says what must not be undercut. One that
		// the present root does not vouch for says nothing.
		if tuf.Check(metadata.TIMESTAMP, w.Got.Timestamp) == nil {
			_, _ = w.set.UpdateTimestamp(w.Got.Timestamp)
		}
		if w.set.Timestamp != nil {
			w.raiseClock()
		} else {
			w.Got.Timestamp = nil
		}
	}
	if w.Source == nil {
		return w.stillValid()
	}
	data, err := w.Limits.ReadProved(ctx, w.Source, w.File, tuf.MaxSize[metadata.TIMESTAMP], -1, w.takeTimestamp)
	if err != nil {
		return transport.Missing(err)
	}
	w.Got.Timestamp = data
	w.raiseClock()
	return w.stillValid()
}

// takeTimestamp verifies timestamp metadata that the source has.
func (w *Walk) takeTimestamp(data []byte) error {
	if err := tuf.Check(metadata.TIMESTAMP, data); err != nil {
		return err
	}
	_, err := w.set.UpdateTimestamp(data)
	if errors.Is(err, &metadata.ErrEqualVersionNumber{}) {
		return contradicted(data, w.Got.Timestamp)
	}
	if err != nil {
		return w.translate(err, metadata.TIMESTAMP, data)
	}
	return contradicted(data, w.Others...)
}

// raiseClock keeps the clock from being behind the time at which the timestamp
// was signed. The floor goes with the timestamp: new keys remove both.
func (w *Walk) raiseClock() {
	if at := w.Published(); at.After(w.set.RefTime) {
		w.set.RefTime = at
	}
}

// stillValid checks the timestamp in force against the raised clock.
func (w *Walk) stillValid() error {
	if w.set.Timestamp == nil {
		return tuf.Refuse(tuf.Unreachable, "nothing is known of this repository yet; refresh it first")
	}
	if expires := w.set.Timestamp.Signed.Expires; w.set.RefTime.After(expires) {
		return w.expired(metadata.TIMESTAMP, expires)
	}
	return nil
}

func (w *Walk) expired(role string, expires time.Time) error {
	return tuf.Refuse(tuf.Stale, "%s metadata expired on %s; it is now %s", role,
		expires.UTC().Format(time.RFC3339), w.set.RefTime.UTC().Format(time.RFC3339))
}

func (w *Walk) updateSnapshot(ctx context.Context) error {
	meta := w.set.Timestamp.Signed.Meta["snapshot.json"]
	w.File = repo.MetadataPath(metadata.SNAPSHOT, meta.Version)
	if w.Got.Snapshot != nil && tuf.Check(metadata.SNAPSHOT, w.Got.Snapshot) == nil {
		// The stored one counts for the check against rollback even when it is
		// not the current one any more.
		_, err := w.set.UpdateSnapshot(w.Got.Snapshot, true)
		if err == nil && meta.VerifyLengthHashes(w.Got.Snapshot) == nil {
			return nil
		}
	}
	data, err := w.hung(ctx, metadata.SNAPSHOT, meta)
	if err != nil {
		return err
	}
	if _, err := w.set.UpdateSnapshot(data, false); err != nil {
		return w.translate(err, metadata.SNAPSHOT, data)
	}
	w.Got.Snapshot = data
	return nil
}

func (w *Walk) updateTargets(ctx context.Context) error {
	meta := w.set.Snapshot.Signed.Meta["targets.json"]
	w.File = repo.MetadataPath(metadata.TARGETS, meta.Version)
	if w.Got.Targets != nil && tuf.Check(metadata.TARGETS, w.Got.Targets) == nil {
		if _, err := w.set.UpdateTargets(w.Got.Targets); err == nil {
			return nil
		}
	}
	data, err := w.hung(ctx, metadata.TARGETS, meta)
	if err != nil {
		return err
	}
	if _, err := w.set.UpdateTargets(data); err != nil {
		return w.translate(err, metadata.TARGETS, data)
	}
	w.Got.Targets = data
	return nil
}

// hung fetches metadata that other metadata refers to, by length where stated.
func (w *Walk) hung(ctx context.Context, role string, meta *metadata.MetaFiles) ([]byte, error) {
	if w.Source == nil {
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
	data, err := w.Limits.ReadProved(ctx, w.Source, w.File, limit, size, func(data []byte) error {
		if err := meta.VerifyLengthHashes(data); err != nil {
			return tuf.Refuse(tuf.Tampered, "does not have the sha256 that was signed; tampered with, or of another state of the repository")
		}
		return tuf.Check(role, data)
	})
	return data, transport.Missing(err)
}

// translate is tuf.Translate with more to say about expiry, of the root or of
// data, which is metadata of role.
func (w *Walk) translate(err error, role string, data []byte) error {
	if !errors.Is(err, &metadata.ErrExpiredMetadata{}) {
		return tuf.Translate(err)
	}
	if expires := w.set.Root.Signed.Expires; w.set.RefTime.After(expires) {
		return w.expired(metadata.ROOT, expires)
	}
	var m struct {
		Signed struct{ Expires time.Time }
	}
	if json.Unmarshal(data, &m) != nil || m.Signed.Expires.IsZero() {
		return tuf.Translate(err)
	}
	return w.expired(role, m.Signed.Expires)
}

// Target returns path, length and sha256 of a target's file; fs.ErrNotExist if
// the targets do not list it.
func (w *Walk) Target(name string) (path string, length int64, sum string, err error) {
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

// Targets is the metadata that the walk ended at. Nothing may change it.
func (w *Walk) Targets() *metadata.TargetsType {
	return &w.set.Targets[metadata.TARGETS].Signed
}

// Timestamp is the metadata that the walk ended at. Nothing may change it.
func (w *Walk) Timestamp() *metadata.TimestampType { return &w.set.Timestamp.Signed }

// Snapshot is the metadata that the walk ended at. Nothing may change it.
func (w *Walk) Snapshot() *metadata.SnapshotType { return &w.set.Snapshot.Signed }

// Root is the metadata that the walk ended at. Nothing may change it.
func (w *Walk) Root() *metadata.RootType { return &w.set.Root.Signed }

// Published is when the repository was published, as its timestamp says; zero
// if that does not say.
func (w *Walk) Published() time.Time {
	text, _ := w.set.Timestamp.Signed.UnrecognizedFields[repo.PublishedField].(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at
}

// Clock is the time that the walk judged expiry by: Now, but not before the
// timestamp was signed.
func (w *Walk) Clock() time.Time { return w.set.RefTime }
