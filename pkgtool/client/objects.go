package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ashlar/pkgtool/durable"
	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/repo/index/newer"
	"ashlar/repo/transport"
	"ashlar/repo/trust"
	"ashlar/repo/tuf"
	"ashlar/signing"
)

// take reads what a verified state offers, from the cache or from m.
func (r *repository) take(ctx context.Context, w *trust.Walk, m transport.Source) error {
	data, err := r.object(ctx, w, m, repo.KeyringTarget, maxKeyring)
	if err != nil {
		return err
	}
	keyring, err := signing.ReadKeyring(data)
	if err != nil {
		return tuf.Refuse(tuf.Lying, "the signed keyring is unusable: %w", err)
	}
	offer, err := r.offerOf(ctx, w, m)
	if err != nil {
		return err
	}
	if offer.advisories, err = r.advisoriesOf(ctx, w, m); err != nil {
		return err
	}
	t := w.Timestamp()
	status := Status{Name: r.config.Name, Channel: r.config.Channel, Version: t.Version, Published: w.Published(), Expires: t.Expires, Packages: offer.catalogue.Len()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keyring, r.offer, r.status, r.floor = keyring, offer, status, w.Clock()
	return nil
}

const (
	maxKeyring = 1 << 20
	maxIndex   = 256 << 20
)

// readIndex returns the entries of a verified index.
func (r *repository) readIndex(data []byte, arch string) ([]index.Entry, error) {
	header, entries, err := index.Decode(bytes.NewReader(data), index.Limits{})
	if err != nil {
		return nil, &tuf.Refusal{Kind: tuf.Lying, Err: err}
	}
	return entries, r.checkHeader(header, arch)
}

func (r *repository) checkHeader(h index.Header, arch string) error {
	if h.Channel != r.config.Channel || h.Arch != arch {
		return tuf.Refuse(tuf.Lying, "the index of %s.%s says that it is of %.40q.%.40q", r.config.Channel, arch, h.Channel, h.Arch)
	}
	return nil
}

// object returns the content of a target: from the cache if it is there intact,
// else from m, or from another mirror if m does not have it.
func (r *repository) object(ctx context.Context, w *trust.Walk, m transport.Source, name string, max int64) ([]byte, error) {
	path, length, sum, err := w.Target(name)
	w.File = path
	if err != nil {
		w.File = name
		return nil, tuf.Refuse(tuf.Lying, "the signed targets do not have %s", name)
	}
	if length > max {
		return nil, tuf.Refuse(tuf.Unbounded, "it is said to have %d bytes; at most %d are allowed", length, max)
	}
	if data, err := r.cached(object{sum, length}); err == nil {
		return data, nil
	}
	if m == nil {
		return nil, fmt.Errorf("%s is not in the cache", path)
	}
	data, err := r.fetchObject(ctx, m, name, transport.Object{Path: path, Size: length, SHA256: sum})
	if err != nil {
		return nil, err
	}
	cached := r.objectPath(sum)
	if err := os.MkdirAll(filepath.Dir(cached), 0o755); err != nil {
		return nil, err
	}
	return data, durable.WriteFile(cached, data, 0o644)
}

func (r *repository) objectPath(sum string) string {
	return filepath.Join(r.client.dirs.Cache, "objects", sum)
}

// cached reads an object from the cache, and verifies it.
func (r *repository) cached(o object) ([]byte, error) {
	data, err := transport.ReadSmall(r.objectPath(o.sum), o.length)
	if err == nil && sumOf(data) != o.sum {
		err = fmt.Errorf("%s is damaged", r.objectPath(o.sum))
	}
	return data, err
}

// fetchObject asks m for a target and, should that fail, the other mirrors:
// what an object is named by proves it, whoever has it.
func (r *repository) fetchObject(ctx context.Context, m transport.Source, name string, o transport.Object) ([]byte, error) {
	older := r.older(name)
	data, first := r.objectFrom(ctx, m, o, older)
	if first == nil {
		return data, nil
	}
	for _, other := range r.mirrors {
		if other == m || ctx.Err() != nil {
			continue
		}
		if data, err := r.objectFrom(ctx, other, o, older); err == nil {
			r.warn([]*MirrorError{r.mirrorError(m, o.Path, first)})
			return data, nil
		}
	}
	return nil, first
}

// objectFrom asks one mirror for an object: for what is new in it, where there is
// an older one and the mirror lets choose, else for the whole.
func (r *repository) objectFrom(ctx context.Context, m transport.Source, o transport.Object, older []byte) ([]byte, error) {
	if _, local := m.(transport.Folder); older != nil && !local && !r.isRangeless(m) {
		data, err := newer.Fetch(ctx, r.limits, m, o, older)
		if errors.Is(err, transport.ErrRange) {
			r.noteRangeless(m)
		}
		if !errors.Is(err, newer.ErrWhole) {
			return data, err
		}
	}
	data, err := r.limits.ReadProved(ctx, m, o.Path, o.Size, o.Size, func(data []byte) error {
		if got := sumOf(data); got != o.SHA256 {
			return tuf.Refuse(tuf.Tampered, "sha256 is %s instead of the %s that was signed", got, o.SHA256)
		}
		return nil
	})
	return data, transport.Missing(err)
}
