package serve

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/tuf"
)

// Options says what a server does besides handing out files. The zero value is
// a plain HTTP server without log.
type Options struct {
	Web     http.Handler // answers what is not the repository's; nil: nothing
	Limits  Limits
	TLS     *tls.Config // for the listeners that want it; see Certificate
	Log     *Log        // a line for each request; nil: none
	Metrics *Metrics    // counts requests; nil: nobody does
	Errors  io.Writer   // what goes wrong inside; nil: nowhere
}

// Limits bound what clients can take. A zero means the default.
type Limits struct {
	Connections int           // at once; 16384
	PerAddress  int           // at once from one address, or one /64 of IPv6; half of Connections
	Requests    int           // on one connection; 10000
	Header      int           // bytes of a request's header; 16 KiB
	Path        int           // bytes of a request's address; 2048
	Request     time.Duration // to send a request; 10 s
	Idle        time.Duration // between requests; 60 s
	Answer      time.Duration // to take an answer, beyond what MinimumRate allows; 30 s
	MinimumRate int64         // bytes per second at which an answer is taken; 4 KiB
	Stop        time.Duration // for running answers when the server stops; 30 s
}

// OrDefault fills in what is zero.
func (l Limits) OrDefault() Limits {
	l.Connections = or(l.Connections, 16384)
	l.PerAddress = or(l.PerAddress, max(1, l.Connections/2))
	l.Requests = or(l.Requests, 10000)
	l.Header = or(l.Header, 16<<10)
	l.Path = or(l.Path, 2048)
	l.Request = or(l.Request, 10*time.Second)
	l.Idle = or(l.Idle, 60*time.Second)
	l.Answer = or(l.Answer, 30*time.Second)
	l.MinimumRate = or(l.MinimumRate, 4<<10)
	l.Stop = or(l.Stop, 30*time.Second)
	return l
}

func or[T int | int64 | time.Duration](value, instead T) T {
	if value <= 0 {
		return instead
	}
	return value
}

// Server hands out the repository in one folder. It is an http.Handler; Serve
// makes a whole server of it.
type Server struct {
	Options
	dir    string
	folder folder
	cache  cache
	gate   gate
}

// New opens the repository in dir. Close releases it.
func New(dir string, o Options) (*Server, error) {
	f, err := openFolder(dir)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("serve: %w", err), fault.Usage, "")
	}
	first := repo.MetadataPath("root", 1)
	if _, err := os.Lstat(filepath.Join(dir, first)); err != nil {
		f.dir.Close()
		return nil, fault.Mark(fmt.Errorf("serve %s: it holds no repository: there is no %s", dir, first), fault.Usage,
			"make one with pkgtool repo init or pkgtool repo mirror")
	}
	o.Limits = o.Limits.OrDefault()
	s := &Server{Options: o, dir: dir, folder: f}
	s.gate.max, s.gate.perAddress = o.Limits.Connections, o.Limits.PerAddress
	if o.Metrics != nil {
		o.Metrics.server = s
	}
	return s, nil
}

// Close releases the folder. No request may be running.
func (s *Server) Close() error { return s.folder.dir.Close() }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	a := &answer{ResponseWriter: w, server: s}
	k := kindOf(req.URL.Path)
	start := time.Now()
	s.Metrics.begin()
	defer func() {
		took := time.Since(start)
		if a.status == 0 {
			a.status = http.StatusOK
		}
		s.Metrics.end(k, a.status, a.bytes, took)
		s.Log.add(req, a.status, a.bytes, start, took)
	}()
	s.answer(a, req, k, start)
}

func (s *Server) answer(a *answer, req *http.Request, k kind, now time.Time) {
	header := a.Header()
	header["X-Content-Type-Options"] = nosniff
	if s.lastOf(req) {
		header["Connection"] = closing
	}
	if len(req.RequestURI) > s.Limits.Path {
		s.Metrics.limited(limitPath)
		refuse(a, http.StatusRequestURITooLong, "the address is too long")
		return
	}
	if k == kindWeb && s.Web != nil {
		a.extend(webTimeout)
		s.Web.ServeHTTP(a, req)
		return
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		header["Allow"] = readOnly
		refuse(a, http.StatusMethodNotAllowed, "this repository is read-only")
		return
	}
	if k == kindWeb {
		refuse(a, http.StatusNotFound, "no such file in this repository")
		return
	}
	o, f, err := s.find(req.URL.Path[1:], now)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		refuse(a, http.StatusNotFound, "no such file in this repository")
		return
	case err != nil:
		s.report("%s: %v", tuf.Printable(req.URL.Path), err)
		refuse(a, http.StatusServiceUnavailable, "the file cannot be read now")
		return
	}
	if f != nil {
		defer f.Close()
	}
	o.send(a, req, f)
}

// webTimeout is how long a page may take to be made and sent.
const webTimeout = 120 * time.Second

// refuse answers with a sentence. No cache may keep it: "no such root
// metadata" would outlive a rotation.
func refuse(a *answer, status int, text string) {
	h := a.Header()
	h["Cache-Control"] = revalidate
	h["Content-Type"] = plainText
	a.WriteHeader(status)
	io.WriteString(a, text+"\n")
}

func (s *Server) report(format string, args ...any) {
	if s.Errors != nil {
		fmt.Fprintf(s.Errors, "pkgtool: serve: "+format+"\n", args...)
	}
}
