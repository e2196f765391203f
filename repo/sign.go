package repo

import (
	"bytes"
	"crypto/ed25519"
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
// changed or half of its life is over; a role signed anew changes the next.
type publishing struct {
	*Repository
	now      time.Time
	state    *state
	changed  bool // something was signed anew
	below    bool // and the next role must say so
	warnings []string
}

// old reports whether metadata with this expiry is past half of its life.
func (p *publishing) old(expires time.Time, days int) bool {
	return !p.now.Before(expires.Add(-lifetime(days) / 2))
}

func lifetime(days int) time.Duration { return time.Duration(days) * 24 * time.Hour }

// firstVersion starts the counters of a repository at the time of its first
// publication. One that is made anew under the same keys, as developers do,
// then goes on instead of looking rolled back to its clients.
func (p *publishing) firstVersion() int64 { return max(1, p.now.Unix()) }

// renewRoot signs the same keys again before root metadata expires. Its key is
// often offline; then there is a warning instead.
func (p *publishing) renewRoot() error {
	days := p.config.Lifetimes.Root
	if !p.old(p.state.root.Signed.Expires, days) {
		return nil
	}
	if p.keyAway(metadata.ROOT, p.state.root.Signed.Expires) {
		return nil
	}
	key, err := p.key(metadata.ROOT)
	if err != nil {
		return err
	}
	next := *p.state.root
	next.Signed.Version++
	next.Signed.Expires = p.now.Add(lifetime(days))
	data, err := sign(&next, key)
	if err != nil {
		return err
	}
	p.state.root, p.changed = &next, true
	return durable.WriteFile(p.path(MetadataPath(metadata.ROOT, next.Signed.Version)), data, 0o644)
}

// keyAway reports whether the key of a role is offline while its metadata is
// good for a while yet, and warns of it.
func (p *publishing) keyAway(role string, expires time.Time) bool {
	_, err := p.key(role)
	if !errors.Is(err, fs.ErrNotExist) || !p.now.Before(expires) {
		return false
	}
	p.warnings = append(p.warnings, fmt.Sprintf("%s metadata expires on %s and the %s key is not at hand: bring it back and publish",
		role, expires.Format(time.DateOnly), role))
	return true
}

func (p *publishing) signTargets(targets map[string]*metadata.TargetFiles) error {
	days := p.config.Lifetimes.Targets
	m := metadata.Targets(p.now.Add(lifetime(days)))
	m.Signed.Version = p.firstVersion()
	if old := p.state.targets; old != nil {
		if sameTargets(old.Signed.Targets, targets) && (!p.old(old.Signed.Expires, days) || p.keyAway(metadata.TARGETS, old.Signed.Expires)) {
			return nil
		}
		m.Signed.Version = old.Signed.Version + 1
	}
	m.Signed.Targets = targets
	p.state.targets, p.changed, p.below = m, true, true
	return writeSigned(p, metadata.TARGETS, m, &m.Signed.Version)
}

func (p *publishing) signSnapshot() error {
	days := p.config.Lifetimes.Snapshot
	m := metadata.Snapshot(p.now.Add(lifetime(days)))
	m.Signed.Version = p.firstVersion()
	if old := p.state.snapshot; old != nil {
		if !p.below && !p.old(old.Signed.Expires, days) {
			return nil
		}
		m.Signed.Version = old.Signed.Version + 1
	}
	meta, err := p.metaFile(metadata.TARGETS, p.state.targets.Signed.Version)
	if err != nil {
		return err
	}
	m.Signed.Meta = map[string]*metadata.MetaFiles{"targets.json": meta}
	p.state.snapshot, p.changed, p.below = m, true, true
	return writeSigned(p, metadata.SNAPSHOT, m, &m.Signed.Version)
}

// switchTimestamp is the one step that clients see.
func (p *publishing) switchTimestamp() error {
	days := p.config.Lifetimes.Timestamp
	m := metadata.Timestamp(p.now.Add(lifetime(days)))
	m.Signed.Version = p.firstVersion()
	if old := p.state.timestamp; old != nil {
		if !p.below && !p.old(old.Signed.Expires, days) {
			return nil
		}
		m.Signed.Version = old.Signed.Version + 1
	}
	meta, err := p.metaFile(metadata.SNAPSHOT, p.state.snapshot.Signed.Version)
	if err != nil {
		return err
	}
	m.Signed.Meta = map[string]*metadata.MetaFiles{"snapshot.json": meta}
	m.Signed.UnrecognizedFields = map[string]any{PublishedField: p.now.Format(time.RFC3339)}
	key, err := p.key(metadata.TIMESTAMP)
	if err != nil {
		return err
	}
	data, err := sign(m, key)
	if err != nil {
		return err
	}
	p.state.timestamp, p.changed = m, true
	return durable.WriteFile(p.path(TimestampPath), data, 0o644)
}

// writeSigned signs m and writes it under its version. A publisher that was
// killed can have left other content there; metadata never changes under a
// name, so such a version is passed over.
func writeSigned[T metadata.Roles](p *publishing, role string, m *metadata.Metadata[T], version *int64) error {
	key, err := p.key(role)
	if err != nil {
		return err
	}
	for ; ; *version++ {
		data, err := sign(m, key)
		if err != nil {
			return err
		}
		path := p.path(MetadataPath(role, *version))
		existing, err := os.ReadFile(path)
		switch {
		case err == nil && bytes.Equal(existing, data):
			return nil
		case err == nil:
			continue
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if int64(len(data)) > tuf.MaxSize[role] {
			return fmt.Errorf("%s metadata of %d bytes is over the limit of %d", role, len(data), tuf.MaxSize[role])
		}
		return durable.WriteFile(path, data, 0o644)
	}
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

// key reads the private key of a role and proves that clients trust it.
func (p *publishing) key(role string) (ed25519.PrivateKey, error) {
	path := keyFile(p.keys, p.config.Name, role)
	key, err := readKey(path)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("%s key of repository %s: %w", role, p.config.Name, err), fault.Failed,
			"the key is needed to publish this; bring it back to "+path)
	}
	_, id, err := tufKey(key)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(p.state.root.Signed.Roles[role].KeyIDs, id) {
		return nil, fault.Mark(fmt.Errorf("%s is not the %s key of this repository", path, role), fault.Security,
			"the repository was made with other keys; point --keys (or ASHLAR_KEYS) at them")
	}
	return key, nil
}
