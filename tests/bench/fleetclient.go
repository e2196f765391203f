package main

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// exchange is one request that a client made, and what it got.
type exchange struct {
	path, span string // of the Range header
	status     int
	bytes      int64
	sum        uint32 // CRC-32C of the body
}

// trace is what a client asked for, in that order.
type trace []exchange

// text is a trace in an order of its own: clients ask for several things at once.
func (t trace) text() []byte {
	var lines []string
	for _, r := range t {
		lines = append(lines, fmt.Sprintf("%s %s: %d, %d bytes\n", r.path, r.span, r.status, r.bytes))
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, ""))
}

// below counts the requests for what is below a path, and the bytes that came.
func (t trace) below(path string) (n int, bytes int64) {
	for _, r := range t {
		if strings.HasPrefix(r.path, path) {
			n++
			bytes += r.bytes
		}
	}
	return n, bytes
}

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// fetchAs makes a request as the program does, and returns what came.
func fetchAs(ctx context.Context, c *http.Client, server string, r exchange, body io.Writer) (exchange, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+r.path, nil)
	if err != nil {
		return r, nil, err
	}
	req.Header.Set("User-Agent", "pkgtool")
	req.Header.Set("Accept-Encoding", "identity")
	if r.span != "" {
		req.Header.Set("Range", r.span)
	}
	resp, err := c.Do(req)
	if err != nil {
		return r, nil, err
	}
	defer resp.Body.Close()
	sum := crc32.New(crcTable)
	n, err := io.Copy(io.MultiWriter(sum, body), resp.Body)
	return exchange{r.path, r.span, resp.StatusCode, n, sum.Sum32()}, resp.Header, err
}

// recorder passes requests on to a server and notes them.
type recorder struct {
	listener net.Listener
	server   *http.Server
	client   *http.Client

	mu   sync.Mutex
	seen trace
}

func newRecorder(server string) (*recorder, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &recorder{listener: listener, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8, DisableCompression: true}}}
	r.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		var body bytes.Buffer
		got, header, err := fetchAs(in.Context(), r.client, server, exchange{path: in.URL.Path, span: in.Header.Get("Range")}, &body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.mu.Lock()
		r.seen = append(r.seen, got)
		r.mu.Unlock()
		for _, key := range []string{"Content-Range", "Content-Type", "Etag", "Cache-Control"} {
			if v := header.Get(key); v != "" {
				w.Header().Set(key, v)
			}
		}
		w.Header().Set("Content-Length", fmt.Sprint(body.Len()))
		w.WriteHeader(got.status)
		w.Write(body.Bytes())
	})}
	go r.server.Serve(listener)
	return r, nil
}

func (r *recorder) url() string { return "http://" + r.listener.Addr().String() }

func (r *recorder) trace() trace {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

func (r *recorder) close() {
	r.server.Close()
	r.client.CloseIdleConnections()
}

// visits is what came of clients.
type visits struct {
	took      time.Duration
	latencies []time.Duration // of all requests
	bytes     int64
	failures  []error // of clients
}

// visit lets clients come to a server, so many at once. Each has a connection of
// its own, follows its trace, and fails if it gets anything else.
func visit(ctx context.Context, server string, traces []trace, atOnce int) *visits {
	v := &visits{}
	var mu sync.Mutex
	next := make(chan trace)
	var workers sync.WaitGroup
	start := time.Now()
	for range atOnce {
		workers.Go(func() {
			for t := range next {
				latencies, bytes, err := follow(ctx, server, t)
				mu.Lock()
				v.latencies = append(v.latencies, latencies...)
				v.bytes += bytes
				if err != nil {
					v.failures = append(v.failures, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, t := range traces {
		next <- t
	}
	close(next)
	workers.Wait()
	v.took = time.Since(start)
	return v
}

func follow(ctx context.Context, server string, t trace) (latencies []time.Duration, bytes int64, err error) {
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for _, want := range t {
		start := time.Now()
		got, _, err := fetchAs(ctx, client, server, want, io.Discard)
		if err != nil {
			return latencies, bytes, err
		}
		latencies = append(latencies, time.Since(start))
		bytes += got.bytes
		if got != want {
			return latencies, bytes, fmt.Errorf("%s %s: %+v instead of %+v", want.path, want.span, got, want)
		}
	}
	return latencies, bytes, nil
}
