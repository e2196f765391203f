package attack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// exchange is one request to a mirror, and the way to answer it.
type exchange struct {
	http.ResponseWriter
	req    *http.Request
	path   string // in the repository
	data   []byte // the honest answer; nil if there is no such file
	number int    // of requests for this path at this mirror, from 1 on
	ctx    context.Context
}

// answer answers a request.
type answer func(x *exchange)

// rule gives the answer to every request whose path contains part.
type rule struct {
	part string
	do   answer
}

// mirror serves the folder of a repository, and lies by its rules, of which the
// first that fits counts.
type mirror struct {
	dir   string
	rules []rule

	mu    sync.Mutex
	asked []string          // paths, in their order
	seen  []*http.Request   // the requests themselves
	count map[string]int    // by path
	ctx   context.Context   // ends with the test
	also  func(r *exchange) // is told of each request; may be nil
}

func (m *mirror) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	path := strings.TrimPrefix(req.URL.Path, "/")
	if _, rest, found := strings.Cut(path, "/"); found && strings.HasPrefix(path, "m") && !strings.HasPrefix(path, "metadata/") {
		path = rest
	}
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)()
	m.mu.Lock()
	if m.count == nil {
		m.count = map[string]int{}
	}
	m.asked = append(m.asked, path)
	m.seen = append(m.seen, req)
	m.count[path]++
	x := &exchange{ResponseWriter: rw, req: req, path: path, number: m.count[path], ctx: ctx}
	m.mu.Unlock()
	if data, err := os.ReadFile(filepath.Join(m.dir, filepath.FromSlash(path))); err == nil && !strings.Contains(path, "..") {
		x.data = data
	}
	for _, r := range m.rules {
		if strings.Contains(path, r.part) {
			r.do(x)
			return
		}
	}
	honest(x)
}

// requests lists the paths that were asked for.
func (m *mirror) requests() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.asked...)
}

// headers are those of the requests that came.
func (m *mirror) headers() []http.Header {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []http.Header
	for _, r := range m.seen {
		all = append(all, r.Header)
	}
	return all
}

// honest serves what there is, with ranges.
func honest(x *exchange) { give(x, x.data) }

func give(x *exchange, data []byte) {
	if data == nil {
		http.NotFound(x, x.req)
		return
	}
	http.ServeContent(x, x.req, "", time.Time{}, bytes.NewReader(data))
}

// fixed serves the same content always, nothing if it is nil.
func fixed(data []byte) answer { return func(x *exchange) { give(x, data) } }

// edited serves the honest content changed.
func edited(change func([]byte) []byte) answer {
	return func(x *exchange) {
		if x.data == nil {
			honest(x)
			return
		}
		give(x, change(bytes.Clone(x.data)))
	}
}

// flip changes one bit, at a share of the length.
func flip(share float64) func([]byte) []byte {
	return func(d []byte) []byte {
		d[min(int(share*float64(len(d))), len(d)-1)] ^= 1
		return d
	}
}

func replace(old, new string) func([]byte) []byte {
	return func(d []byte) []byte { return bytes.Replace(d, []byte(old), []byte(new), 1) }
}

func (x *exchange) flush() { http.NewResponseController(x.ResponseWriter).Flush() }

// abort breaks the connection behind what was written.
func (x *exchange) abort() {
	x.flush()
	panic(http.ErrAbortHandler)
}

// hang waits for the end of the client's patience.
func (x *exchange) hang() { <-x.ctx.Done() }

var junk = bytes.Repeat([]byte("\x1b[31mevil\x07"), 8<<10)

// endless never stops.
func endless(x *exchange) {
	for x.ctx.Err() == nil {
		if _, err := x.Write(junk); err != nil {
			return
		}
	}
}

// endlessly is an endless body under a status and headers.
func endlessly(status int, header ...string) answer {
	return func(x *exchange) {
		for i := 0; i+1 < len(header); i += 2 {
			x.Header().Set(header[i], header[i+1])
		}
		x.WriteHeader(status)
		endless(x)
	}
}

func stall(x *exchange) { x.hang() }

// stallAt serves a share of what was asked for, and then nothing.
func stallAt(share float64) answer {
	return func(x *exchange) { x.limited(share, x.hang) }
}

// limited serves a share of what was asked for, ranges and all, and then does
// something else.
func (x *exchange) limited(share float64, then func()) {
	http.ServeContent(&limitedWriter{exchange: x, share: share, then: then}, x.req, "", time.Time{}, bytes.NewReader(x.data))
}

type limitedWriter struct {
	*exchange
	share float64
	sent  int
	then  func()
}

func (l *limitedWriter) Write(b []byte) (int, error) {
	var length int
	fmt.Sscan(l.Header().Get("Content-Length"), &length)
	left := int(l.share*float64(length)) - l.sent
	if len(b) < left {
		n, err := l.exchange.Write(b)
		l.sent += n
		return n, err
	}
	l.exchange.Write(b[:left])
	l.flush()
	l.then()
	return 0, io.ErrClosedPipe
}

// trickle serves one byte after each pause.
func trickle(pause time.Duration) answer {
	return func(x *exchange) {
		x.Header().Set("Content-Length", fmt.Sprint(len(x.data)))
		for i := range x.data {
			if _, err := x.Write(x.data[i : i+1]); err != nil || x.wait(pause) {
				return
			}
			x.flush()
		}
	}
}

// wait reports whether the client went away meanwhile.
func (x *exchange) wait(pause time.Duration) bool {
	select {
	case <-x.ctx.Done():
		return true
	case <-time.After(pause):
		return false
	}
}

// atRate serves the content, ranges and all, with so many bytes per second.
func atRate(rate int) answer {
	return func(x *exchange) {
		slow := &slowWriter{exchange: x, rate: rate}
		if x.data == nil {
			honest(x)
			return
		}
		http.ServeContent(slow, x.req, "", time.Time{}, bytes.NewReader(x.data))
	}
}

type slowWriter struct {
	*exchange
	rate int
}

func (s *slowWriter) Write(b []byte) (int, error) {
	done := 0
	for len(b) > done {
		piece := min(len(b)-done, s.rate/20)
		n, err := s.exchange.Write(b[done : done+piece])
		done += n
		if err != nil {
			return done, err
		}
		s.flush()
		if s.wait(50 * time.Millisecond) {
			return done, io.ErrClosedPipe
		}
	}
	return done, nil
}

// status answers so, with a page for people in which there is mischief.
func status(code int, header ...string) answer {
	return func(x *exchange) {
		for i := 0; i+1 < len(header); i += 2 {
			x.Header()[http.CanonicalHeaderKey(header[i])] = append(x.Header()[http.CanonicalHeaderKey(header[i])], header[i+1])
		}
		x.WriteHeader(code)
		fmt.Fprint(x, "<html>\x1b[31mLog in\x1b[0m \x07</html>")
	}
}

// redirect sends the client to where to says; SELF there is the request's path.
func redirect(to string) answer {
	return func(x *exchange) {
		x.Header()["Location"] = []string{strings.ReplaceAll(to, "SELF", x.req.URL.Path)}
		x.WriteHeader(http.StatusFound)
	}
}

// cutOff promises all of the content and breaks off.
func cutOff(bytes int) answer {
	return func(x *exchange) {
		x.Header().Set("Content-Length", fmt.Sprint(len(x.data)))
		x.Write(x.data[:min(bytes, len(x.data))])
		x.abort()
	}
}

// raw answers with bytes that no server library would send, CONTENT in them
// being the honest content, and closes; or goes on with more for ever.
func raw(text string, more ...string) answer {
	return func(x *exchange) {
		conn, _, err := http.NewResponseController(x.ResponseWriter).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		stop := context.AfterFunc(x.ctx, func() { conn.Close() })
		defer stop()
		if _, err := io.WriteString(conn, strings.ReplaceAll(strings.ReplaceAll(text, "CONTENT", string(x.data)), "SIZE", fmt.Sprint(len(x.data)))); err != nil {
			return
		}
		for len(more) > 0 {
			if _, err := io.WriteString(conn, strings.Join(more, "")); err != nil {
				return
			}
		}
	}
}

// silence is a log for servers whose clients break off.
var silence = log.New(io.Discard, "", 0)

// loopback listens on a port of this machine until the end of the test.
func (w *world) loopback() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.t.Cleanup(func() { l.Close() })
	return l
}

// deaf accepts connections and never says anything.
func (w *world) deaf() string {
	l := w.loopback()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			w.t.Cleanup(func() { conn.Close() })
		}
	}()
	return w.scheme() + "://" + l.Addr().String() + "/"
}
