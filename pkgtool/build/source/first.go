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

	"ashlar/pkgtool/fault"
)

// First fetches a file of which no sum is known yet, keeps it in the cache and
// returns it pinned. It trusts whatever the first place that answers serves:
// it is for a person who writes a recipe and looks at what came, never for a
// build. A mirror: URI, https:, http: and a file are allowed; progress may be
// nil. Errors are as those of [Fetcher.Fetch].
func (f *Fetcher) First(ctx context.Context, uri string, progress Progress) (path string, pinned Source, err error) {
	f.init()
	s := Source{URIs: []string{uri}}
	locations, tried := f.locate(s)
	if f.Offline {
		locations, tried = nil, append(tried, Attempt{Redact(uri), fmt.Errorf("fetching is off")})
	}
	for _, location := range locations {
		path, pinned, err := f.first(ctx, s, location, progress)
		if err == nil {
			return path, pinned, nil
		}
		if ctx.Err() != nil {
			return "", s, fmt.Errorf("fetch %s: %w", s.Name(), ctx.Err())
		}
		tried = append(tried, Attempt{Redact(location), err})
	}
	return "", s, fault.Mark(&FetchError{s.Name(), tried}, fault.Network, "check the address; a browser can fetch the file, which can then be given by its name")
}

func (f *Fetcher) first(ctx context.Context, s Source, location string, progress Progress) (string, Source, error) {
	dir := f.partialDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", s, fmt.Errorf("source cache: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	body, total, _, err := f.open(ctx, location, 0)
	if err != nil {
		return "", s, err
	}
	defer body.Close()
	temp, err := os.CreateTemp(dir, "first-")
	if err != nil {
		return "", s, fmt.Errorf("source cache: %w", err)
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	sum := sha256.New()
	meter := &meter{name: s.Name(), progress: progress, total: total, limit: maxUnknown,
		stall: time.AfterFunc(stall, func() { cancel(fmt.Errorf("nothing arrived for %s", stall)) })}
	defer meter.stall.Stop()
	n, err := io.Copy(io.MultiWriter(temp, sum, meter), body)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err == nil && total >= 0 && n < total {
		err = fmt.Errorf("ended after %d of %d bytes: %w", n, total, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return "", s, plain(err)
	}
	if progress != nil {
		progress(s.Name(), n, n)
	}
	s.SHA256, s.Size = hex.EncodeToString(sum.Sum(nil)), n
	path := f.Path(s)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", s, fmt.Errorf("source cache: %w", err)
	}
	return path, s, f.keep(temp, path)
}

// Page fetches a small document that is only read for names, such as a list of
// files, at most limit bytes of it. It proves nothing.
func (f *Fetcher) Page(ctx context.Context, uri string, limit int64) ([]byte, error) {
	return f.unpinned(ctx, uri, limit)
}
