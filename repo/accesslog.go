package repo

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// logged writes a line for each request: time, client, method, path, status,
// bytes, duration, range and user agent. What the client sent is quoted.
func logged(next http.Handler, log io.Writer) http.Handler {
	if log == nil {
		return next
	}
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		start := time.Now()
		c := &counted{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(c, req)
		line := fmt.Sprintf("%s %s %s %.300q %d %d %s range=%.60q agent=%.100q\n", start.UTC().Format(time.RFC3339), req.RemoteAddr,
			req.Method, req.URL.EscapedPath(), c.status, c.bytes, time.Since(start).Round(time.Microsecond),
			req.Header.Get("Range"), req.UserAgent())
		mu.Lock()
		defer mu.Unlock()
		io.WriteString(log, line)
	})
}

// counted is a ResponseWriter that remembers what was sent. It passes ReadFrom
// on, which lets the kernel send files by itself.
type counted struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *counted) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.bytes += int64(n)
	return n, err
}

func (c *counted) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.ResponseWriter, r)
	c.bytes += n
	return n, err
}
