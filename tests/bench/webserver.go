package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// webServer is a server under load, with its child processes.
type webServer struct {
	name      string
	addresses map[string]string // of http and https
	process   *exec.Cmd
}

// nginxConfig is nginx as its manual recommends it for files; the log is off in both servers.
const nginxConfig = `daemon off;
worker_processes 2;
worker_rlimit_nofile 20000;
pid %[1]s/nginx.pid;
error_log stderr crit;
events { worker_connections 20000; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 10000;
	client_body_temp_path %[1]s/nginx.tmp;
	proxy_temp_path %[1]s/nginx.tmp;
	fastcgi_temp_path %[1]s/nginx.tmp;
	uwsgi_temp_path %[1]s/nginx.tmp;
	scgi_temp_path %[1]s/nginx.tmp;
	server {
		listen %[3]s backlog=4096;
		listen %[4]s ssl backlog=4096;
		ssl_certificate %[1]s/cert.pem;
		ssl_certificate_key %[1]s/key.pem;
		root %[2]s;
	}
}
`

// startServers starts our server and nginx on the same files. stop, which is
// never nil, ends what was started.
func (b *bench) startServers(ctx context.Context, dir, repo string) (servers []*webServer, stop func() error, err error) {
	stop = func() error {
		var failed []error
		for _, s := range servers {
			failed = append(failed, s.stop())
		}
		return errors.Join(failed...)
	}
	if err := selfSigned(dir); err != nil {
		return nil, stop, err
	}
	for _, name := range []string{"pkgtool", "nginx"} {
		s := &webServer{name: name, addresses: map[string]string{}}
		for _, scheme := range []string{"http", "https"} {
			if s.addresses[scheme], err = freeAddress(); err != nil {
				return servers, stop, err
			}
		}
		if name == "nginx" {
			config := filepath.Join(dir, "nginx.conf")
			text := fmt.Sprintf(nginxConfig, dir, repo, s.addresses["http"], s.addresses["https"])
			if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
				return servers, stop, err
			}
			s.process = exec.CommandContext(ctx, "nginx", "-c", config)
		} else {
			s.process = exec.CommandContext(ctx, b.pkgtool, "repo", "serve", repo, "--quiet", "--no-web", "--stop-timeout", "1s", "--max-per-address", "16384",
				"--cert", filepath.Join(dir, "cert.pem"), "--key", filepath.Join(dir, "key.pem"),
				"--listen", "http://"+s.addresses["http"], "--listen", "https://"+s.addresses["https"])
		}
		s.process.Stderr = os.Stderr
		if err := s.process.Start(); err != nil {
			return servers, stop, err
		}
		servers = append(servers, s)
		if err := s.ready(ctx); err != nil {
			return servers, stop, err
		}
	}
	return servers, stop, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// ready waits until the server answers.
func (s *webServer) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.addresses["http"]+"/metadata/timestamp.json", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", s.name, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *webServer) stop() error {
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := s.process.Wait(); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

// processes are the server's and its children's identifiers.
func (s *webServer) processes() []string {
	pid := strconv.Itoa(s.process.Process.Pid)
	children, _ := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	return append(strings.Fields(string(children)), pid)
}

// memory is the resident memory of all processes, pages of files included.
func (s *webServer) memory() (sum int64) {
	for _, pid := range s.processes() {
		var size, resident int64
		text, _ := os.ReadFile("/proc/" + pid + "/statm")
		fmt.Sscan(string(text), &size, &resident)
		sum += resident * int64(os.Getpagesize())
	}
	return sum
}

// cpu is the processor time of all processes in seconds.
func (s *webServer) cpu() (sum float64) {
	for _, pid := range s.processes() {
		text, _ := os.ReadFile("/proc/" + pid + "/stat")
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 13 {
			continue
		}
		for _, f := range fields[11:13] { // utime and stime, in hundredths
			ticks, _ := strconv.ParseFloat(f, 64)
			sum += ticks / 100
		}
	}
	return sum
}

// load is what wrk saw and what it cost the server.
type load struct {
	requests, bytes, errors int64
	seconds, cpu            float64
	p50, p99                float64 // milliseconds, of the worst run
	memory                  int64   // the largest
}

func (l *load) add(o load) {
	l.requests += o.requests
	l.bytes += o.bytes
	l.errors += o.errors
	l.seconds += o.seconds
	l.cpu += o.cpu
	l.p50, l.p99, l.memory = max(l.p50, o.p50), max(l.p99, o.p99), max(l.memory, o.memory)
}

func (l load) requestsPerSecond() float64 { return float64(l.requests) / l.seconds }
func (l load) bytesPerSecond() float64    { return float64(l.bytes) / l.seconds }

func (l load) text() string {
	return fmt.Sprintf("%.0f req/s %.0f MB/s p50 %.1f p99 %.1f ms %.0f MiB %.2f CPU s/GiB %d errors", l.requestsPerSecond(), l.bytesPerSecond()/1e6,
		l.p50, l.p99, mib(l.memory), l.cpu/(float64(l.bytes)/(1<<30)), l.errors)
}

// wrkScript prints wrk's summary as JSON. Timeouts are not counted: with large
// files and many connections no answer ends within a run.
const wrkScript = `done = function(s, latency, requests)
	io.write(string.format('\n{"requests":%d,"bytes":%d,"microseconds":%d,"errors":%d,"p50":%f,"p99":%f}\n', s.requests, s.bytes, s.duration,
		s.errors.connect + s.errors.read + s.errors.write + s.errors.status, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
`

// load runs wrk against the server.
func (s *webServer) load(ctx context.Context, dir, scheme, path string, connections int, duration time.Duration) (load, error) {
	script := filepath.Join(dir, "wrk.lua")
	if err := os.WriteFile(script, []byte(wrkScript), 0o644); err != nil {
		return load{}, err
	}
	// wrk takes whole seconds; it ends at SIGINT with its summary.
	ctx, cancel := context.WithTimeout(ctx, duration+30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "wrk", "-t"+strconv.Itoa(min(2, connections)), "-c"+strconv.Itoa(connections), "-d20s", "--timeout", "60s",
		"-s", script, scheme+"://"+s.addresses[scheme]+path)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	before := s.cpu()
	if err := cmd.Start(); err != nil {
		return load{}, err
	}
	select {
	case <-time.After(duration):
	case <-ctx.Done():
	}
	memory := s.memory()
	cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		return load{}, fmt.Errorf("wrk: %w: %s", err, out.String())
	}
	var seen struct {
		Requests, Bytes, Microseconds, Errors int64
		P50, P99                              float64
	}
	i := bytes.LastIndexByte(bytes.TrimSpace(out.Bytes()), '\n')
	if err := json.Unmarshal(bytes.TrimSpace(out.Bytes())[i+1:], &seen); err != nil {
		return load{}, fmt.Errorf("wrk: %w: %s", err, out.String())
	}
	return load{requests: seen.Requests, bytes: seen.Bytes, errors: seen.Errors, seconds: float64(seen.Microseconds) / 1e6, cpu: s.cpu() - before,
		p50: seen.P50, p99: seen.P99, memory: memory}, nil
}

// openIdle opens connections of which each asks for the timestamp once.
func openIdle(ctx context.Context, address string, n int) (open []net.Conn, err error) {
	var dialer net.Dialer
	for range n {
		c, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return open, err
		}
		open = append(open, c)
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, "GET /metadata/timestamp.json HTTP/1.1\r\nHost: bench\r\n\r\n"); err != nil {
			return open, err
		}
		resp, err := http.ReadResponse(bufio.NewReaderSize(c, 4<<10), nil)
		if err != nil {
			return open, err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return open, err
		}
	}
	return open, nil
}

// selfSigned writes cert.pem and key.pem for loopback.
func selfSigned(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644),
		os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}
