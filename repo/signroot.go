package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// repositoryField of root metadata is the publisher's name for the repository.
const repositoryField = "x-ashlar-repository"

// nextRoot finds out whether a new root is to be published: a change of keys
// that has been asked for, or the same keys for longer. It needs signatures by
// the keys in force and by those to come; if there are too few, it waits.
func (p *publishing) nextRoot() error {
	d, stale, err := p.loadDraft(metadata.ROOT)
	if err != nil {
		return err
	}
	days := p.config.Lifetimes.Root
	switch {
	case d != nil && d.root.Signed.Version <= p.state.root.Signed.Version:
		if err := p.removeDraft(metadata.ROOT); err != nil { // a publisher was killed after it had published it
			return err
		}
		d = nil
	case d != nil && !p.now.Before(d.root.Signed.Expires.Add(-lifetime(days)/2)):
		d.root.Signed.Expires = p.now.Add(lifetime(days))
		d.root.ClearSignatures()
	}
	if d == nil {
		if !p.old(p.state.root.Signed.Expires, days) {
			return nil
		}
		if d, err = draftRoot(p.config.Name, p.state.root, p.now.Add(lifetime(days))); err != nil {
			return err
		}
	}
	if err := d.addSignatures(p.held); err != nil {
		return err
	}
	if needs := d.Needs(); len(needs) > 0 {
		waiting := p.awaiting(d)
		waiting.stale = stale
		if p.now.Before(p.state.root.Signed.Expires) {
			p.warn("%s; what is in force expires on %s", waiting.text(), p.state.root.Signed.Expires.Format(time.DateOnly))
		} else {
			p.late = waiting
		}
		return p.saveDraft(d)
	}
	for _, role := range []string{metadata.SNAPSHOT, metadata.TIMESTAMP} {
		if r := d.root.Signed.Roles[role]; p.held.count(r.KeyIDs) < r.Threshold {
			p.warn("the change of keys waits: it needs %d %s keys and %d of them are at hand", r.Threshold, role, p.held.count(r.KeyIDs))
			return p.saveDraft(d)
		}
	}
	// Clients follow roots one by one, so none may be missing.
	for v := int64(1); v < p.state.root.Signed.Version; v++ {
		if _, err := os.Stat(p.path(MetadataPath(metadata.ROOT, v))); err != nil {
			p.warn("the new root waits, because clients that know an old one could not follow: %v; restore the file, a copy of it is beside the role keys", err)
			return p.saveDraft(d)
		}
	}
	// From here on it is published or, if something fails, drafted again.
	p.next = d.root
	return nil
}

// draftRoot is the root to come, as long as nothing in it changes but its life.
func draftRoot(name string, root *metadata.Metadata[metadata.RootType], expires time.Time) (*Draft, error) {
	data, err := root.ToBytes(false)
	if err != nil {
		return nil, err
	}
	next, err := metadata.Root().FromBytes(data)
	if err != nil {
		return nil, tuf.Translate(err)
	}
	next.Signed.Version++
	next.Signed.Expires = expires
	next.ClearSignatures()
	return &Draft{Repository: name, Role: metadata.ROOT, roots: []*metadata.Metadata[metadata.RootType]{root}, root: next}, nil
}

// writeRoot publishes the root to come, which must be signed by the one before.
func (p *publishing) writeRoot() error {
	if p.next.Signed.Version != p.state.root.Signed.Version+1 || !thresholdMet(p.state.root, metadata.ROOT, p.next) || !thresholdMet(p.next, metadata.ROOT, p.next) {
		return fault.Errorf(fault.Security, "root version %d cannot be followed from version %d", p.next.Signed.Version, p.state.root.Signed.Version)
	}
	data, err := encode(p.next)
	if err != nil {
		return err
	}
	if int64(len(data)) > tuf.MaxSize[metadata.ROOT] {
		return fault.Errorf(fault.Usage, "root metadata of %d bytes is over the limit of %d", len(data), tuf.MaxSize[metadata.ROOT])
	}
	version := p.next.Signed.Version
	if err := durable.WriteFile(p.path(MetadataPath(metadata.ROOT, version)), data, 0o644); err != nil {
		return err
	}
	p.state.root, p.next, p.changed = p.next, nil, true
	if err := keepRoot(KeyFolder(p.keys, p.config.Name), version, data); err != nil {
		p.warn("root version %d was published, but no copy of it could be kept beside the keys: %v", version, err)
	}
	return p.removeDraft(metadata.ROOT)
}

// keepRoot keeps a copy of root metadata beside the keys.
func keepRoot(folder string, version int64, data []byte) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return durable.WriteFile(keptRoot(folder, version), data, 0o600)
}

func keptRoot(folder string, version int64) string {
	return filepath.Join(folder, fmt.Sprintf("%d.root.json", version))
}

// keptRoots reads the copies of roots beside the keys, the oldest first, and
// proves that they are a chain of this repository.
func keptRoots(folder, name string) (all [][]byte, newest *metadata.Metadata[metadata.RootType], err error) {
	for v := int64(1); ; v++ {
		path := keptRoot(folder, v)
		data, err := readBounded(path, tuf.MaxSize[metadata.ROOT])
		if errors.Is(err, fs.ErrNotExist) {
			return all, newest, nil
		}
		if err != nil {
			return nil, nil, err
		}
		root, err := nextInChain(newest, data)
		if err == nil && root.Signed.UnrecognizedFields[repositoryField] != name {
			err = fmt.Errorf("is of another repository than %s", name)
		}
		if err != nil {
			return nil, nil, fault.Mark(fmt.Errorf("%s: %w", path, err), fault.Security, "use another name, or other keys")
		}
		all, newest = append(all, data), root
	}
}

// nextInChain parses root metadata that must follow last, which may be nil.
func nextInChain(last *metadata.Metadata[metadata.RootType], data []byte) (*metadata.Metadata[metadata.RootType], error) {
	if err := tuf.Check(metadata.ROOT, data); err != nil {
		return nil, err
	}
	root, err := metadata.Root().FromBytes(data)
	if err != nil {
		return nil, tuf.Translate(err)
	}
	signer, version := root, int64(1)
	if last != nil {
		signer, version = last, last.Signed.Version+1
	}
	if root.Signed.Version != version {
		return nil, fmt.Errorf("holds root version %d, not %d", root.Signed.Version, version)
	}
	return root, tuf.Translate(errors.Join(signer.VerifyDelegate(metadata.ROOT, root), root.VerifyDelegate(metadata.ROOT, root)))
}
