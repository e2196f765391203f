package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// Root is root metadata of a repository: who pins it trusts the repository.
type Root struct {
	Publisher string    `json:"publisher,omitempty"` // what it calls the repository
	Version   int64     `json:"version"`
	Expires   time.Time `json:"expires"`
	SHA256    string    `json:"sha256"` // of the file, the fingerprint that people compare
	Data      []byte    `json:"-"`
}

// ParseRoot reads root metadata and checks that it is well-formed and signed by
// its own keys, which says nothing about whose they are.
func ParseRoot(data []byte) (*Root, error) {
	if err := tuf.Check(metadata.ROOT, data); err != nil {
		return nil, fault.Mark(err, fault.Security, "")
	}
	set, err := trustedmetadata.New(data)
	if err != nil {
		return nil, fault.Mark(tuf.Translate(err), fault.Security, "")
	}
	signed := set.Root.Signed
	r := &Root{Version: signed.Version, Expires: signed.Expires, SHA256: sumOf(data), Data: data}
	if name, ok := signed.UnrecognizedFields["x-ashlar-repository"].(string); ok {
		r.Publisher = tuf.Printable(name)
	}
	return r, nil
}

// ReadRoot is ParseRoot for a file.
func ReadRoot(path string) (*Root, error) {
	data, err := transport.ReadSmall(path, tuf.MaxSize[metadata.ROOT])
	if err != nil {
		return nil, err
	}
	r, err := ParseRoot(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// PinnedRoot is the root that the system trusts for the repository of a name;
// fs.ErrNotExist if it trusts none.
func (d Dirs) PinnedRoot(name string) (*Root, error) { return ReadRoot(d.rootPath(name)) }

func (d Dirs) rootPath(name string) string { return filepath.Join(d.Trust, name, "root.json") }

// PublishedRoots fetches all root metadata that a repository has ever had, the
// oldest first, from the first of its urls that answers. None of it is trusted:
// compare fingerprints with what the publisher told by another way.
func PublishedRoots(ctx context.Context, config Config, limits transport.Limits) ([]*Root, error) {
	config.setDefaults()
	if err := config.validate(); err != nil {
		return nil, fault.Mark(fmt.Errorf("repository %s: %w", config.Name, err), fault.Usage, "")
	}
	limits = config.limits(limits)
	http := transport.NewHTTPClient(limits)
	defer http.CloseIdleConnections()
	r := &repository{config: config}
	var failures []*MirrorError
	for _, text := range config.URLs {
		m, err := transport.Open(text, http)
		if err != nil {
			return nil, fault.Mark(err, fault.Usage, "")
		}
		roots, file, err := rootsOf(ctx, m, limits)
		if err == nil {
			return roots, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		failures = append(failures, r.mirrorError(m, file, err))
	}
	return nil, allFailed(failures)
}

// PublishedRoot fetches root metadata by its fingerprint, as FindRoot takes it,
// from the first url that has it.
func PublishedRoot(ctx context.Context, config Config, limits transport.Limits, fingerprint string) (root *Root, err error) {
	var first error
	for _, u := range config.URLs {
		one := config
		one.URLs = []string{u}
		roots, err := PublishedRoots(ctx, one, limits)
		if err == nil {
			root, err = FindRoot(roots, fingerprint)
		}
		if err == nil {
			return root, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		if first == nil || fault.ClassOf(first) == fault.Network && fault.ClassOf(err) != fault.Network {
			first = err
		}
	}
	return nil, first
}

func rootsOf(ctx context.Context, m transport.Source, limits transport.Limits) (roots []*Root, file string, err error) {
	for version := int64(1); version <= tuf.MaxRootRotations+1; version++ {
		file = repo.MetadataPath(metadata.ROOT, version)
		data, err := limits.ReadFile(ctx, m, file, tuf.MaxSize[metadata.ROOT], -1)
		if errors.Is(err, fs.ErrNotExist) && version > 1 {
			break
		}
		if err != nil {
			return nil, file, transport.Missing(err)
		}
		root, err := ParseRoot(data)
		if err != nil {
			return nil, file, err
		}
		roots = append(roots, root)
	}
	return roots, "", nil
}

// FindRoot returns the root whose fingerprint somebody was told by a way that he
// trusts: 64 hexadecimal digits, in any case, with or without blanks and colons.
func FindRoot(roots []*Root, fingerprint string) (*Root, error) {
	wanted := strings.ToLower(strings.NewReplacer(" ", "", ":", "").Replace(fingerprint))
	if len(wanted) != 64 || strings.Trim(wanted, "0123456789abcdef") != "" {
		return nil, fault.Mark(fmt.Errorf("%.100q is not a fingerprint", fingerprint), fault.Usage, "give all 64 digits of the sha256 that `pkgtool repo trust` prints at the publisher's")
	}
	for _, r := range roots {
		if r.SHA256 == wanted {
			return r, nil
		}
	}
	newest := roots[len(roots)-1]
	return nil, fault.Mark(fmt.Errorf("no root of the repository has the fingerprint %s; its newest, version %d, has %s", wanted, newest.Version, newest.SHA256),
		fault.Security, "do not trust it before its publisher has explained this")
}

// pin makes root the one that is trusted for a repository, unless another is.
func (d Dirs) pin(name string, root *Root) error {
	pinned, err := d.PinnedRoot(name)
	switch {
	case err == nil && pinned.SHA256 == root.SHA256:
		return nil
	case err == nil:
		return fault.Mark(fmt.Errorf("repository %s: another root, with sha256 %s, is trusted already", name, pinned.SHA256), fault.Security,
			"if the repository is another one now: pkgtool remote remove "+name)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return writeBelow(d.rootPath(name), root.Data)
}

// unpin forgets which root is trusted.
func (d Dirs) unpin(name string) error {
	err := os.Remove(d.rootPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.Remove(filepath.Dir(d.rootPath(name)))
	}
	return err
}
