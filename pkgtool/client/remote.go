package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/index"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"
)

// Remote is a package on offer whose manifest is here and verified. Its content
// comes by Fetch, frame by frame, as far as somebody wants it. Its methods can
// be used concurrently, except Close. Close it after use.
type Remote struct {
	repository *repository
	entry      Entry
	pkg        *pkgfile.Package
	local      *os.File                // the package where it lies on this machine, or nil
	partial    atomic.Pointer[partial] // else the cached file
}

// Entry is the package on offer.
func (r *Remote) Entry() Entry { return r.entry }

// Package is the package. Reading content that was not fetched is an error;
// all that is read is verified again. It is closed with the Remote.
func (r *Remote) Package() *pkgfile.Package { return r.pkg }

// Close closes the package's file. What was fetched stays in the cache.
func (r *Remote) Close() error {
	err := r.pkg.Close()
	if r.local != nil {
		err = errors.Join(err, r.local.Close())
	}
	if p := r.partial.Load(); p != nil {
		err = errors.Join(err, p.file.Close())
	}
	return err
}

// ReadAt reads the package file for its Package.
func (r *Remote) ReadAt(b []byte, offset int64) (int, error) {
	if p := r.partial.Load(); p != nil {
		return p.ReadAt(b, offset)
	}
	return r.local.ReadAt(b, offset)
}

// FetchMeta fetches no more than the manifest of the package that e names, by
// one request for a range, and verifies it: it is the one whose hash the signed
// index states, it agrees with the index in every field, and a packager of the
// signed keyring has signed it. What little else there is of a small package
// comes with it. The cache is asked first. A package of a repository on this
// machine is used where it lies.
func (c *Client) FetchMeta(ctx context.Context, e Entry) (*Remote, error) {
	r, err := c.repository(e.Repo)
	if err != nil {
		return nil, err
	}
	if err := e.Validate(); err != nil {
		return nil, err
	}
	if remote := r.cachedRemote(e); remote != nil {
		return remote, nil
	}
	var failures []*MirrorError
	for _, m := range r.goodFirst() {
		remote, err := r.remoteFrom(ctx, m, e)
		if err == nil {
			r.warn(failures)
			return remote, nil
		}
		if err := final(ctx, e, err); err != nil {
			return nil, err
		}
		failures = append(failures, r.mirrorError(m, e.Path, err))
	}
	return nil, r.failed(e, failures)
}

// final returns the error to end with, if err is one that no other mirror can help.
func final(ctx context.Context, e Entry, err error) error {
	var local *transport.LocalError
	var publisher *publishedWrong
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &local):
		return fmt.Errorf("fetch %s: %w", e.ID(), local.Err)
	case errors.As(err, &publisher):
		return err
	}
	return nil
}

// failed is the error when no mirror had the package, or none could be asked.
func (r *repository) failed(e Entry, failures []*MirrorError) error {
	err := allFailed(failures)
	if r.client.opts.Offline && err == nil {
		return fault.Mark(fmt.Errorf("repository %s: package %s is not in the cache, and the network is not to be used", r.config.Name, e.ID()),
			fault.Network, "leave out --offline")
	}
	return err
}

func (r *repository) packagePath(e *index.Entry, suffix string) string {
	return filepath.Join(r.client.dirs.Cache, "packages", e.SHA256+suffix)
}

// cachedRemote opens what the cache has of a package; nil if it has no good
// manifest of it.
func (r *repository) cachedRemote(e Entry) *Remote {
	for _, suffix := range []string{pkgfile.MediaSuffix, partialSuffix} {
		path := r.packagePath(&e.Entry, suffix)
		file, err := openPartial(path, e.Size, false)
		if err != nil {
			continue
		}
		if remote, err := r.open(e, file, nil); err == nil {
			noteUse(path)
			return remote
		}
		file.Close()
	}
	return nil
}

// noteUse remembers, as far as that is possible, that a cached file was used.
func noteUse(path string) {
	now := time.Now()
	_ = os.Chtimes(path, now, now)
}

// open makes a Remote of a file with at least the right meta frame in it.
func (r *repository) open(e Entry, cached, local *os.File) (*Remote, error) {
	remote := &Remote{repository: r, entry: e, local: local}
	if cached != nil {
		remote.partial.Store(&partial{file: cached, meta: e.MetaSize})
	}
	var err error
	if remote.pkg, err = r.openMeta(remote, e); err != nil {
		return nil, err
	}
	if cached != nil {
		remote.partial.Store(newPartial(cached, remote.pkg))
	}
	return remote, nil
}

func newPartial(file *os.File, p *pkgfile.Package) *partial {
	frames := p.Manifest().Frames
	return &partial{file: file, meta: p.MetaSize(), frames: frames, known: make([]frameState, len(frames))}
}

// openMeta reads and verifies a meta frame. It tells apart what the bytes'
// source did wrong, and what the publisher did.
func (r *repository) openMeta(from io.ReaderAt, e Entry) (*pkgfile.Package, error) {
	p, err := pkgfile.Open(from, e.Size)
	if err != nil {
		return nil, &tuf.Refusal{Kind: tuf.Tampered, Err: err}
	}
	switch {
	case p.ManifestSHA256() != e.Manifest:
		return nil, tuf.Refuse(tuf.Tampered, "the manifest's sha256 is %s; the signed index says %s", p.ManifestSHA256(), e.Manifest)
	case p.MetaSize() != e.MetaSize:
		return nil, tuf.Refuse(tuf.Tampered, "the meta frame has %d bytes; the signed index says %d", p.MetaSize(), e.MetaSize)
	}
	if err := r.agree(p, &e.Entry); err != nil {
		return nil, &publishedWrong{err}
	}
	// Signatures lie beside the manifest, where a mirror can take them away.
	if err := r.signed(p); err != nil {
		return nil, &tuf.Refusal{Kind: tuf.Unsigned, Err: err}
	}
	return p, nil
}

// publishedWrong is an error in what the publisher signed.
type publishedWrong struct{ error }

func (p *publishedWrong) Unwrap() error { return p.error }

// wantedFrames lists the frames that hold the content of files, in order.
func (r *Remote) wantedFrames(files []*pkgfile.File) []int {
	m := r.pkg.Manifest()
	var all []int
	for _, f := range files {
		if f.Type == pkgfile.TypeHardlink {
			f = m.File(f.Target)
		}
		first, end := m.FramesOf(f)
		for i := first; i < end; i++ {
			all = append(all, i)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Download returns how many bytes Fetch would transfer for files, as far as is
// known: a server that turns out to refuse ranges sends more.
func (r *Remote) Download(files []*pkgfile.File) int64 {
	p := r.partial.Load()
	if p == nil {
		return 0
	}
	missing := p.missing(r.wantedFrames(files))
	if len(missing) == 0 {
		return 0
	}
	if mirrors := r.repository.rangesFirst(); len(mirrors) > 0 && r.repository.isRangeless(mirrors[0]) {
		return r.entry.Size
	}
	return sumOfSpans(p.frames, spansOf(p.frames, missing))
}

func (p *partial) missing(wanted []int) []int {
	var missing []int
	for _, i := range wanted {
		if !p.has(i) {
			missing = append(missing, i)
		}
	}
	return missing
}
