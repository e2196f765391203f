package repo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// publishing is one run of Publish. Each role is signed anew when its content
// changed, half of its life is over, or its keys changed; a role signed anew
// changes the next.
//
// When keys change there are two roots, the one in force and the one to come.
// Whatever is signed meanwhile bears the signatures of both, where both keys
// are at hand. So it does not matter to a client which of the two it sees.
type publishing struct {
	*Repository
	now      time.Time
	state    *state
	force    bool // sign everything anew
	held     heldKeys
	next     *metadata.Metadata[metadata.RootType] // the root to come; nil if none
	changed  bool                                  // something was signed anew
	below    bool                                  // and the next role must say so
	stale    bool                                  // other targets were brought back than are wanted
	late     *AwaitingError                        // root metadata has expired, and waits
	warnings []string
}

// signAll signs what has to be and makes it visible, the timestamp last. An
// [AwaitingError] says that targets must be signed elsewhere first; what was
// published before is fresh then, and in force.
func (p *publishing) signAll(ctx context.Context, targets map[string]*metadata.TargetFiles) (err error) {
	if p.held, err = readHeld(KeyFolder(p.keys, p.config.Name)); err != nil {
		return err
	}
	if err := p.nextRoot(); err != nil {
		return err
	}
	waiting, err := p.signTargets(targets)
	if err != nil {
		return err
	}
	if waiting != nil {
		// What is in force does not suffice for the root to come. It waits too.
		p.next = nil
		if p.state.targets == nil || !p.holds(metadata.TARGETS, p.state.targets) {
			return waiting.hinted()
		}
	}
	for _, step := range []func() error{p.signSnapshot, ctx.Err, p.makeVisible} {
		if err := step(); err != nil {
			return err
		}
	}
	switch late := !p.now.Before(p.state.targets.Signed.Expires); {
	case waiting == nil:
		if err := p.removeDraft(metadata.TARGETS); err != nil {
			return err
		}
	case late || !sameTargets(p.state.targets.Signed.Targets, targets):
		return waiting.hinted()
	default:
		p.warn("%s; what is in force expires on %s", waiting.text(), p.state.targets.Signed.Expires.Format(time.DateOnly))
	}
	if p.late != nil {
		return p.late.hinted()
	}
	return nil
}

func (p *publishing) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
}

// deciding is the root under which everything must hold in the end.
func (p *publishing) deciding() *metadata.Metadata[metadata.RootType] {
	if p.next != nil {
		return p.next
	}
	return p.state.root
}

// holds reports whether metadata has the signatures that it will need.
func (p *publishing) holds(role string, m any) bool {
	return p.deciding().VerifyDelegate(role, m) == nil
}

// signers are the ids of the keys that sign for a role: those that decide, then
// those that are in force until then.
func (p *publishing) signers(role string) []string {
	ids := slices.Clone(p.deciding().Signed.Roles[role].KeyIDs)
	for _, id := range p.state.root.Signed.Roles[role].KeyIDs {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// old reports whether metadata with this expiry is past half of its life.
func (p *publishing) old(expires time.Time, days int) bool {
	return p.force || !p.now.Before(expires.Add(-lifetime(days)/2))
}

func lifetime(days int) time.Duration { return time.Duration(days) * 24 * time.Hour }

// firstVersion starts the counters of a repository at the time of its first
// publication. One that is made anew under the same keys, as developers do,
// then goes on instead of looking rolled back to its clients.
func (p *publishing) firstVersion() int64 { return max(1, p.now.Unix()) }

// signTargets signs the targets if they must be. It returns what they wait for
// if too few of their keys are at hand.
func (p *publishing) signTargets(targets map[string]*metadata.TargetFiles) (*AwaitingError, error) {
	days := p.config.Lifetimes.Targets
	old, version := p.state.targets, p.firstVersion()
	if old != nil {
		version = old.Signed.Version + 1
	}
	m, err := p.draftedTargets(targets, version)
	if err != nil {
		return nil, err
	}
	if m == nil && old != nil && sameTargets(old.Signed.Targets, targets) && !p.old(old.Signed.Expires, days) && p.holds(metadata.TARGETS, old) {
		return nil, nil
	}
	if m == nil {
		m = metadata.Targets(p.now.Add(lifetime(days)))
		m.Signed.Version, m.Signed.Targets = version, targets
		if err := signFree(p, metadata.TARGETS, m, &m.Signed.Version); err != nil {
			return nil, err
		}
	} else if err := addSignatures(m, p.held, p.signers(metadata.TARGETS)); err != nil {
		return nil, err
	}
	if !p.holds(metadata.TARGETS, m) {
		return p.awaitTargets(m)
	}
	if err := p.writeMetadata(metadata.TARGETS, m.Signed.Version, m); err != nil {
		return nil, err
	}
	p.state.targets, p.changed, p.below = m, true, true
	return nil, nil
}

func (p *publishing) signSnapshot() error {
	days := p.config.Lifetimes.Snapshot
	m := metadata.Snapshot(p.now.Add(lifetime(days)))
	m.Signed.Version = p.firstVersion()
	if old := p.state.snapshot; old != nil {
		if !p.below && !p.old(old.Signed.Expires, days) && p.holds(metadata.SNAPSHOT, old) {
			return nil
		}
		m.Signed.Version = old.Signed.Version + 1
	}
	meta, err := p.metaFile(metadata.TARGETS, p.state.targets.Signed.Version)
	if err != nil {
		return err
	}
	m.Signed.Meta = map[string]*metadata.MetaFiles{"targets.json": meta}
	if err := signFree(p, metadata.SNAPSHOT, m, &m.Signed.Version); err != nil {
		return err
	}
	if !p.holds(metadata.SNAPSHOT, m) {
		return p.keyMissing(metadata.SNAPSHOT)
	}
	p.state.snapshot, p.changed, p.below = m, true, true
	return p.writeMetadata(metadata.SNAPSHOT, m.Signed.Version, m)
}

// makeVisible is what clients see: the timestamp is switched, and the root to
// come is there.
func (p *publishing) makeVisible() error {
	m, err := p.signTimestamp()
	if err != nil {
		return err
	}
	switchTimestamp := func() error {
		if m == nil {
			return nil
		}
		data, err := encode(m)
		if err != nil {
			return err
		}
		p.state.timestamp, p.changed = m, true
		return durable.WriteFile(p.path(TimestampPath), data, 0o644)
	}
	if p.next == nil {
		return switchTimestamp()
	}
	// As a rule all that is signed holds under the root in force as well, so the
	// new root comes last and nobody can meet a state that does not fit it. If
	// keys in force are lost, the new root must come first, and a client that
	// asks just then is refused and tries again.
	steps := []func() error{switchTimestamp, p.writeRoot}
	if m != nil && !p.holdsNow(m) {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// holdsNow reports whether everything holds under the root in force.
func (p *publishing) holdsNow(timestamp *metadata.Metadata[metadata.TimestampType]) bool {
	root := p.state.root
	return thresholdMet(root, metadata.TARGETS, p.state.targets) && thresholdMet(root, metadata.SNAPSHOT, p.state.snapshot) &&
		thresholdMet(root, metadata.TIMESTAMP, timestamp)
}

// signTimestamp returns the new timestamp, or nil if the one in force will do.
func (p *publishing) signTimestamp() (*metadata.Metadata[metadata.TimestampType], error) {
	days := p.config.Lifetimes.Timestamp
	m := metadata.Timestamp(p.now.Add(lifetime(days)))
	m.Signed.Version = p.firstVersion()
	if old := p.state.timestamp; old != nil {
		if !p.below && !p.old(old.Signed.Expires, days) && p.holds(metadata.TIMESTAMP, old) {
			return nil, nil
		}
		m.Signed.Version = old.Signed.Version + 1
	}
	meta, err := p.metaFile(metadata.SNAPSHOT, p.state.snapshot.Signed.Version)
	if err != nil {
		return nil, err
	}
	m.Signed.Meta = map[string]*metadata.MetaFiles{"snapshot.json": meta}
	m.Signed.UnrecognizedFields = map[string]any{PublishedField: p.now.Format(time.RFC3339)}
	if _, err := signWith(m, p.held, p.signers(metadata.TIMESTAMP)); err != nil {
		return nil, err
	}
	if !p.holds(metadata.TIMESTAMP, m) {
		return nil, p.keyMissing(metadata.TIMESTAMP)
	}
	return m, nil
}

// signFree signs m under its version, or the next one whose file is free. A
// publisher that was killed can have left other content there; metadata never
// changes under a name, so such a version is passed over.
func signFree[T metadata.Roles](p *publishing, role string, m *metadata.Metadata[T], version *int64) error {
	for ; ; *version++ {
		data, err := signWith(m, p.held, p.signers(role))
		if err != nil {
			return err
		}
		existing, err := os.ReadFile(p.path(MetadataPath(role, *version)))
		if errors.Is(err, fs.ErrNotExist) || err == nil && bytes.Equal(existing, data) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// writeMetadata writes signed metadata under its version.
func (p *publishing) writeMetadata(role string, version int64, m interface{ ToBytes(bool) ([]byte, error) }) error {
	data, err := m.ToBytes(false)
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if int64(len(data)) > tuf.MaxSize[role] {
		return fmt.Errorf("%s metadata of %d bytes is over the limit of %d", role, len(data), tuf.MaxSize[role])
	}
	path := p.path(MetadataPath(role, version))
	if existing, err := os.ReadFile(path); err == nil && bytes.Equal(existing, data) {
		return nil
	}
	return durable.WriteFile(path, data, 0o644)
}

func (p *publishing) metaFile(role string, version int64) (*metadata.MetaFiles, error) {
	data, err := os.ReadFile(p.path(MetadataPath(role, version)))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	m := metadata.MetaFile(version)
	m.Length = int64(len(data))
	m.Hashes = metadata.Hashes{"sha256": sum[:]}
	return m, nil
}

// keyMissing is the error for an online role whose keys are not at hand.
func (p *publishing) keyMissing(role string) error {
	r := p.deciding().Signed.Roles[role]
	folder := KeyFolder(p.keys, p.config.Name)
	return fault.Mark(fmt.Errorf("%d of %d needed %s keys of repository %s are in %s", p.held.count(r.KeyIDs), r.Threshold, role, p.config.Name, folder),
		fault.Failed, "publishing needs the "+role+" key; bring it back, or point ASHLAR_KEYS at the folder that has it")
}
