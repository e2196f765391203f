package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ashlar/repo/tuf"

	"golang.org/x/sys/unix"
)

// mirror is a place that holds a repository's files. Nothing it says is
// believed.
type mirror interface {
	fmt.Stringer
	// get asks for a file from offset on. The answer may start at 0 all the
	// same. An absent file is fs.ErrNotExist. The caller closes the body.
	get(ctx context.Context, path string, offset int64) (*answer, error)
	// span asks for the bytes from first up to, not including, end of a file of
	// size bytes. The answer is that, or the whole file, or errRange.
	span(ctx context.Context, path string, first, end, size int64) (*answer, error)
}

// answer is the body of a file, from start on.
type answer struct {
	body   io.ReadCloser
	start  int64
	length int64 // of body; -1 if the mirror does not say
	framed bool  // the end of body is certain to be the end the mirror meant
	whole  bool  // the file from its beginning to its end
}

// folder is a mirror on this machine.
type folder struct{ dir string }

func (f folder) String() string { return "file://" + f.dir }

func (f folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

func (f folder) get(_ context.Context, name string, offset int64) (*answer, error) {
	file, err := openRegular(f.path(name))
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
	return &answer{body: file, start: offset, length: max(0, info.Size()-offset), framed: true, whole: offset == 0}, nil
}

func (f folder) span(ctx context.Context, name string, first, end, size int64) (*answer, error) {
	a, err := f.get(ctx, name, first)
	if err != nil {
		return nil, err
	}
	if a.length != size-first {
		a.body.Close()
		return nil, tuf.Refuse(tuf.Tampered, "length is not the %d bytes that the index states", size)
	}
	a.length, a.whole = end-first, a.whole && end == size
	return a, nil
}

// openRegular opens a regular file. It does not wait for a FIFO or a device.
func openRegular(path string) (*os.File, error) {
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

// server is a mirror that speaks HTTP.
type server struct {
	base   *url.URL
	client *http.Client
}

func (s server) String() string { return s.base.Redacted() }

// errRange says that a server refuses ranges, or answers with another one than
// was asked for.
var errRange = errors.New("the server does not answer with the range that was asked for")

// httpError is an answer that carries no file.
type httpError struct {
	status     int
	retryAfter time.Duration // that the server asks for; 0 if it does not
}

func (e *httpError) Error() string {
	return fmt.Sprintf("HTTP status %d %s", e.status, http.StatusText(e.status))
}

// Is makes the answers by which servers say "absent" equal fs.ErrNotExist. An
// object store says 403 where listing is not allowed.
func (e *httpError) Is(target error) bool {
	return target == fs.ErrNotExist && (e.status == http.StatusNotFound || e.status == http.StatusForbidden || e.status == http.StatusGone)
}

func (s server) get(ctx context.Context, name string, offset int64) (*answer, error) {
	if offset == 0 {
		return ask(ctx, s.client, s.url(name), "", nil)
	}
	return ask(ctx, s.client, s.url(name), fmt.Sprintf("bytes=%d-", offset), func(is byteRange, _ int64) bool {
		return is.first == offset && is.total == is.last+1
	})
}

func (s server) span(ctx context.Context, name string, first, end, size int64) (*answer, error) {
	// One range per request: several are answered in many ways, few of them right.
	return ask(ctx, s.client, s.url(name), fmt.Sprintf("bytes=%d-%d", first, end-1), func(is byteRange, length int64) bool {
		return is.first == first && is.last == end-1 && (is.total == size || is.total < 0) && (length < 0 || length == end-first)
	})
}

func (s server) url(name string) string { return s.base.JoinPath(strings.Split(name, "/")...).String() }

// ask requests a file, or the range of it that wanted names as a header does.
// fits says whether a range, and a length of the body, are what was asked for.
func ask(ctx context.Context, client *http.Client, url, wanted string, fits func(is byteRange, length int64) bool) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "pkgtool")
	req.Header.Set("Accept-Encoding", "identity")
	if wanted != "" {
		req.Header.Set("Range", wanted)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, causeOf(ctx, err)
	}
	a, err := readAnswer(resp, fits)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return a, nil
}

func readAnswer(resp *http.Response, fits func(is byteRange, length int64) bool) (*answer, error) {
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, tuf.Refuse(tuf.Tampered, "the server encodes the file as %.40q; it must be served as it is", enc)
	}
	// A body without length that ends with the connection may have been cut.
	framed := resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0 || resp.ProtoMajor > 1
	switch resp.StatusCode {
	case http.StatusOK:
		return &answer{body: resp.Body, length: resp.ContentLength, framed: framed, whole: true}, nil
	case http.StatusPartialContent:
		is, ok := parseContentRange(resp.Header.Values("Content-Range"))
		if !ok || fits == nil || !fits(is, resp.ContentLength) {
			return nil, errRange
		}
		return &answer{body: resp.Body, start: is.first, length: resp.ContentLength, framed: framed}, nil
	case http.StatusRequestedRangeNotSatisfiable:
		return nil, errRange
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return nil, &httpError{resp.StatusCode, time.Duration(min(max(seconds, 0), 3600)) * time.Second}
}

// byteRange is what a Content-Range header says (RFC 9110, 14.4). total is -1
// where the server does not know it.
type byteRange struct{ first, last, total int64 }

// parseContentRange reads the only Content-Range header that an answer with a
// single range has. (One with several ranges has none.)
func parseContentRange(headers []string) (r byteRange, ok bool) {
	if len(headers) != 1 {
		return r, false
	}
	text, isBytes := strings.CutPrefix(headers[0], "bytes ")
	span, total, hasTotal := strings.Cut(text, "/")
	first, last, hasLast := strings.Cut(span, "-")
	if !isBytes || !hasTotal || !hasLast {
		return r, false
	}
	r.total = -1
	ok = decimal(first, &r.first) && decimal(last, &r.last) && (total == "*" || decimal(total, &r.total))
	return r, ok && r.first <= r.last && (r.total < 0 || r.last < r.total)
}

// decimal reads digits and nothing else: no sign, no space.
func decimal(text string, into *int64) bool {
	n, err := strconv.ParseUint(text, 10, 63)
	*into = int64(n)
	return err == nil
}

// causeOf prefers the reason why a context was cancelled, such as a mirror
// being too slow, over the plain fact.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && ctx.Err() != nil {
		return cause
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err // the caller names the mirror and the file
	}
	return err
}

const maxRedirects = 5

// newHTTPClient returns a client in which every wait has a limit.
func newHTTPClient(l Limits) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: l.Connect, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:    l.Connect,
			ResponseHeaderTimeout:  l.Stall,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        30 * time.Second,
			DisableCompression:     true, // bytes are hashed as they are served
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			switch {
			case len(via) > maxRedirects:
				return fmt.Errorf("more than %d redirects", maxRedirects)
			case req.URL.Scheme != "http" && req.URL.Scheme != "https":
				return fmt.Errorf("redirect to scheme %.20q", req.URL.Scheme)
			case via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https":
				return errors.New("redirect from https to http")
			}
			return nil
		},
	}
}
