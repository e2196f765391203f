package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/remote"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"
)

// Shared is a cache of results that several builders share. What cannot be had
// from it is built here; nothing that is wrong with it makes a build fail.
type Shared struct {
	Store     remote.Store
	Keys      *signing.Keyring    // whose results count
	Threshold int                 // how many of them must have signed; 0 means 1
	Push      *signing.PrivateKey // signs what is built here; nil only reads

	mu       sync.Mutex
	failures int             // requests that got no answer, one after the other
	spoilt   map[string]bool // keys of results of which something was wrong
	stats    SharedStats
}

// SharedStats counts what an engine had of its shared cache.
type SharedStats struct {
	Hits   int   `json:"hits"`   // recipes that were not built
	Misses int   `json:"misses"` // that it did not have
	Pushed int   `json:"pushed"`
	Bytes  int64 `json:"bytes"` // of packages fetched
}

// Stats returns what was counted so far.
func (s *Shared) Stats() SharedStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// maxFailures is after how many failures in a row a place is left alone.
const maxFailures = 3

// usable reports whether the place answered lately.
func (s *Shared) usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures < maxFailures
}

// note counts failures, and tells the user of them.
func (s *Shared) note(e *Engine, r *recipe.Recipe, doing string, err error) {
	s.mu.Lock()
	network := fault.ClassOf(err) == fault.Network
	switch {
	case err == nil:
		s.failures = 0
	case network:
		s.failures++
	}
	off := network && s.failures == maxFailures
	s.mu.Unlock()
	if err == nil {
		return
	}
	text := fmt.Sprintf("shared cache: %s: %v", doing, err)
	if hints := fault.Hints(err); len(hints) > 0 {
		text += " (" + strings.Join(hints, "; ") + ")"
	}
	if off {
		text += "; it is not asked any more"
	}
	e.report(Event{Kind: Warning, Recipe: r.Name, Text: text})
}

// fetchShared takes a result from the shared cache into that of this host; it
// returns nil when there is none that counts.
func (e *Engine) fetchShared(ctx context.Context, r *recipe.Recipe, a *action, actionKey, resultKey string) *result {
	s := e.Shared
	if s == nil || !s.usable() {
		return nil
	}
	res, size, err := e.receive(ctx, r, actionKey, resultKey)
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		s.note(e, r, "", nil)
		s.count(func(c *SharedStats) { c.Misses++ })
		return nil
	}
	s.note(e, r, "take the packages", err)
	if err != nil {
		s.spoil(resultKey)
		return nil
	}
	if err := errors.Join(e.Cache.writeJSON(res, "results", resultKey+".json"), e.writeLast(a, actionKey)); err != nil {
		return nil // the build will say what is wrong with the disk
	}
	s.count(func(c *SharedStats) { c.Hits++; c.Bytes += size })
	e.report(Event{Kind: Received, Recipe: r.Name, Text: fmt.Sprintf("%d packages, %.1f MB", len(res.Packages), float64(size)/1e6)})
	return res
}

// spoil remembers that something of a result is wrong, so that a push replaces
// all of it.
func (s *Shared) spoil(resultKey string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spoilt == nil {
		s.spoilt = map[string]bool{}
	}
	s.spoilt[resultKey] = true
}

func (s *Shared) isSpoilt(resultKey string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spoilt[resultKey]
}

func (s *Shared) count(change func(*SharedStats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.stats)
}

// receive fetches and checks everything a result names.
func (e *Engine) receive(ctx context.Context, r *recipe.Recipe, actionKey, resultKey string) (*result, int64, error) {
	s := e.Shared
	entry, err := s.Store.Entry(ctx, resultKey)
	if err != nil {
		return nil, 0, err
	}
	shared, _, err := remote.Unseal(entry, s.Keys, s.Threshold)
	if err != nil {
		return nil, 0, err
	}
	if shared.Key != resultKey || shared.Action != actionKey || shared.Recipe != r.Name {
		return nil, 0, fault.Errorf(fault.Security, "the entry of another build stands under %s", resultKey)
	}
	work, err := e.Cache.newWork("fetch-" + r.Name)
	if err != nil {
		return nil, 0, err
	}
	defer work.remove()
	res := &result{Recipe: r.Name, Action: actionKey, From: s.Store.String()}
	var size int64
	for _, p := range shared.Packages {
		if owned := e.Tree.Package(p.Name); owned == nil || owned.Recipe != r {
			return nil, 0, fault.Errorf(fault.Security, "the package %.80q is not of this recipe", p.Name)
		}
		if err := e.receivePackage(ctx, work.path, actionKey, p); err != nil {
			return nil, 0, err
		}
		size += p.Size
		res.Packages = append(res.Packages, resultPackage{p.Name, p.File, p.SHA256, p.Digest})
	}
	return res, size, nil
}

// receivePackage fetches one package, unless the cache has it.
func (e *Engine) receivePackage(ctx context.Context, dir, actionKey string, p remote.Package) error {
	target := e.Cache.path("packages", p.SHA256+pkgfile.MediaSuffix)
	if e.Cache.exists("packages", p.SHA256+pkgfile.MediaSuffix) {
		return nil
	}
	temp, err := os.Create(filepath.Join(dir, p.SHA256))
	if err != nil {
		return explainDisk(err)
	}
	defer temp.Close()
	if err := remote.Fetch(ctx, e.Shared.Store, p.Blob(), temp); err != nil {
		return explainDisk(err)
	}
	file, err := pkgfile.Open(temp, p.Size)
	if err != nil {
		return err
	}
	m := file.Manifest()
	if m.Name != p.Name || m.FileName() != p.File || buildDigest(m) != p.Digest || m.Provenance.Action != actionKey {
		return fault.Errorf(fault.Security, "the package %s is not what its signed entry says", p.File)
	}
	if err := errors.Join(temp.Chmod(0o644), temp.Sync(), os.Rename(temp.Name(), target)); err != nil {
		return explainDisk(err)
	}
	return durable.SyncDir(filepath.Dir(target))
}

// pushShared gives a result to the shared cache, where it may. A signature says
// "I built this", so what came from such a cache is not signed.
func (e *Engine) pushShared(ctx context.Context, r *recipe.Recipe, actionKey, resultKey string, res *result) {
	s := e.Shared
	if s == nil || s.Push == nil || res.From != "" || res.Resumed || !s.usable() {
		return
	}
	pushed, err := e.push(ctx, r, actionKey, resultKey, res)
	if ctx.Err() != nil {
		return
	}
	s.note(e, r, "give the packages", err)
	if pushed {
		s.count(func(c *SharedStats) { c.Pushed++ })
		e.report(Event{Kind: Pushed, Recipe: r.Name, Text: s.Store.String()})
	}
}

// ConflictError: two builders made different packages from the same inputs.
type ConflictError struct{ Recipe, Key string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("another builder got other packages of %s from the same inputs (entry %s); pkgtool build verify %s shows whether it differs here too", e.Recipe, e.Key, e.Recipe)
}

// push puts packages and their entry, or adds a signature to an equal entry.
func (e *Engine) push(ctx context.Context, r *recipe.Recipe, actionKey, resultKey string, res *result) (bool, error) {
	s := e.Shared
	shared := remote.Result{Key: resultKey, Action: actionKey, Recipe: r.Name}
	var blobs []remote.Blob
	for _, p := range res.Packages {
		info, err := os.Stat(e.Cache.path("packages", p.SHA256+pkgfile.MediaSuffix))
		if err != nil {
			return false, err
		}
		shared.Packages = append(shared.Packages, remote.Package{Name: p.Name, File: p.File, SHA256: p.SHA256, Size: info.Size(), Digest: p.Digest})
		blobs = append(blobs, remote.Blob{SHA256: p.SHA256, Size: info.Size()})
	}
	entry, err := remote.Seal(shared, s.Push)
	if err != nil {
		return false, err
	}
	old, err := s.Store.Entry(ctx, resultKey)
	spoilt := s.isSpoilt(resultKey)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return false, err
	default:
		_, _, bad := remote.Unseal(old, s.Keys, 1)
		if bad != nil {
			break // nobody we know signed it: ours is better
		}
		if !remote.SamePayload(old, entry) {
			return false, &ConflictError{r.Name, resultKey}
		}
		more := false
		if entry, more, err = remote.AddSignature(old, s.Push); err != nil {
			return false, err
		}
		whole, err := e.hasAll(ctx, blobs)
		if err != nil || whole && !more && !spoilt {
			return false, err
		}
	}
	for _, b := range blobs {
		has, err := s.Store.Has(ctx, b)
		if err == nil && (!has || spoilt) {
			err = s.Store.Put(ctx, b, remote.OpenFile(e.Cache.path("packages", b.SHA256+pkgfile.MediaSuffix)))
		}
		if err != nil {
			return false, err
		}
	}
	return true, s.Store.PutEntry(ctx, resultKey, entry, blobs)
}

// hasAll reports whether the place has every blob.
func (e *Engine) hasAll(ctx context.Context, blobs []remote.Blob) (bool, error) {
	for _, b := range blobs {
		if has, err := e.Shared.Store.Has(ctx, b); err != nil || !has {
			return false, err
		}
	}
	return true, nil
}

// isShared reports whether the shared cache has a result that counts, with all
// its packages. What is wrong with it becomes a problem of the report.
func (e *Engine) isShared(ctx context.Context, resultKey string, rep *SharedReport) (bool, error) {
	entry, err := e.Shared.Store.Entry(ctx, resultKey)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	res, _, err := remote.Unseal(entry, e.Shared.Keys, e.Shared.Threshold)
	if err != nil {
		rep.Problems = append(rep.Problems, fmt.Sprintf("entry %s: %v", resultKey, err))
		return false, nil
	}
	for _, p := range res.Packages {
		has, err := e.Shared.Store.Has(ctx, p.Blob())
		if err != nil {
			return false, err
		}
		if !has {
			rep.Problems = append(rep.Problems, fmt.Sprintf("%s: entry %s: the package %s is missing", res.Recipe, resultKey, p.File))
			return false, nil
		}
	}
	return true, nil
}
