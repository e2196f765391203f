package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Options says how a site shows a repository.
type Options struct {
	URL string           // where clients reach the repository; "" is where the visitor does
	Now func() time.Time // the clock; nil means time.Now
}

// Site serves the pages of a repository. It reads the repository when the first
// page is asked for, and again whenever another state was published. Close it
// after use.
type Site struct {
	loader
	url     string
	now     func() time.Time
	opening chan struct{} // holds one for each package file being read
	working chan struct{} // and one for each page being made: downloads need the machine, too
}

// Limits of the work for visitors.
const (
	pageTimeout = 10 * time.Second
	firstLoad   = 60 * time.Second // a visitor waits for the first state at most that long
	maxPath     = 512              // bytes
	styleMaxAge = 3600             // seconds
)

// New makes the site of the repository in dir, which need not hold a
// repository yet. What it does in the background ends with ctx.
func New(ctx context.Context, dir string, o Options) *Site {
	s := &Site{url: o.URL, now: o.Now, opening: make(chan struct{}, maxOpen), working: make(chan struct{}, max(2, runtime.NumCPU()))}
	if s.now == nil {
		s.now = time.Now
	}
	if s.url != "" && !strings.HasSuffix(s.url, "/") {
		s.url += "/"
	}
	s.loader.start(ctx, dir)
	return s
}

var (
	//go:embed style.css
	style []byte
	//go:embed icon.svg
	icon []byte
)

// ServeHTTP answers GET and HEAD of pages; whatever else there is in the
// repository is not its business.
func (s *Site) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	secure(w.Header())
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this page is for reading", http.StatusMethodNotAllowed)
		return
	}
	switch req.URL.Path {
	case "/style.css":
		send(w, req, &answer{body: style, kind: "text/css; charset=utf-8", age: styleMaxAge})
		return
	case "/icon.svg":
		send(w, req, &answer{body: icon, kind: "image/svg+xml", age: styleMaxAge})
		return
	}
	a := s.answer(req)
	if a == nil {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many pages are being made; try again in a moment", http.StatusServiceUnavailable)
		return
	}
	send(w, req, a)
}

// answer makes a page, as one of few at a time. Sending it, which may be slow, is
// not part of that. It is nil if there was no time for it.
func (s *Site) answer(req *http.Request) *answer {
	ctx, cancel := context.WithTimeout(req.Context(), firstLoad)
	defer cancel()
	st, failure := s.current(ctx)
	ctx, cancel = context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	select {
	case s.working <- struct{}{}:
		defer func() { <-s.working }()
	case <-ctx.Done():
		return nil
	}
	v := &visit{site: s, state: st, failure: failure, path: req.URL.Path, raw: req.URL.RawQuery, url: s.publicURL(req)}
	return v.answer(ctx)
}

// secure forbids browsers everything that the pages do not need.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// answer is what a visitor gets.
type answer struct {
	status   int // 0 is 200
	kind     string
	body     []byte
	modified time.Time // zero: not known
	location string    // of a redirect
	age      int       // seconds for which caches may keep it without asking
}

func send(w http.ResponseWriter, req *http.Request, a *answer) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	switch {
	case a.location != "":
		h.Set("Location", a.location)
	case a.age > 0:
		h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", a.age))
	default:
		h.Set("Cache-Control", "no-cache")
	}
	if a.status != 0 && a.status != http.StatusOK {
		if a.status == http.StatusServiceUnavailable {
			h.Set("Retry-After", "60")
		}
		h.Set("Content-Length", fmt.Sprint(len(a.body)))
		w.WriteHeader(a.status)
		if req.Method != http.MethodHead {
			w.Write(a.body)
		}
		return
	}
	sum := sha256.Sum256(a.body)
	h.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	http.ServeContent(w, req, "", a.modified, bytes.NewReader(a.body))
}

// hostForm is what a Host header may look like that we repeat in a command.
// (Compiled when needed: every start of the program would pay for it.)
var hostForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$`)
})

// publicURL is the address of the repository, as far as the server can know it.
func (s *Site) publicURL(req *http.Request) string {
	switch {
	case s.url != "":
		return s.url
	case !hostForm().MatchString(req.Host):
		return placeholder
	case req.TLS != nil:
		return "https://" + req.Host + "/"
	}
	return "http://" + req.Host + "/"
}

const placeholder = "https://repository.example.org/"
