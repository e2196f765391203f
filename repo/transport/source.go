package transport

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"ashlar/repo/oci"
	"ashlar/repo/tuf"

	"golang.org/x/sys/unix"
)

// Source is a place that holds a repository's files. Nothing it says is
// believed.
type Source interface {
	// String is the place's URL, without password.
	fmt.Stringer
	// Get asks for a file from offset on. The answer may start at 0 all the
	// same. An absent file is fs.ErrNotExist. The caller closes the body.
	Get(ctx context.Context, path string, offset int64) (*Answer, error)
	// Span asks for the bytes from first up to, not including, end of a file of
	// size bytes. The answer is that, or the whole file, or ErrRange.
	Span(ctx context.Context, path string, first, end, size int64) (*Answer, error)
}

// Answer is the body of a file, from Start on.
type Answer struct {
	Body   io.ReadCloser
	Start  int64
	Length int64 // of Body; -1 if the source does not say
	Framed bool  // the end of Body is certain to be the end the source meant
	Whole  bool  // the file from its beginning to its end
}

// ParseURL reads the URL of a repository: http, https, file, oci, or oci+http
// for a registry without TLS.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("url %q: %w", text, err)
	}
	if oci.IsURL(u) {
		_, err := oci.PlaceOf(u)
		return u, err
	}
	switch {
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("url %q: a query or fragment has no place in the url of a repository", text)
	case u.Scheme == "file" && (u.Host != "" || !filepath.IsAbs(u.Path)):
		return nil, fmt.Errorf("url %q: a file url is file:///absolute/path", text)
	case u.Scheme == "file":
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
	default:
		return nil, fmt.Errorf("url %q: use http, https, file or oci", text)
	}
	return u, nil
}

// Open returns the source at a URL that ParseURL takes. What it fetches over a
// network goes through client (NewHTTPClient).
func Open(text string, client *http.Client) (Source, error) {
	u, err := ParseURL(text)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "file" {
		return Folder{filepath.Clean(u.Path)}, nil
	}
	if oci.IsURL(u) {
		place, err := oci.PlaceOf(u)
		if err != nil {
			return nil, err
		}
		return NewRegistry(place, RegistryClient(client))
	}
	return &Server{base: u, client: client}, nil
}

// Folder is a source on this machine.
type Folder struct{ Dir string }

func (f Folder) String() string { return "file://" + f.Dir }

// Path is where a file of the repository lies.
func (f Folder) Path(name string) string { return filepath.Join(f.Dir, filepath.FromSlash(name)) }

// Get implements Source.
func (f Folder) Get(_ context.Context, name string, offset int64) (*Answer, error) {
	file, err := OpenRegular(f.Path(name))
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && offset > 0 {
		_, err = file.Seek(offset, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &Answer{Body: file, Start: offset, Length: max(0, info.Size()-offset), Framed: true, Whole: offset == 0}, nil
}

// Span implements Source.
func (f Folder) Span(ctx context.Context, name string, first, end, size int64) (*Answer, error) {
	a, err := f.Get(ctx, name, first)
	if err != nil {
		return nil, err
	}
	if a.Length != size-first {
		a.Body.Close()
		return nil, tuf.Refuse(tuf.Tampered, "length is not the %d bytes that the index states", size)
	}
	a.Length, a.Whole = end-first, a.Whole && end == size
	return a, nil
}

// OpenRegular opens a regular file. It does not wait for a FIFO or a device.
func OpenRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ReadSmall reads a regular file of at most max bytes.
func ReadSmall(path string, max int64) ([]byte, error) {
	f, err := OpenRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(data)) > max {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, max)
	}
	return data, err
}
