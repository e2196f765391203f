package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// signingDir holds, for a role that waits for signatures, ROLE.json, which is
// carried to the keys and back, and ROLE.own.json, which stays: it tells whether
// what comes back is what was sent.
const signingDir = "signing"

// DraftPath is the file of a repository that waits for signatures of a role.
func DraftPath(dir, role string) string {
	return filepath.Join(dir, privateDir, signingDir, role+".json")
}

func ownDraftPath(dir, role string) string {
	return filepath.Join(dir, privateDir, signingDir, role+".own.json")
}

// AwaitingError says that what is to be published must first be signed with
// keys that are not at hand. Everything else was done.
type AwaitingError struct {
	File  string // to be carried to the keys and back
	Needs []Need
	dir   string
	stale bool // something else was brought back
}

func (e *AwaitingError) Error() string { return e.text() }

func (e *AwaitingError) text() string {
	var parts []string
	for _, n := range e.Needs {
		which := n.Role + " key"
		if n.Which != "" {
			which += " " + n.Which
		}
		parts = append(parts, fmt.Sprintf("%d more signature(s) with a %s (%s)", n.Signatures, which, shortIDs(n.Keys)))
	}
	text := fmt.Sprintf("%s waits for %s", e.File, strings.Join(parts, " and "))
	if e.stale {
		text += "; what came back was something else and was replaced by what is wanted now"
	}
	return text
}

// hinted is the error with what to do about it.
func (e *AwaitingError) hinted() error {
	return fault.Mark(e, fault.Failed, fmt.Sprintf("copy the file to the machine that has the key, run there `pkgtool repo sign FILE`, "+
		"bring it back to its place, and run `pkgtool repo publish %s`", e.dir))
}

// shortIDs lists key ids as people compare them.
func shortIDs(ids []string) string {
	var short []string
	for _, id := range ids {
		short = append(short, tuf.Printable(ShortID(id)))
	}
	return strings.Join(short, ", ")
}

// ShortID is the beginning of a key id, enough to tell keys apart.
func ShortID(id string) string { return id[:min(16, len(id))] }

func errNoKeyFor(d *Draft) error {
	return fault.Mark(fmt.Errorf("none of the keys here may sign this; it waits for %s: %w", shortIDs(d.signers()), fs.ErrNotExist), fault.Usage,
		"put the key into $ASHLAR_KEYS/repositories/"+d.Repository+" or give it with --key FILE")
}

// saveDraft writes a draft: our own copy first.
func (r *Repository) saveDraft(d *Draft) error {
	if err := os.MkdirAll(r.path(privateDir, signingDir), 0o755); err != nil {
		return err
	}
	if err := d.Write(ownDraftPath(r.dir, d.Role)); err != nil {
		return err
	}
	return d.Write(DraftPath(r.dir, d.Role))
}

// loadDraft returns what waits for signatures of a role, with those that were
// brought back, or nil. stale says that something else came back: it is not
// used, and what is wanted lies there again.
func (r *Repository) loadDraft(role string) (d *Draft, stale bool, err error) {
	own, err := OpenDraft(ownDraftPath(r.dir, role))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	path := DraftPath(r.dir, role)
	brought, err := OpenDraft(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return own, false, own.Write(path)
	case err != nil && tuf.KindOf(err) == "" && fault.ClassOf(err) != fault.Security:
		return nil, false, err
	case err != nil || brought.Role != role || brought.content() != own.content():
		return own, true, own.Write(path)
	}
	own.merge(brought)
	return own, false, nil
}

// removeDraft forgets what waited.
func (r *Repository) removeDraft(role string) error {
	for _, path := range []string{DraftPath(r.dir, role), ownDraftPath(r.dir, role)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (r *Repository) awaiting(d *Draft) *AwaitingError {
	return &AwaitingError{File: DraftPath(r.dir, d.Role), Needs: d.Needs(), dir: r.dir}
}

// waiting says which files wait for keys that are elsewhere.
func (r *Repository) waiting() (all []string) {
	for _, role := range []string{metadata.ROOT, metadata.TARGETS} {
		switch d, _, err := r.loadDraft(role); {
		case err != nil:
			all = append(all, err.Error())
		case d == nil:
		case len(d.Needs()) > 0:
			all = append(all, r.awaiting(d).text())
		default:
			all = append(all, fmt.Sprintf("%s is signed: run pkgtool repo publish", DraftPath(r.dir, role)))
		}
	}
	return all
}

// draftedTargets returns the targets that were sent to be signed, if they say
// what is to be published now; else nil, and they are forgotten.
func (p *publishing) draftedTargets(targets map[string]*metadata.TargetFiles, least int64) (*metadata.Metadata[metadata.TargetsType], error) {
	d, stale, err := p.loadDraft(metadata.TARGETS)
	p.stale = stale
	if err != nil || d == nil {
		return nil, err
	}
	m := d.targets
	age := p.config.Lifetimes.Targets
	if m.Signed.Version < least || !sameTargets(m.Signed.Targets, targets) || !p.now.Before(m.Signed.Expires.Add(-lifetime(age)/2)) {
		return nil, nil
	}
	// A publisher that was killed can have written it under its name already.
	written, err := readRole(p.dir, MetadataPath(metadata.TARGETS, m.Signed.Version), metadata.TARGETS, metadata.Targets())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, nil
	case err != nil:
		return nil, err
	case (&Draft{Role: d.Role, targets: written}).content() != d.content() || !p.holds(metadata.TARGETS, written):
		return nil, nil
	}
	return written, nil
}

// awaitTargets writes the draft of targets that the keys at hand cannot sign.
func (p *publishing) awaitTargets(m *metadata.Metadata[metadata.TargetsType]) (*AwaitingError, error) {
	d := &Draft{Repository: p.config.Name, Role: metadata.TARGETS, targets: m, oldTargets: p.state.targets}
	d.roots = append(d.roots, p.deciding())
	if p.next != nil {
		d.roots = append(d.roots, p.state.root)
	}
	var err error
	if d.packagers, err = p.packagersOf(m); err != nil {
		return nil, err
	}
	if d.oldTargets != nil {
		if d.oldPackager, err = p.packagersOf(d.oldTargets); err != nil {
			return nil, err
		}
	}
	waiting := p.awaiting(d)
	waiting.stale = p.stale
	return waiting, p.saveDraft(d)
}

// packagersOf reads the keyring that targets metadata names.
func (p *publishing) packagersOf(m *metadata.Metadata[metadata.TargetsType]) ([]byte, error) {
	return (&state{targets: m}).readTarget(p.dir, KeyringTarget)
}
