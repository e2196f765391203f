package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"ashlar/pkgtool/build/source/git"
)

// archive makes part the archive of a git source and checks its sum.
func (f *Fetcher) archive(ctx context.Context, s Source, part *os.File, progress Progress) error {
	if err := part.Truncate(0); err != nil {
		return err
	}
	if _, err := part.Seek(0, io.SeekStart); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(f.partialDir(), "git-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	sum := sha256.New()
	var last time.Time
	received := func(n int64) {
		if progress != nil && time.Since(last) > 100*time.Millisecond {
			last = time.Now()
			progress(s.Name(), n, -1)
		}
	}
	if err := git.Archive(ctx, f.client, *s.Git, scratch, received, io.MultiWriter(part, sum)); err != nil {
		return err
	}
	size, err := part.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if err := f.checkSum(s, part, size, sum); err != nil {
		return err
	}
	if progress != nil {
		progress(s.Name(), size, size)
	}
	return nil
}

// FirstCommit is First for a git source: it makes the archive of a commit whose
// sum nobody knows yet, keeps it in the cache, and returns it pinned. Without a
// commit id it takes what c.Ref (or HEAD) leads to now.
func (f *Fetcher) FirstCommit(ctx context.Context, c git.Commit, progress Progress) (path string, pinned Source, err error) {
	f.init()
	s := Source{Git: &c}
	if c.ID == "" {
		if c.ID, err = git.Resolve(ctx, f.client, c.URL, c.Ref); err != nil {
			return "", s, fetchError(s, []Attempt{{Redact(c.URL), err}}, "")
		}
	}
	if err := os.MkdirAll(f.partialDir(), 0o755); err != nil {
		return "", s, fmt.Errorf("source cache: %w", err)
	}
	temp, err := os.CreateTemp(f.partialDir(), "first-")
	if err != nil {
		return "", s, fmt.Errorf("source cache: %w", err)
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	scratch, err := os.MkdirTemp(f.partialDir(), "git-")
	if err != nil {
		return "", s, fmt.Errorf("source cache: %w", err)
	}
	defer os.RemoveAll(scratch)
	sum := sha256.New()
	received := func(n int64) {
		if progress != nil {
			progress(s.Name(), n, -1)
		}
	}
	if err := git.Archive(ctx, f.client, c, scratch, received, io.MultiWriter(temp, sum)); err != nil {
		return "", s, fetchError(s, []Attempt{{Redact(c.URL), err}}, "")
	}
	if s.Size, err = temp.Seek(0, io.SeekEnd); err != nil {
		return "", s, err
	}
	s.SHA256 = hex.EncodeToString(sum.Sum(nil))
	path = f.Path(s)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", s, fmt.Errorf("source cache: %w", err)
	}
	return path, s, f.keep(temp, path)
}
