package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
)

// TokenVariable names the environment variable with the bearer token for a
// build cache behind HTTPS.
const TokenVariable = "ASHLAR_BUILD_CACHE_TOKEN"

// server is a store at a web server.
type server struct {
	base   *url.URL
	token  string
	client *http.Client
}

// tries is how often a request is made before the server counts as down, and
// pause how long before the second time; then twice as long.
var (
	tries = 3
	pause = 500 * time.Millisecond
)

func openHTTP(u *url.URL) (Store, error) {
	if u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fault.Errorf(fault.Usage, "build cache %.200q: a url is http[s]://host[:port]/path, without query and fragment", u.Redacted())
	}
	s := &server{base: u, token: os.Getenv(TokenVariable), client: newClient()}
	if u.User == nil && s.token != "" && u.Scheme != "https" && !loopback(u.Hostname()) {
		return nil, fault.Errorf(fault.Usage, "build cache %s: $%s is sent over https only", u.Redacted(), TokenVariable)
	}
	return s, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// newClient returns a client that gives up on servers that do not answer.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = stall
	transport.TLSHandshakeTimeout = 15 * time.Second
	transport.DialContext = (&net.Dialer{Timeout: 15 * time.Second}).DialContext
	transport.DisableCompression = true // sums are over the bytes as served
	return &http.Client{Transport: transport}
}

func (s *server) String() string { return s.base.Redacted() }

// StatusError is an answer that is none of those hoped for.
type StatusError struct {
	Method, URL string
	Status      int
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s %s: the server answers %d %s", e.Method, e.URL, e.Status, http.StatusText(e.Status))
}

// do makes a request until the server answers with something that will not
// change by asking again. The caller closes the body.
func (s *server) do(ctx context.Context, method, name string, size int64, body func() (io.ReadCloser, error)) (*http.Response, error) {
	wait := pause
	for i := 1; ; i++ {
		resp, err := s.once(ctx, method, name, size, body)
		var status *StatusError
		if err == nil || errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil || i == tries || errors.As(err, &status) && status.Status < 500 && status.Status != http.StatusTooManyRequests {
			return resp, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(wait):
		}
		wait *= 2
	}
}

func (s *server) once(ctx context.Context, method, name string, size int64, body func() (io.ReadCloser, error)) (*http.Response, error) {
	u := s.base.JoinPath(name)
	var content io.ReadCloser
	if body != nil {
		var err error
		if content, err = body(); err != nil {
			return nil, err
		}
		if size == 0 { // else net/http sends it in chunks
			content.Close()
			content = http.NoBody
		}
	}
	// The body of an answer may take long, but not without a byte for long.
	ctx, cancel := context.WithCancelCause(ctx)
	watch := time.AfterFunc(24*time.Hour, func() { cancel(fmt.Errorf("nothing came for %v", stall)) })
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	if body != nil {
		req.Body, req.ContentLength, req.GetBody = content, size, body
	}
	if s.token != "" && s.base.User == nil {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		cancel(nil)
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // its URL may hold a password
		}
		return nil, fault.Mark(fmt.Errorf("%s %s: %w", method, u.Redacted(), err), fault.Network, "")
	}
	resp.Body = &watched{resp.Body, watch, cancel}
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone:
		resp.Body.Close()
		return nil, &fs.PathError{Op: "get", Path: u.Redacted(), Err: fs.ErrNotExist}
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		resp.Body.Close()
		return nil, explainStatus(&StatusError{method, u.Redacted(), resp.StatusCode})
	}
	return resp, nil
}

func explainStatus(e *StatusError) error {
	hint := ""
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		hint = "name a user and a password in the url, or a token in $" + TokenVariable
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		hint = "the server only serves files; to push, let it accept PUT, or push to its folder"
	}
	return fault.Mark(e, fault.Network, hint)
}

// watched is the body of an answer that must not pause for long.
type watched struct {
	io.ReadCloser
	watch  *time.Timer
	cancel context.CancelCauseFunc
}

func (w *watched) Read(p []byte) (int, error) {
	w.watch.Reset(stall)
	n, err := w.ReadCloser.Read(p)
	w.watch.Reset(24 * time.Hour) // the reader may take its time
	return n, err
}

func (w *watched) Close() error {
	w.watch.Stop()
	err := w.ReadCloser.Close()
	w.cancel(nil)
	return err
}

func (s *server) Entry(ctx context.Context, key string) ([]byte, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	resp, err := s.do(ctx, http.MethodGet, entryName(key), 0, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := readEntry(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: entry %s: %w", s, key, err)
	}
	return data, nil
}

func (s *server) PutEntry(ctx context.Context, key string, entry []byte, _ []Blob) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	return s.put(ctx, entryName(key), int64(len(entry)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(entry)), nil })
}

func (s *server) Open(ctx context.Context, b Blob) (io.ReadCloser, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	resp, err := s.do(ctx, http.MethodGet, blobName(b), 0, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

func (s *server) Has(ctx context.Context, b Blob) (bool, error) {
	if err := b.check(); err != nil {
		return false, err
	}
	resp, err := s.do(ctx, http.MethodHead, blobName(b), 0, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	resp.Body.Close()
	return resp.ContentLength < 0 || resp.ContentLength == b.Size, nil
}

func (s *server) Put(ctx context.Context, b Blob, open func() (io.ReadCloser, error)) error {
	if err := b.check(); err != nil {
		return err
	}
	return s.put(ctx, blobName(b), b.Size, open)
}

func (s *server) put(ctx context.Context, name string, size int64, open func() (io.ReadCloser, error)) error {
	resp, err := s.do(ctx, http.MethodPut, name, size, open)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fault.Mark(fmt.Errorf("PUT %s: not found", strings.TrimSuffix(s.String(), "/")+"/"+name), fault.Network,
				"the server must make folders by itself (nginx: create_full_put_path on)")
		}
		return err
	}
	return resp.Body.Close()
}
