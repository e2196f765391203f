package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/repo"
	"ashlar/repo/repotest"
	"ashlar/repo/serve"
)

// start serves a published repository with options on a listener that may be TLS.
func start(t *testing.T, o serve.Options) (address, dir string, stop func() error) {
	t.Helper()
	now := repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	repotest.Publish(t, r, repotest.Package(t, t.TempDir(), "zlib-1.2.13-1", "zlib", nil, key))
	s, err := serve.New(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var failure error
	go func() {
		failure = s.Serve(ctx, serve.Listener{Listener: listener, TLS: o.TLS != nil})
		close(ended)
	}()
	stop = func() error { cancel(); <-ended; return failure }
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	return listener.Addr().String(), dir, stop
}

// certificate writes a certificate for loopback, and its key.
func certificate(t *testing.T, dir string, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func servedTLS(t *testing.T) (url, dir, ca string) {
	t.Helper()
	cert, key := certificate(t, t.TempDir(), 1)
	c, err := serve.OpenCertificate(cert, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	address, dir, _ := start(t, serve.Options{TLS: c.Config()})
	return "https://" + address, dir, cert
}

// TestCertificateChanges: a renewed certificate is used without a restart, half
// of one is not.
func TestCertificateChanges(t *testing.T) {
	where := t.TempDir()
	cert, key := certificate(t, where, 1)
	reports := make(chan error, 10)
	c, err := serve.OpenCertificate(cert, key, func(err error) { reports <- err })
	if err != nil {
		t.Fatal(err)
	}
	address, _, _ := start(t, serve.Options{TLS: c.Config()})
	serial := func() int64 {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Fatalf("certificate %d", got)
	}
	if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); len(reports) == 0 && time.Now().Before(end); {
		if got := serial(); got != 1 {
			t.Fatalf("certificate %d", got)
		}
	}
	if len(reports) == 0 {
		t.Error("nobody was told that the new certificate is bad")
	}
	certificate(t, where, 2)
	for end := time.Now().Add(10 * time.Second); serial() != 2; {
		if time.Now().After(end) {
			t.Fatal("the new certificate is not used")
		}
	}
}

// TestSlowLoris: a thousand requests that are never completed keep nobody out,
// and are given up.
func TestSlowLoris(t *testing.T) {
	address, _, _ := start(t, serve.Options{Limits: serve.Limits{Request: 2 * time.Second}})
	var slow []net.Conn
	for i := range 1000 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		slow = append(slow, conn)
		fmt.Fprint(conn, "GET /metadata/time")
		if i%100 == 0 {
			if resp, _ := get(t, "GET", "http://"+address+"/metadata/timestamp.json"); resp.StatusCode != 200 {
				t.Fatal(resp.Status)
			}
		}
	}
	if resp, _ := get(t, "GET", "http://"+address+"/metadata/timestamp.json"); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
	for _, conn := range slow {
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
			t.Fatal("a half-open connection was kept")
		}
	}
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}

// TestSlowReader: who does not take an answer is cut off.
func TestSlowReader(t *testing.T) {
	metrics := serve.NewMetrics()
	address, dir, _ := start(t, serve.Options{Metrics: metrics, Limits: serve.Limits{Answer: time.Second, MinimumRate: 1 << 40}})
	name := "pool/fedcba9876543210.huge-1.0.0-1.noarch.ashlar"
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 1 << 30 // more than any socket buffers
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", name)
	for end := time.Now().Add(20 * time.Second); !strings.Contains(scrape(t, metrics), `ashlar_serve_limited_total{limit="rate"} 1`); {
		if time.Now().After(end) {
			t.Fatal("the slow reader was not cut off")
		}
	}
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := io.Copy(io.Discard, conn); isTimeout(err) || n >= size {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestConnectionsOfOneAddress: beyond the limit they are refused at once, and
// one that ends makes room.
func TestConnectionsOfOneAddress(t *testing.T) {
	address, _, _ := start(t, serve.Options{Limits: serve.Limits{PerAddress: 3}})
	works := func() (net.Conn, bool) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(conn, "GET /metadata/timestamp.json HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			conn.Close()
			return nil, false
		}
		resp.Body.Close()
		return conn, true
	}
	var open []net.Conn
	for i := range 3 {
		conn, ok := works()
		if !ok {
			t.Fatalf("connection %d was refused", i)
		}
		defer conn.Close()
		open = append(open, conn)
	}
	if _, ok := works(); ok {
		t.Error("a fourth connection was let in")
	}
	open[0].Close()
	for end := time.Now().Add(10 * time.Second); ; {
		if conn, ok := works(); ok {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal("a connection that ended made no room")
		}
	}
}

// TestSizesOfRequests: long headers and addresses are refused, and a connection
// ends after its share of requests.
func TestSizesOfRequests(t *testing.T) {
	address, _, _ := start(t, serve.Options{Limits: serve.Limits{Requests: 2}})
	url := "http://" + address
	if resp, _ := get(t, "GET", url+"/metadata/timestamp.json", "X-Long", strings.Repeat("x", 64<<10)); resp.StatusCode != 431 {
		t.Errorf("long header: %s", resp.Status)
	}
	if resp, _ := get(t, "GET", url+"/metadata/timestamp.json?"+strings.Repeat("x", 4<<10)); resp.StatusCode != 414 {
		t.Errorf("long address: %s", resp.Status)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(conn)
	for i := range 2 {
		fmt.Fprint(conn, "GET /metadata/timestamp.json HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		if last := i == 1; resp.Close != last {
			t.Errorf("request %d: close is %v", i, resp.Close)
		}
	}
}

// TestAlwaysCurrent: whatever is renamed into place is what the next request
// gets, however fast, and what is gone is gone.
func TestAlwaysCurrent(t *testing.T) {
	url, dir, _ := served(t, nil)
	file := filepath.Join(dir, "metadata/timestamp.json")
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); { // until it is old enough to be kept in memory
		get(t, "GET", url+"/metadata/timestamp.json")
	}
	for i := range 300 {
		want := fmt.Sprintf("%08d", i)
		if err := os.WriteFile(file+".new", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, body := get(t, "GET", url+"/metadata/timestamp.json"); string(body) != want {
				t.Fatalf("got %q after %s was published", body, want)
			}
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if resp, _ := get(t, "GET", url+"/metadata/timestamp.json"); resp.StatusCode != 404 {
		t.Errorf("a file that is gone: %s", resp.Status)
	}
}

// TestStopLetsDownloadsFinish: a running answer is completed after the end was
// asked for; nobody new is let in.
func TestStopLetsDownloadsFinish(t *testing.T) {
	address, dir, stop := start(t, serve.Options{})
	name := "pool/fedcba9876543210.big-1.0.0-1.noarch.ashlar"
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 256 << 20
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + address + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	for end := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(end) {
			t.Fatal("the listener is still open")
		}
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestLog: one line for each request, whatever the client sends; a file that
// was moved away is made again.
func TestLog(t *testing.T) {
	for _, format := range []string{"combined", "json"} {
		t.Run(format, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "access.log")
			log, err := serve.OpenLog(file, format == "json")
			if err != nil {
				t.Fatal(err)
			}
			address, _, stop := start(t, serve.Options{Log: log})
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprint(conn, "GET /pool/x%0a\"\\\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: a\"b\\c\tд"+strings.Repeat("z", 1000)+"\r\nRange: bytes=1-2\r\n\r\n")
			io.Copy(io.Discard, conn)
			var lines []byte
			for end := time.Now().Add(10 * time.Second); len(lines) == 0; {
				if lines, err = os.ReadFile(file); err != nil || time.Now().After(end) {
					t.Fatalf("no line: %v", err)
				}
			}
			if bytes.Count(lines, []byte("\n")) != 1 {
				t.Fatalf("not one line: %q", lines)
			}
			if format == "json" {
				var line struct {
					Path, Range, Agent, Client string
					Status                     int
				}
				if err := json.Unmarshal(lines, &line); err != nil || line.Status != 404 || line.Range != "bytes=1-2" || line.Client != "127.0.0.1" || len(line.Agent) > 300 {
					t.Errorf("%v: %s", err, lines)
				}
			} else if want := `] "GET /pool/x%0a\x22\x5C\xFF HTTP/1.1" 404 32 "-" "a\x22b\x5Cc\x09\xD0\xB4zzz`; !strings.Contains(string(lines), want) ||
				!strings.HasPrefix(string(lines), "127.0.0.1 - - [") || !strings.HasSuffix(string(lines), " \"bytes=1-2\"\n") || len(lines) > 600 {
				t.Errorf("%q", lines)
			}
			if err := os.Rename(file, file+".1"); err != nil {
				t.Fatal(err)
			}
			get(t, "GET", "http://"+address+"/metadata/timestamp.json")
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if after, err := os.ReadFile(file); err != nil || !bytes.Contains(after, []byte("timestamp.json")) {
				t.Errorf("after the log was moved away: %q, %v", after, err)
			}
		})
	}
}

// scrape asks for the metrics as Prometheus does.
func scrape(t *testing.T, m *serve.Metrics) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go m.Serve(ctx, listener)
	resp, body := get(t, "GET", "http://"+listener.Addr().String()+"/metrics")
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	return string(body)
}

func TestMetrics(t *testing.T) {
	m := serve.NewMetrics()
	address, dir, _ := start(t, serve.Options{Metrics: m})
	pkg := rel(t, dir, only(t, filepath.Join(dir, "pool/z/zlib/*")))
	get(t, "GET", "http://"+address+"/"+pkg, "Range", "bytes=0-9")
	get(t, "GET", "http://"+address+"/pool/nothing")
	get(t, "GET", "http://"+address+"/metadata/timestamp.json")
	text := scrape(t, m)
	for _, want := range []string{
		`ashlar_serve_requests_total{kind="package",status="206"} 1`, `ashlar_serve_requests_total{kind="package",status="404"} 1`,
		`ashlar_serve_requests_total{kind="timestamp",status="200"} 1`, `ashlar_serve_duration_seconds_count{kind="package"} 2`,
		`ashlar_repository_readable 1`, `ashlar_repository_version{role="root"} 1`, `ashlar_serve_requests_running 0`,
		fmt.Sprintf("ashlar_repository_published_seconds %.9e", float64(repotest.Now.Unix()))[:45],
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "metadata/timestamp.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if text := scrape(t, m); !strings.Contains(text, "ashlar_repository_readable 0") {
		t.Error("a damaged state counts as readable")
	}
}
