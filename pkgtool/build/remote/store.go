package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
)

// Store is a place that builders share. Its methods may be called from several
// goroutines. What is not there is an error that wraps fs.ErrNotExist; a place
// that cannot be reached gives one of class fault.Network.
type Store interface {
	String() string // its URL, without a password

	// Entry returns the entry of a key, at most MaxEntry bytes, unverified.
	Entry(ctx context.Context, key string) ([]byte, error)
	// PutEntry replaces the entry of a key. Put the blobs it names before.
	PutEntry(ctx context.Context, key string, entry []byte, blobs []Blob) error

	// Open returns what the place has as the blob, unverified; close it. Use
	// Fetch to be sure.
	Open(ctx context.Context, b Blob) (io.ReadCloser, error)
	Has(ctx context.Context, b Blob) (bool, error)
	// Put writes a blob that open gives, perhaps more than once.
	Put(ctx context.Context, b Blob, open func() (io.ReadCloser, error)) error
}

// Lister is a Store that can say what it has.
type Lister interface {
	// Entries calls yield with every key; its error ends the listing.
	Entries(ctx context.Context, yield func(key string) error) error
}

// Blob identifies a content.
type Blob struct {
	SHA256 string
	Size   int64 // in bytes
}

// Bounds, in bytes.
const (
	MaxEntry = 4 << 20
	MaxBlob  = 64 << 30
)

// stall is how long a place may send nothing before it counts as gone.
var stall = time.Minute

var digits = regexp.MustCompile(`^[0-9a-f]{64}$`)

// CheckKey is nil if key is a sha256 in lower-case hexadecimal digits.
func CheckKey(key string) error {
	if !digits.MatchString(key) {
		return fmt.Errorf("%.80q is no sha256 in lower-case hexadecimal digits", key)
	}
	return nil
}

// Open opens the place that a URL names: a folder (a path or file://), http://,
// https://, oci:// or oci+http://.
func Open(raw string) (Store, error) {
	if !strings.Contains(raw, "://") {
		return openFolder(raw)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fault.Mark(errors.New("the build cache has no valid URL"), fault.Usage, "") // it may hold a password
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return nil, fault.Errorf(fault.Usage, "build cache %.200q: a folder's url is file:///path", raw)
		}
		return openFolder(u.Path)
	case "http", "https":
		return openHTTP(u)
	case "oci", "oci+http":
		return openRegistry(u)
	}
	return nil, fault.Mark(fmt.Errorf("build cache %.200q: the scheme %q is unknown", u.Redacted(), u.Scheme), fault.Usage,
		"folders, http, https, oci and oci+http exist")
}

// Fetch writes a blob to w and checks its size and sha256 on the way. An error
// means that what w got is worthless; a wrong content is of class
// fault.Security.
func Fetch(ctx context.Context, s Store, b Blob, w io.Writer) error {
	if err := b.check(); err != nil {
		return err
	}
	r, err := s.Open(ctx, b)
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(r, b.Size+1))
	if err != nil {
		return fmt.Errorf("%s: blob %s: %w", s, b.SHA256, err)
	}
	if n != b.Size {
		return fault.Errorf(fault.Security, "%s: blob %s: %s, %d expected", s, b.SHA256, lengthText(n, b.Size), b.Size)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != b.SHA256 {
		return fault.Errorf(fault.Security, "%s: blob %s has the sha256 %s", s, b.SHA256, got)
	}
	return nil
}

func lengthText(n, want int64) string {
	if n > want {
		return "more bytes"
	}
	return fmt.Sprintf("%d bytes", n)
}

func (b Blob) check() error {
	if err := CheckKey(b.SHA256); err != nil {
		return fault.Mark(err, fault.Security, "")
	}
	if b.Size < 0 || b.Size > MaxBlob {
		return fault.Errorf(fault.Security, "blob %s: %d bytes are more than a package can have", b.SHA256, b.Size)
	}
	return nil
}

// OpenFile is for Put of a file.
func OpenFile(path string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return os.Open(path) }
}
