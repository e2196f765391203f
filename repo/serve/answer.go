package serve

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// send answers with an object: from memory, or from f.
func (o *object) send(a *answer, req *http.Request, f *os.File) {
	h := a.Header()
	h["Content-Type"], h["Cache-Control"] = o.kind, o.control
	if o.tag != nil {
		h["Etag"] = o.tag
	}
	asked := req.Header
	// Several ranges would need a multipart body; the whole file is allowed too.
	if r := asked["Range"]; len(r) > 1 || len(r) == 1 && strings.Contains(r[0], ",") {
		delete(asked, "Range")
	}
	if o.content != nil && req.Method == http.MethodGet && asked["Range"] == nil && asked["If-None-Match"] == nil && asked["If-Match"] == nil {
		h["Accept-Ranges"], h["Content-Length"] = bytesUnit, o.length
		a.Write(o.content)
		return
	}
	var content io.ReadSeeker = f
	if o.content != nil {
		content = bytes.NewReader(o.content)
	}
	// The zero time: modification times differ between mirrors, the tag does not.
	http.ServeContent(a, req, "", time.Time{}, content)
}

// step is how much of a file is sent under one deadline.
const step = 512 << 10

// answer is a ResponseWriter that remembers what was sent, and in which a
// client that takes a file too slowly is cut off. The kernel sends files by
// itself, which needs ReadFrom.
type answer struct {
	http.ResponseWriter
	server *Server
	status int
	bytes  int64
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if status >= 200 { // before that more follows
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// ReadFrom sends a file in steps, each with the time that the minimum rate
// allows. The server's own deadline is enough for the first.
func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	whole, ok := r.(*io.LimitedReader)
	if !ok {
		whole = &io.LimitedReader{R: r, N: 1<<63 - 1}
	}
	var sent int64
	for whole.N > 0 {
		part := min(whole.N, step)
		a.extend(a.server.Limits.Answer + time.Duration(part/a.server.Limits.MinimumRate)*time.Second)
		n, err := io.Copy(a.ResponseWriter, &io.LimitedReader{R: whole.R, N: part})
		sent += n
		a.bytes += n
		whole.N -= n
		if err != nil {
			if isTimeout(err) {
				a.server.Metrics.limited(limitRate)
			}
			return sent, err
		}
		if n < part {
			break
		}
	}
	return sent, nil
}

// extend gives the answer time from now on. Not every ResponseWriter has
// deadlines; those of a server have.
func (a *answer) extend(d time.Duration) {
	type deadlines interface{ SetWriteDeadline(time.Time) error }
	if w, ok := a.ResponseWriter.(deadlines); ok {
		w.SetWriteDeadline(time.Now().Add(d))
	}
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}
