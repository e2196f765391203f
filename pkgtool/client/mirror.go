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
)

// mirror is a place that holds a repository's files. Nothing it says is
// believed.
type mirror interface {
	fmt.Stringer
	// get asks for a file from offset on. The answer may start at 0 all the
	// same. An absent file is fs.ErrNotExist. The caller closes the body.
	get(ctx context.Context, path string, offset int64) (*answer, error)
}

// answer is the body of a file, from start on.
type answer struct {
	body   io.ReadCloser
	start  int64
	length int64 // of body; -1 if the mirror does not say
	framed bool  // the end of body is certain to be the end the mirror meant
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
	return &answer{file, offset, max(0, info.Size()-offset), true}, nil
}

// openRegular opens a regular file; a fifo or device is not waited for.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return os.Open(path)
}

// server is a mirror that speaks HTTP.
type server struct {
	base   *url.URL
	client *http.Client
}

func (s server) String() string { return s.base.Redacted() }

// errRange says that a server does not have the range that was asked for.
var errRange = errors.New("the server does not have the rest of the file")

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
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base.JoinPath(strings.Split(name, "/")...).String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "pkgtool")
	req.Header.Set("Accept-Encoding", "identity")
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, causeOf(ctx, err)
	}
	a, err := readAnswer(resp, offset)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return a, nil
}

func readAnswer(resp *http.Response, offset int64) (*answer, error) {
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, tuf.Refuse(tuf.Tampered, "the server encodes the file as %.40q; it must be served as it is", enc)
	}
	// A body without length that ends with the connection may have been cut.
	framed := resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0 || resp.ProtoMajor > 1
	switch resp.StatusCode {
	case http.StatusOK:
		return &answer{resp.Body, 0, resp.ContentLength, framed}, nil
	case http.StatusPartialContent:
		var first, last, total int64
		said := resp.Header.Get("Content-Range")
		n, err := fmt.Sscanf(said, "bytes %d-%d/%d", &first, &last, &total)
		if offset == 0 || err != nil || n != 3 || first != offset || last < first || total != last+1 {
			return nil, errRange
		}
		return &answer{resp.Body, first, resp.ContentLength, framed}, nil
	case http.StatusRequestedRangeNotSatisfiable:
		return nil, errRange
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return nil, &httpError{resp.StatusCode, time.Duration(min(max(seconds, 0), 3600)) * time.Second}
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
