package mirror

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"

	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// OpenSource opens what text names for reading: the path of a folder, a URL
// that clients read from, or one of any store. The caller calls done.
func OpenSource(ctx context.Context, text string, client *http.Client) (s transport.Source, done func(), err error) {
	nothing := func() {}
	if !strings.Contains(text, "://") {
		dir, err := filepath.Abs(text)
		return transport.Folder{Dir: dir}, nothing, err
	}
	s, err = transport.Open(text, client)
	if _, registry := s.(*transport.Registry); err == nil && !registry {
		return s, nothing, nil // as a store, a registry knows more
	}
	if to, asStore := store.Open(ctx, text); asStore == nil {
		return to, func() { to.Close() }, nil
	}
	return nil, nothing, fault.Mark(err, fault.Usage, "")
}

// counted is a source whose bytes are counted.
type counted struct {
	transport.Source
	bytes atomic.Int64
}

func (c *counted) count(a *transport.Answer, err error) (*transport.Answer, error) {
	if err == nil {
		a.Body = &countedBody{a.Body, &c.bytes}
	}
	return a, err
}

// Get implements transport.Source.
func (c *counted) Get(ctx context.Context, path string, offset int64) (*transport.Answer, error) {
	return c.count(c.Source.Get(ctx, path, offset))
}

// Span implements transport.Source.
func (c *counted) Span(ctx context.Context, path string, first, end, size int64) (*transport.Answer, error) {
	return c.count(c.Source.Span(ctx, path, first, end, size))
}

type countedBody struct {
	io.ReadCloser
	bytes *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes.Add(int64(n))
	return n, err
}

// plainFingerprint takes blanks and colons, which people insert, out of a fingerprint.
func plainFingerprint(text string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", ":", "").Replace(text))
}

// findRoot fetches the root whose sha256 somebody was told by a way that he trusts.
func findRoot(ctx context.Context, l transport.Limits, sources []*counted, fingerprint string) ([]byte, error) {
	wanted := plainFingerprint(fingerprint)
	if len(wanted) != 64 || strings.Trim(wanted, "0123456789abcdef") != "" {
		return nil, fault.Mark(fault.Errorf(fault.Usage, "%.100q is not a fingerprint", fingerprint), fault.Usage,
			"give all 64 digits of the sha256 that `pkgtool repo trust` prints at the publisher's")
	}
	var failures []error
	for _, s := range sources {
		for version := int64(1); version <= tuf.MaxRootRotations+1; version++ {
			path := repo.MetadataPath(metadata.ROOT, version)
			data, err := l.ReadFile(ctx, s, path, tuf.MaxSize[metadata.ROOT], -1)
			if errors.Is(err, fs.ErrNotExist) && version > 1 {
				failures = append(failures, fault.Mark(fault.Errorf(fault.Security, "%s: no root has the fingerprint %s", s, wanted), fault.Security,
					"do not trust it before its publisher has explained this"))
				break
			}
			if err != nil {
				failures = append(failures, failure(s, path, transport.Missing(err)))
				break
			}
			if sumOf(data) == wanted {
				return data, nil
			}
		}
	}
	return nil, worst(failures)
}
