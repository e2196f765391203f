package store

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo/oci"
	"ashlar/repo/transport"
)

// Store is a place that a repository can be copied to. Paths are those of the
// repository, with slashes and without "." or ".."; another one is an error. Its
// methods may be called from several goroutines.
type Store interface {
	transport.Source // reading; bytes are as unproven as those of any source

	// Stat returns the length of a file; fs.ErrNotExist if there is none.
	Stat(ctx context.Context, path string) (size int64, err error)
	// PutFile copies the file named local, as a whole or not at all, and
	// replaces what was there. Content that does not have the length and hash of
	// o is refused (tuf.Tampered) before it becomes visible.
	PutFile(ctx context.Context, path, local string, o PutOptions) error
	// PutBytes writes a small file, as a whole or not at all, and replaces what
	// was there.
	PutBytes(ctx context.Context, path string, data []byte) error
	// Sync returns when everything put or removed so far survives a power cut.
	Sync(ctx context.Context) error
	// Switch replaces a file in one step that readers see at once, after
	// everything put so far is durable, and is durable itself when it returns.
	Switch(ctx context.Context, path string, data []byte) error
	// List tells yield of each file in a folder and below, in any order; an
	// absent folder has none. An error of yield ends it and is returned.
	List(ctx context.Context, folder string, yield func(File) error) error
	// Remove removes a file. One that is not there is fine.
	Remove(ctx context.Context, path string) error
	// Close releases what the store holds. It does not flush.
	Close() error
}

// File is what List finds.
type File struct {
	Path     string
	Size     int64 // -1: something that is no regular file, such as a link
	Modified time.Time
}

// PutOptions says what a local file is, and what may become of it.
type PutOptions struct {
	Size    int64
	SHA256  string // in lower-case hexadecimal; empty: not known
	Consume bool   // the caller has proven the content and wants the file gone: the store may rename it
}

// Locker is a store that keeps two programs from writing to it at once.
type Locker interface {
	// Lock waits, for a while, until no other program holds the lock.
	Lock(ctx context.Context) (unlock func(), err error)
}

// Scratcher is a store with a folder of its own on this machine for what is
// still arriving, from which PutFile can rename.
type Scratcher interface {
	Scratch() (dir string, err error)
}

// openers makes stores by the scheme of their URL.
var openers = map[string]func(ctx context.Context, u *url.URL) (Store, error){
	"file": func(_ context.Context, u *url.URL) (Store, error) {
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return nil, fault.Errorf(fault.Usage, "url %q: a file url is file:///absolute/path", u)
		}
		return OpenDir(filepath.Clean(u.Path))
	},
	oci.Scheme:      openRegistry,
	oci.PlainScheme: openRegistry,
}

// ObjectSchemes are the schemes of object storage, which package blob registers
// in programs that have it.
var ObjectSchemes = []string{"s3", "gs", "azblob"}

// Register adds a kind of stores. Programs call it while they start.
func Register(scheme string, open func(ctx context.Context, u *url.URL) (Store, error)) {
	openers[scheme] = open
}

// Open opens the store that text names: a URL, or the path of a folder, which
// is made if need be.
func Open(ctx context.Context, text string) (Store, error) {
	scheme, _, isURL := strings.Cut(text, "://")
	if !isURL {
		return OpenDir(text)
	}
	open := openers[strings.ToLower(scheme)]
	if open == nil && slices.Contains(ObjectSchemes, strings.ToLower(scheme)) {
		return nil, fault.Mark(fmt.Errorf("%.200q: this program is without object storage", redacted(text)), fault.Usage,
			"install the package pkgtool-objects; beside a pkgtool of your own, `go build -o pkgtool-objects ./pkgtool/objects` is enough")
	}
	if open == nil {
		return nil, fault.Mark(fmt.Errorf("%.200q: cannot write to a place of the kind %.20q", redacted(text), scheme), fault.Usage,
			"name a folder, or see docs/publishing.md for object stores and registries")
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("url %.200q: %w", redacted(text), err), fault.Usage, "")
	}
	return open(ctx, u)
}

// redacted leaves out what could be a password.
func redacted(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Redacted()
	}
	scheme, _, _ := strings.Cut(text, "://")
	return scheme + "://..."
}

// CheckPath refuses what is no path of a file in a repository.
func CheckPath(path string) error {
	if path == "." || !fs.ValidPath(path) || strings.ContainsAny(path, "\\\x00") {
		return fmt.Errorf("%.200q is not a path of a repository", path)
	}
	return nil
}
