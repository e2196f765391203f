package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ashlar/repo/tuf"
)

// Server is a source that speaks HTTP.
type Server struct {
	base   *url.URL
	client *http.Client
	anew   bool // caches on the way are to ask the server itself
}

// Anew is s, or a source like it whose answers do not come from caches on the way.
func Anew(s Source) Source {
	if server, ok := s.(*Server); ok {
		return &Server{server.base, server.client, true}
	}
	return s
}

func (s *Server) String() string { return s.base.Redacted() }

// ErrRange says that a server refuses ranges, or answers with another one than
// was asked for.
var ErrRange = errors.New("the server does not answer with the range that was asked for")

// HTTPError is an answer that carries no file.
type HTTPError struct {
	status     int
	retryAfter time.Duration // that the server asks for; 0 if it does not
}

func (e *HTTPError) Error() string {
	return fmt.Sprintf("HTTP status %d %s", e.status, http.StatusText(e.status))
}

// Status is the code of the answer, such as 401.
func (e *HTTPError) Status() int { return e.status }

// Is makes the answers by which servers say "absent" equal fs.ErrNotExist. An
// object store says 403 where listing is not allowed.
func (e *HTTPError) Is(target error) bool {
	return target == fs.ErrNotExist && (e.status == http.StatusNotFound || e.status == http.StatusForbidden || e.status == http.StatusGone)
}

// Get implements Source.
func (s *Server) Get(ctx context.Context, name string, offset int64) (*Answer, error) {
	if offset == 0 {
		return s.ask(ctx, name, "", nil)
	}
	return s.ask(ctx, name, fmt.Sprintf("bytes=%d-", offset), func(is byteRange, _ int64) bool {
		return is.first == offset && is.total == is.last+1
	})
}

// Span implements Source.
func (s *Server) Span(ctx context.Context, name string, first, end, size int64) (*Answer, error) {
	// One range per request: several are answered in many ways, few of them right.
	return s.ask(ctx, name, fmt.Sprintf("bytes=%d-%d", first, end-1), func(is byteRange, length int64) bool {
		return is.first == first && is.last == end-1 && (is.total == size || is.total < 0) && (length < 0 || length == end-first)
	})
}

func (s *Server) url(name string) string {
	u := s.base.JoinPath(strings.Split(name, "/")...)
	// Servers of object storage take a plain + for a blank.
	u.RawPath = strings.ReplaceAll(u.EscapedPath(), "+", "%2B")
	return u.String()
}

// GetURL requests what a URL names, as a whole.
func GetURL(ctx context.Context, client *http.Client, url string) (*Answer, error) {
	return ask(ctx, client, url, http.Header{}, nil)
}

// fitting says whether a range, and a length of the body, are what was asked for.
type fitting func(is byteRange, length int64) bool

// ask requests a file, or the range of it that wanted names as a header does.
func (s *Server) ask(ctx context.Context, name, wanted string, fits fitting) (*Answer, error) {
	header := http.Header{}
	if wanted != "" {
		header.Set("Range", wanted)
	}
	if s.anew {
		header.Set("Cache-Control", "no-cache")
		header.Set("Pragma", "no-cache") // for caches of HTTP/1.0
	}
	return ask(ctx, s.client, s.url(name), header, fits)
}

func ask(ctx context.Context, client *http.Client, url string, header http.Header, fits fitting) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header = header
	req.Header.Set("User-Agent", "pkgtool")
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := client.Do(req)
	if err != nil {
		return nil, refusedTLS(CauseOf(ctx, err))
	}
	a, err := readAnswer(resp, fits)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return a, nil
}

// refusedTLS tells a server that cannot prove who it is from one that does not
// answer.
func refusedTLS(err error) error {
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return &tuf.Refusal{Kind: tuf.Impostor, Err: err}
	}
	if err != nil && strings.Contains(err.Error(), "protocol version") {
		return fmt.Errorf("%w; TLS 1.2 or newer is needed", err)
	}
	return err
}

func readAnswer(resp *http.Response, fits fitting) (*Answer, error) {
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, tuf.Refuse(tuf.Tampered, "the server encodes the file as %.40q; it must be served as it is", enc)
	}
	// A body without length that ends with the connection may have been cut.
	framed := resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0 || resp.ProtoMajor > 1
	switch resp.StatusCode {
	case http.StatusOK:
		return &Answer{Body: resp.Body, Length: resp.ContentLength, Framed: framed, Whole: true}, nil
	case http.StatusPartialContent:
		is, ok := parseContentRange(resp.Header.Values("Content-Range"))
		if !ok || fits == nil || !fits(is, resp.ContentLength) {
			return nil, ErrRange
		}
		return &Answer{Body: resp.Body, Start: is.first, Length: resp.ContentLength, Framed: framed}, nil
	case http.StatusRequestedRangeNotSatisfiable:
		return nil, ErrRange
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return nil, &HTTPError{resp.StatusCode, time.Duration(min(max(seconds, 0), 3600)) * time.Second}
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

// CauseOf prefers the reason why a context was cancelled, such as a mirror
// being too slow, over the plain fact.
func CauseOf(ctx context.Context, err error) error {
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

// NewHTTPClient returns a client in which every wait has a limit.
func NewHTTPClient(l Limits) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: l.Connect, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:    l.Connect,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
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
