package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/index"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"
	"ashlar/signing"
)

// Progress is told how much of a package has arrived, in bytes.
type Progress func(done, total int64)

// Fetch returns the package that e names, verified: length and sha256 are those
// of the signed index, a packager of the signed keyring has signed it, and it
// agrees with the index in every field. A package of a repository on this
// machine is used where it lies; others go to the cache. progress may be nil.
// The caller closes the package.
func (c *Client) Fetch(ctx context.Context, e Entry, progress Progress) (*pkgfile.Package, error) {
	r, err := c.repository(e.Repo)
	if err != nil {
		return nil, err
	}
	if err := e.Validate(); err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	path := filepath.Join(c.dirs.Cache, "packages", e.SHA256+pkgfile.MediaSuffix)
	if err := checkFile(path, &e.Entry); err == nil {
		progress(e.Size, e.Size)
		noteUse(path)
		return r.openVerified(path, &e.Entry)
	}
	var failures []*MirrorError
	for _, m := range r.goodFirst() {
		place, err := r.fetchFrom(ctx, m, &e.Entry, path, progress)
		if err == nil {
			r.warn(failures)
			return r.openVerified(place, &e.Entry)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var local *transport.LocalError
		if errors.As(err, &local) {
			return nil, fmt.Errorf("fetch %s: %w", e.ID(), local.Err)
		}
		failures = append(failures, r.mirrorError(m, e.Path, err))
	}
	return nil, r.failed(e, failures)
}

// checkFile proves that a file has the length and the sha256 of the index.
func checkFile(path string, e *index.Entry) error {
	f, err := transport.OpenRegular(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != e.Size {
		return tuf.Refuse(tuf.Tampered, "length is not the %d bytes that the index states", e.Size)
	}
	_, sum, err := index.Sum(f)
	if err == nil && sum != e.SHA256 {
		err = objectOf(e).WrongSum(sum)
	}
	return err
}

func objectOf(e *index.Entry) transport.Object {
	return transport.Object{Path: e.Path, Size: e.Size, SHA256: e.SHA256}
}

// fetchFrom gets the package from m and returns where it lies, length and
// sha256 checked.
func (r *repository) fetchFrom(ctx context.Context, m transport.Source, e *index.Entry, path string, progress Progress) (string, error) {
	if local, ok := m.(transport.Folder); ok {
		place := local.Path(e.Path)
		if err := checkFile(place, e); err != nil {
			return "", transport.Missing(err)
		}
		progress(e.Size, e.Size)
		return place, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", &transport.LocalError{Err: err}
	}
	return path, r.limits.Fetch(ctx, m, objectOf(e), path, progress)
}

// openVerified opens a package whose length and sha256 are right and proves
// the rest. A package that fails here is the publisher's fault, not a mirror's:
// these are the bytes that the signed index names.
func (r *repository) openVerified(path string, e *index.Entry) (*pkgfile.Package, error) {
	p, err := pkgfile.OpenFile(path)
	if err != nil {
		return nil, r.publisherError(e, tuf.Tampered, err)
	}
	if err := r.verify(p, e); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (r *repository) verify(p *pkgfile.Package, e *index.Entry) error {
	if err := r.agree(p, e); err != nil {
		return err
	}
	if err := r.signed(p); err != nil {
		return r.publisherError(e, tuf.Unsigned, err)
	}
	return nil
}

// agree checks that a package says of itself what the index says of it.
func (r *repository) agree(p *pkgfile.Package, e *index.Entry) error {
	actual := index.FromPackage(p, p.Size(), e.SHA256)
	if field, says, is := index.Difference(e, &actual); field != "" {
		return r.publisherError(e, tuf.Lying, fmt.Errorf("%s is %.200q in the index and %.200q in the package", field, says, is))
	}
	return nil
}

// signed checks that a packager of the keyring signed p.
func (r *repository) signed(p *pkgfile.Package) error {
	r.mu.Lock()
	keyring := r.keyring
	r.mu.Unlock()
	if keyring == nil {
		return fault.Errorf(fault.Failed, "repository %s is not loaded", r.config.Name)
	}
	_, err := p.VerifySignature(keyring, signing.Policy{Now: r.clock()})
	return err
}

func (r *repository) publisherError(e *index.Entry, kind tuf.Kind, err error) error {
	hint := kind.Hint()
	if kind == tuf.Unsigned {
		hint = "no packager that the repository allows has signed this package: do not install it, and tell the publisher"
	}
	return fault.Mark(fmt.Errorf("repository %s: package %s: %w", r.config.Name, e.ID(),
		&tuf.Refusal{Kind: kind, Err: errors.New(tuf.Printable(err.Error()))}), fault.Security, hint)
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
