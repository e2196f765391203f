package web

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/index"
	"ashlar/signing"
)

// facts is what only the package file itself says.
type facts struct {
	License     string
	Description string
	Homepage    string
	Origin      string
	Sources     []pkgfile.Source
	Files       int // without folders
	Signers     []signer
}

// signer is a packager whose signature over the package is good.
type signer struct {
	Fingerprint string `json:"fingerprint"`
	Name        string `json:"name"`
}

const (
	maxSources = 20
	maxOpen    = 2 // package files that are read at a time; a manifest can take some 100 MB
)

// errAbsent says that a package file is not in the pool, or not the one that
// the index means.
var errAbsent = errors.New("the package file on this server is not the one that the signed index names")

// open opens a package of the pool, and reads its manifest. Call release after
// use; until then few others can be opened.
func (s *Site) open(ctx context.Context, e *index.Entry) (p *pkgfile.Package, release func(), err error) {
	select {
	case s.opening <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	done := func() { <-s.opening }
	f, err := openBelow(s.dir, e.Path)
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("%w: %w", errAbsent, err)
	}
	release = func() { f.Close(); done() }
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular() || info.Size() != e.Size:
		err = errAbsent
	default:
		p, err = pkgfile.Open(f, info.Size())
	}
	if err == nil && p.ManifestSHA256() != e.Manifest {
		err = errAbsent
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return p, release, nil
}

// openBelow opens a file of dir that is not outside of it.
func openBelow(dir, name string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// Without O_NONBLOCK a FIFO put there by somebody would hang us.
	return root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// facts reads a package file, or remembers it.
func (s *Site) facts(ctx context.Context, st *state, e *index.Entry) (*facts, error) {
	if known := st.facts.get(e.SHA256); known != nil {
		return known, nil
	}
	p, release, err := s.open(ctx, e)
	if err != nil {
		return nil, err
	}
	defer release()
	m := p.Manifest()
	f := &facts{
		License: line(m.License, maxText), Description: lines(m.Description, maxDescription), Homepage: line(m.Homepage, maxText),
		Origin: m.Provenance.Origin, Sources: m.Provenance.Sources[:min(len(m.Provenance.Sources), maxSources)],
		Signers: signersOf(p, st.keyring, s.now()),
	}
	for i := range m.Files {
		if m.Files[i].Type != pkgfile.TypeDir {
			f.Files++
		}
	}
	st.facts.put(e.SHA256, f)
	return f, nil
}

// signersOf returns the packagers whose signatures are good; none when one is bad.
func signersOf(p *pkgfile.Package, keyring *signing.Keyring, now time.Time) []signer {
	prints, err := p.VerifySignature(keyring, signing.Policy{Now: now})
	if err != nil {
		return nil
	}
	var all []signer
	for _, print := range prints {
		all = append(all, signer{print, nameOf(keyring.Key(print))})
	}
	return all
}

// nameOf is what a key says of its owner.
func nameOf(key *signing.PublicKey) string {
	if key == nil || len(key.UserIDs()) == 0 {
		return ""
	}
	return line(key.UserIDs()[0], maxText)
}

// cache remembers the facts that were asked for last.
type cache struct {
	mu    sync.Mutex
	items map[string]*list.Element
	order *list.List // of remembered, the last used first
}

type remembered struct {
	key   string
	facts *facts
}

const maxRemembered = 256

func newCache() *cache { return &cache{items: map[string]*list.Element{}, order: list.New()} }

func (c *cache) get(key string) *facts {
	c.mu.Lock()
	defer c.mu.Unlock()
	item := c.items[key]
	if item == nil {
		return nil
	}
	c.order.MoveToFront(item)
	return item.Value.(*remembered).facts
}

func (c *cache) put(key string, f *facts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items[key] != nil {
		return
	}
	c.items[key] = c.order.PushFront(&remembered{key, f})
	if c.order.Len() > maxRemembered {
		last := c.order.Remove(c.order.Back()).(*remembered)
		delete(c.items, last.key)
	}
}
