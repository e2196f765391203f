package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ashlar/repo"
	"ashlar/repo/repotest"
	"ashlar/repo/serve"
)

// served starts Serve on a published repository and returns its URL.
func served(t *testing.T, log io.Writer) (url, dir string, stop func() error) {
	t.Helper()
	now := repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	repotest.Publish(t, r, repotest.Package(t, t.TempDir(), "zlib-1.2.13-1", "zlib", nil, key))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var o serve.Options
	if log != nil {
		o.Log = serve.NewLog(log, false)
	}
	s, err := serve.New(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	go func() { done <- s.Serve(ctx, serve.Listener{Listener: listener}) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	return "http://" + listener.Addr().String(), dir, stop
}

func get(t *testing.T, method, url string, header ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func only(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	return found[0]
}

func TestServe(t *testing.T) {
	var log syncBuffer
	url, dir, stop := served(t, &log)
	file := only(t, filepath.Join(dir, "pool/z/zlib/*"))
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pkg := url + "/pool/z/zlib/" + filepath.Base(file)
	size := len(content)
	resp, body := get(t, "GET", pkg)
	tag := resp.Header.Get("ETag")
	if resp.StatusCode != 200 || !bytes.Equal(body, content) || !strings.HasPrefix(tag, `"`) || len(tag) != 18 ||
		!strings.Contains(resp.Header.Get("Cache-Control"), "immutable") || resp.Header.Get("Last-Modified") != "" {
		t.Errorf("GET: %s %v", resp.Status, resp.Header)
	}
	head, none := get(t, "HEAD", pkg)
	if len(none) != 0 || head.ContentLength != int64(size) || head.Header.Get("ETag") != tag {
		t.Errorf("HEAD: %v", head.Header)
	}
	for _, tc := range []struct {
		rng, ifRange string
		status       int
		want         []byte
	}{
		{"bytes=10-19", "", 206, content[10:20]},
		{"bytes=100-", "", 206, content[100:]},
		{"bytes=-5", "", 206, content[size-5:]},
		{"bytes=0-0", tag, 206, content[:1]},
		{"bytes=0-0", `"other"`, 200, content},
		{fmt.Sprintf("bytes=%d-", size), "", 416, nil},
		{"bytes=x", "", 416, nil},
	} {
		header := []string{"Range", tc.rng}
		if tc.ifRange != "" {
			header = append(header, "If-Range", tc.ifRange)
		}
		resp, body := get(t, "GET", pkg, header...)
		if resp.StatusCode != tc.status || tc.want != nil && !bytes.Equal(body, tc.want) {
			t.Errorf("%s if-range %s: %s, %d bytes", tc.rng, tc.ifRange, resp.Status, len(body))
		}
	}
	if resp, _ := get(t, "GET", pkg, "If-None-Match", tag); resp.StatusCode != 304 {
		t.Errorf("revalidation: %s", resp.Status)
	}
	resp, _ = get(t, "GET", url+"/metadata/timestamp.json")
	if resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("timestamp: %s %v", resp.Status, resp.Header)
	}
	if resp, _ := get(t, "GET", url+"/metadata/timestamp.json", "If-None-Match", resp.Header.Get("ETag")); resp.StatusCode != 304 {
		t.Errorf("revalidation of the timestamp: %s", resp.Status)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE"} {
		if resp, _ := get(t, method, pkg); resp.StatusCode != 405 {
			t.Errorf("%s: %s", method, resp.Status)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) < 10 || !strings.Contains(lines[0], "GET") || !strings.Contains(lines[0], fmt.Sprintf(" 200 %d ", size)) {
		t.Errorf("log: %q", lines[0])
	}
}

// TestServeHides asks for everything that must not be shown, byte by byte as a
// client that does not clean paths would.
func TestServeHides(t *testing.T) {
	url, dir, _ := served(t, nil)
	for from, to := range map[string]string{"passwd": "/etc/passwd", "private": "../.ashlar/repository.json"} {
		if err := os.Symlink(to, filepath.Join(dir, "pool", from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "pool/etc")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pool/.hidden"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("mkfifo", filepath.Join(dir, "pool/fifo")).Run(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/", "/pool", "/pool/", "/metadata/", "/.ashlar/repository.json", "/.ashlar/packagers.pgp", "/pool/../.ashlar/repository.json",
		"/pool/%2e%2e/.ashlar/repository.json", "/pool/..%2f.ashlar/repository.json", "/pool/%252e%252e/x", "/pool/..\\x", "/pool/x%00",
		"/pool/passwd", "/pool/private", "/pool/etc/passwd", "/pool/.hidden", "/pool/fifo", "/pool//z", "//etc/passwd", "/../etc/passwd",
		"/metadata/2.root.json", "/pool/z/zlib", "/favicon.ico", "/pool/" + strings.Repeat("a/", 2000),
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		body, _ := io.ReadAll(resp.Body)
		conn.Close()
		if resp.StatusCode != 404 && resp.StatusCode != 400 && resp.StatusCode != 414 || len(body) > 200 {
			t.Errorf("%s: %s, %d bytes", path, resp.Status, len(body))
		}
	}
}

// TestServeWithManySlowClients: half-open requests do not keep others out.
func TestServeWithManySlowClients(t *testing.T) {
	url, _, _ := served(t, nil)
	for range 300 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /metadata/time")
	}
	if resp, _ := get(t, "GET", url+"/metadata/timestamp.json"); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
