package serve

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// Bounds of the log.
const (
	logWhen   = time.Second // how long a line waits at most
	logStop   = 5 * time.Second
	logFull   = 64 << 10 // bytes that are written without waiting
	logMost   = 4 << 20  // bytes waiting for a slow disk; further lines are lost
	logPath   = 2048     // bytes of a path in a line
	logHeader = 256      // bytes of each header in a line
)

// Log is a line for each request, in the combined format of web servers with
// seconds and range added, or as JSON. Writing never holds a request up: what a
// stuck disk does not take is dropped, and the log says so. A nil Log is none.
type Log struct {
	json bool
	path string // of the file, which is opened again when another program moves it away

	out     io.Writer // belongs to the goroutine that writes
	mu      sync.Mutex
	waiting []byte
	spare   []byte
	lost    int
	full    chan struct{}
}

// NewLog writes to w.
func NewLog(w io.Writer, asJSON bool) *Log {
	return &Log{json: asJSON, out: w, full: make(chan struct{}, 1)}
}

// OpenLog appends to a file, which may be renamed or removed at any time.
func OpenLog(path string, asJSON bool) (*Log, error) {
	f, err := openLogFile(path)
	if err != nil {
		return nil, err
	}
	l := NewLog(f, asJSON)
	l.path = path
	return l, nil
}

func openLogFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
}

// start writes in the background until the function it returns is called,
// which writes the rest.
func (l *Log) start() (stop func()) {
	if l == nil {
		return func() {}
	}
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(logWhen)
		defer tick.Stop()
		for {
			select {
			case <-ending:
				l.write()
				return
			case <-tick.C:
			case <-l.full:
			}
			l.write()
		}
	}()
	return func() {
		close(ending)
		select {
		case <-ended:
		case <-time.After(logStop): // nobody reads the log any more
		}
	}
}

func (l *Log) write() {
	l.mu.Lock()
	lines, lost := l.waiting, l.lost
	l.waiting, l.spare, l.lost = l.spare[:0], nil, 0
	l.mu.Unlock()
	if len(lines) > 0 {
		l.reopen()
		l.out.Write(lines)
	}
	if lost > 0 {
		fmt.Fprintf(l.out, "# %d lines lost: the log could not be written fast enough\n", lost)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if cap(lines) <= 4*logFull {
		l.spare = lines
	}
}

// reopen opens the file again if it is not the one of that name any more.
func (l *Log) reopen() {
	old, ok := l.out.(*os.File)
	if !ok || l.path == "" {
		return
	}
	there, err := os.Stat(l.path)
	mine, err2 := old.Stat()
	if err == nil && err2 == nil && os.SameFile(there, mine) {
		return
	}
	if f, err := openLogFile(l.path); err == nil {
		old.Close()
		l.out = f
	}
}

// add notes one request.
func (l *Log) add(req *http.Request, status int, bytes int64, start time.Time, took time.Duration) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) > logMost {
		l.lost++
		return
	}
	before := len(l.waiting)
	if l.json {
		l.waiting = appendJSON(l.waiting, req, status, bytes, start, took)
	} else {
		l.waiting = appendCombined(l.waiting, req, status, bytes, start, took)
	}
	if before < logFull && len(l.waiting) >= logFull {
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
}

// appendCombined appends
//
//	ADDRESS - - [TIME] "METHOD PATH PROTOCOL" STATUS BYTES "REFERER" "AGENT" SECONDS "RANGE"
func appendCombined(b []byte, req *http.Request, status int, bytes int64, start time.Time, took time.Duration) []byte {
	b = appendEscaped(b, client(req), logHeader)
	b = append(b, " - - ["...)
	b = start.UTC().AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, "] \""...)
	b = appendEscaped(b, req.Method, 16)
	b = append(b, ' ')
	b = appendEscaped(b, req.RequestURI, logPath)
	b = append(b, ' ')
	b = append(b, req.Proto...)
	b = append(b, "\" "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, bytes, 10)
	b = append(b, ' ')
	b = appendQuoted(b, req.Header["Referer"])
	b = append(b, ' ')
	b = appendQuoted(b, req.Header["User-Agent"])
	b = append(b, ' ')
	b = strconv.AppendFloat(b, took.Seconds(), 'f', 6, 64)
	b = append(b, ' ')
	b = appendQuoted(b, req.Header["Range"])
	return append(b, '\n')
}

func client(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil || host == "" {
		return "-" // a Unix socket
	}
	return host
}

// appendQuoted appends a header as a string, "-" where it is absent.
func appendQuoted(b []byte, values []string) []byte {
	b = append(b, '"')
	if len(values) == 0 {
		b = append(b, '-')
	} else {
		b = appendEscaped(b, values[0], logHeader)
	}
	return append(b, '"')
}

// appendEscaped appends what a client sent: one line, no control characters, no
// end of a string before its end. Bytes that are not printable ASCII become
// \xHH, as in the logs of nginx.
func appendEscaped(b []byte, s string, most int) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if i == most {
			return append(b, "..."...)
		}
		c := s[i]
		if c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
			continue
		}
		b = append(b, c)
	}
	return b
}

// appendJSON appends the same as a JSON object.
func appendJSON(b []byte, req *http.Request, status int, bytes int64, start time.Time, took time.Duration) []byte {
	first := func(name string) string {
		if v := req.Header[name]; len(v) > 0 {
			return cut(v[0], logHeader)
		}
		return ""
	}
	line, err := json.Marshal(struct {
		Time     string  `json:"time"`
		Client   string  `json:"client"`
		Method   string  `json:"method"`
		Path     string  `json:"path"`
		Protocol string  `json:"protocol"`
		Status   int     `json:"status"`
		Bytes    int64   `json:"bytes"`
		Seconds  float64 `json:"seconds"`
		Range    string  `json:"range,omitempty"`
		Referer  string  `json:"referer,omitempty"`
		Agent    string  `json:"agent,omitempty"`
	}{start.UTC().Format(time.RFC3339Nano), client(req), cut(req.Method, 16), cut(req.RequestURI, logPath), req.Proto, status, bytes,
		took.Seconds(), first("Range"), first("Referer"), first("User-Agent")})
	if err != nil { // cannot happen: there are only strings and numbers
		return b
	}
	return append(append(b, line...), '\n')
}

func cut(s string, most int) string {
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
