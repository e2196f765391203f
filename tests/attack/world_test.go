package attack

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// world is one system, and the mirrors that it knows.
type world struct {
	t     testing.TB
	https bool
	dir   string // everything that belongs to this case
	root  string // the system

	*states
	pinned   []byte // the pinned root
	genuine  map[string]bool
	settings []string // further lines of the repository's definition
	environ  []string // further variables for pkgtool
	folders  atomic.Int64
	ctx      context.Context
}

// Settings of the repository: short waits, so that a stalled mirror is given up soon.
var impatient = []string{"timeout: 2", "minimum_rate: 1024"}

func newWorld(t testing.TB, https bool) *world {
	t.Helper()
	s := shared(t)
	dir, err := os.MkdirTemp(scratch, "case-")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{t: t, https: https, dir: dir, states: s, pinned: s.firstRoot, root: filepath.Join(dir, "root"), settings: impatient, ctx: ctx}
	t.Cleanup(func() {
		cancel()
		for range 3 { // something may still clean up in the background
			if err = os.RemoveAll(dir); err == nil {
				return
			}
		}
		t.Error(err)
	})
	w.fresh()
	return w
}

// fresh makes the system what it was at first.
func (w *world) fresh() {
	w.t.Helper()
	w.must(os.RemoveAll(w.root))
	if out, err := exec.Command("cp", "-a", w.system, w.root).CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(path string) []byte {
	w.t.Helper()
	data, err := os.ReadFile(path)
	w.must(err)
	return data
}

func (w *world) write(path string, data []byte) {
	w.t.Helper()
	w.must(os.MkdirAll(filepath.Dir(path), 0o755))
	w.must(os.WriteFile(path, data, 0o644))
}

// folder is the path of a new folder of the case, which does not exist yet.
func (w *world) folder(name string) string {
	return filepath.Join(w.dir, fmt.Sprintf("%s-%d", name, w.folders.Add(1)))
}

// in is a path in the system.
func (w *world) in(path string) string { return filepath.Join(w.root, path) }

func (w *world) scheme() string {
	if w.https {
		return "https"
	}
	return "http"
}

// serve starts a server for a mirror and returns the URL of the repository.
func (w *world) serve(m *mirror) string {
	w.t.Helper()
	var config *tls.Config
	if w.https {
		cert, err := w.authority.certificate(nil)
		w.must(err)
		config = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	return w.serveTLS(m, config)
}

// serveTLS is serve with another idea of TLS; nil is none.
func (w *world) serveTLS(m *mirror, config *tls.Config) string {
	w.t.Helper()
	m.ctx = w.ctx
	l := w.loopback()
	s := &http.Server{Handler: m, ErrorLog: silence, TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	scheme := "http"
	if config != nil {
		scheme = "https"
		go s.Serve(tls.NewListener(l, config))
	} else {
		go s.Serve(l)
	}
	w.t.Cleanup(func() { s.Close() })
	return scheme + "://" + l.Addr().String() + "/"
}

// good is an honest mirror of a state.
func (w *world) good(dir string) string {
	w.t.Helper()
	return w.serve(&mirror{dir: dir})
}

// certified is a server certificate of the authority that pkgtool knows.
func (w *world) certified(change func(*x509.Certificate)) tls.Certificate {
	w.t.Helper()
	cert, err := w.authority.certificate(change)
	w.must(err)
	return cert
}

// define makes the system use these mirrors.
func (w *world) define(urls ...string) {
	w.t.Helper()
	w.write(w.in("etc/pkgtool/repositories.d/test.yaml"), []byte(definition("test", w.settings, urls...)))
}

// pin makes the system trust another first root.
func (w *world) pin(root []byte) {
	w.t.Helper()
	w.pinned = root
	w.write(w.in("etc/pkgtool/trust/test/root.json"), root)
}

// result is what a command did.
type result struct {
	args           []string
	code           int
	stdout, stderr string
	took           time.Duration
	memory         int64 // bytes resident, at the peak
}

func (r result) String() string {
	return fmt.Sprintf("pkgtool %s: exit code %d after %v\n%.4000s%.4000s", strings.Join(r.args, " "), r.code, r.took.Round(time.Millisecond), r.stdout, r.stderr)
}

// pkgtool runs the program on the system. Whatever it does, it does it within
// the bounds (judge_test.go).
func (w *world) pkgtool(args ...string) result {
	w.t.Helper()
	r := w.start(args...)()
	w.bounded(r)
	return r
}

// start runs the program; the function it returns waits for its end.
func (w *world) start(args ...string) (wait func() result) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*maxTime)
	cmd := w.command(ctx, args...)
	cmd.Args = append([]string{os.Args[0]}, cmd.Args...)
	cmd.Path = os.Args[0]
	cmd.Env = append(cmd.Env, launching+"=1")
	report, peak, err := os.Pipe()
	w.must(err)
	cmd.ExtraFiles = []*os.File{peak}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	started := time.Now()
	w.must(cmd.Start())
	peak.Close()
	return func() result {
		w.t.Helper()
		defer cancel()
		defer report.Close()
		cmd.Wait()
		if ctx.Err() != nil {
			w.t.Fatalf("pkgtool %v does not end\n%s%s", args, &stdout, &stderr)
		}
		r := result{args, cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(started), 0}
		text, err := io.ReadAll(report)
		w.must(err)
		fmt.Sscan(string(text), &r.memory)
		r.memory <<= 10
		return r
	}
}

func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	w.t.Helper()
	cmd := exec.CommandContext(ctx, program, append([]string{"--root", w.root}, args...)...)
	cmd.Dir = w.dir
	authority := filepath.Join(w.dir, "authority.pem")
	w.must(os.WriteFile(authority, w.authority.pem(), 0o644))
	w.must(os.MkdirAll(w.temporary(), 0o755))
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(w.dir, "home"), "TMPDIR=" + w.temporary(),
		"SSL_CERT_FILE=" + authority, "SSL_CERT_DIR=/nonexistent", "NO_COLOR=1", "LC_ALL=C.UTF-8"}, w.environ...)
	return cmd
}

// temporary is the folder that pkgtool has for what is nowhere else.
func (w *world) temporary() string { return filepath.Join(w.dir, "tmp") }

// unused is an address at which nobody listens. The socket that has it stays
// until the end of the test, so that no other test's server gets its port.
func (w *world) unused() string {
	w.t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	w.must(err)
	w.t.Cleanup(func() { unix.Close(fd) })
	w.must(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	address, err := unix.Getsockname(fd)
	w.must(err)
	return fmt.Sprintf("%s://127.0.0.1:%d/", w.scheme(), address.(*unix.SockaddrInet4).Port)
}
