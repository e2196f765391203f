package farm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ashlar/pkgtool/build/buildkit"
	"ashlar/pkgtool/build/buildkit/inside"

	"github.com/moby/buildkit/client"
	"golang.org/x/sys/unix"
)

// daemonVersion is that which pkgtool/bootstrap.sh installs.
const daemonVersion = "v0.33.1"

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// daemon is a running BuildKit daemon that only knows clients of its authority.
type daemon struct {
	t       testing.TB
	address string
	dir     string
	tls     buildkit.TLS // for clients
	own     [2]string    // certificate and key
	process *os.Process
	ended   chan struct{}
}

// startDaemon starts a daemon with an empty store.
func startDaemon(t testing.TB, a *authority) *daemon {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	d := &daemon{t: t, address: "tcp://" + l.Addr().String(), dir: t.TempDir(), tls: a.client(t)}
	l.Close()
	d.own[0], d.own[1] = a.issue(t, x509.ExtKeyUsageServerAuth)
	d.start()
	return d
}

func (d *daemon) start() {
	d.t.Helper()
	if os.Geteuid() != 0 {
		d.t.Skip("daemons are started by root only")
	}
	cache := os.Getenv("ASHLAR_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		check(d.t, err)
		cache = filepath.Join(user, "ashlar")
	}
	program := filepath.Join(cache, "bin", "buildkitd-"+daemonVersion)
	if _, err := os.Stat(program); err != nil {
		d.t.Fatal("buildkitd is not there; run pkgtool/bootstrap.sh test: ", err)
	}
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	check(d.t, err)
	defer log.Close()
	cmd := exec.Command(program, "--root", filepath.Join(d.dir, "store"), "--addr", d.address,
		"--tlscacert", d.tls.CA, "--tlscert", d.own[0], "--tlskey", d.own[1],
		"--config", "/dev/null", "--otel-socket-path", filepath.Join(d.dir, "otel"),
		"--containerd-worker=false", "--oci-worker-binary", "runc")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	check(d.t, cmd.Start())
	d.process, d.ended = cmd.Process, make(chan struct{})
	ended := d.ended
	go func() { cmd.Wait(); close(ended) }()
	d.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
		d.tidy()
		if d.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			d.t.Logf("the daemon at %s said:\n%s", d.address, text[max(0, len(text)-3000):])
		}
	})
	c, err := client.New(d.t.Context(), d.address, client.WithServerConfig("127.0.0.1", d.tls.CA), client.WithCredentials(d.tls.Cert, d.tls.Key))
	check(d.t, err)
	defer c.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err = c.Info(d.t.Context()); err == nil {
			return
		}
		select {
		case <-d.ended:
			text, _ := os.ReadFile(log.Name())
			d.t.Fatalf("the daemon ended:\n%s", text)
		default:
		}
		if time.Now().After(deadline) {
			d.t.Fatal("the daemon does not answer: ", err)
		}
	}
}

// kill ends the daemon as a crash of its machine would.
func (d *daemon) kill() {
	if err := d.process.Kill(); err != nil {
		d.t.Error(err)
	}
	<-d.ended
}

// containers are the processes that are pid 1 of this daemon's containers.
func (d *daemon) containers() []int {
	var pids []int
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range list {
		line, _ := os.ReadFile(name)
		mounts, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "mountinfo"))
		if strings.HasPrefix(string(line), inside.Program+"/") && strings.Contains(string(mounts), d.dir) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// tidy takes away what a killed daemon left: mounts, and runc's notes.
func (d *daemon) tidy() {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[4]; strings.HasPrefix(at, d.dir+"/") {
			unix.Unmount(at, unix.MNT_DETACH)
		}
	}
	notes, _ := filepath.Glob("/run/runc/*/state.json")
	for _, name := range notes {
		if text, _ := os.ReadFile(name); strings.Contains(string(text), d.dir) {
			exec.Command("runc", "delete", "--force", filepath.Base(filepath.Dir(name))).Run()
		}
	}
}

// authority issues certificates.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir(), n: 1}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "farm"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, a.key.Public(), a.key)
	check(t, err)
	writePEM(t, a.ca(), "CERTIFICATE", der)
	return a
}

func (a *authority) ca() string { return filepath.Join(a.dir, "ca.pem") }

// issue makes a certificate for 127.0.0.1.
func (a *authority) issue(t testing.TB, use x509.ExtKeyUsage) (cert, key string) {
	t.Helper()
	a.n++
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: fmt.Sprint("machine ", a.n)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, a.cert, own.Public(), a.key)
	check(t, err)
	cert, key = filepath.Join(a.dir, fmt.Sprint(a.n, ".pem")), filepath.Join(a.dir, fmt.Sprint(a.n, ".key"))
	writePEM(t, cert, "CERTIFICATE", der)
	der, err = x509.MarshalPKCS8PrivateKey(own)
	check(t, err)
	writePEM(t, key, "PRIVATE KEY", der)
	return cert, key
}

func (a *authority) client(t testing.TB) buildkit.TLS {
	cert, key := a.issue(t, x509.ExtKeyUsageClientAuth)
	return buildkit.TLS{CA: a.ca(), Cert: cert, Key: key}
}

func writePEM(t testing.TB, name, kind string, der []byte) {
	t.Helper()
	check(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}
