package buildkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/buildkit/client"
	"golang.org/x/sys/unix"
)

// Daemon is a machine of the farm.
type Daemon struct {
	Address string // tcp://HOST:PORT or unix://PATH
	Slots   int    // works at a time; 0 means 1
	Jobs    int    // cores that one work may use; 0 means as many as on this host
}

// ParseDaemon reads ADDRESS[,slots=N][,jobs=N].
func ParseDaemon(text string) (Daemon, error) {
	parts := strings.Split(text, ",")
	d := Daemon{Address: parts[0]}
	u, err := url.Parse(d.Address)
	if err != nil || u.Scheme != "tcp" && u.Scheme != "unix" || u.Scheme == "tcp" && u.Port() == "" || u.Scheme == "unix" && u.Path == "" {
		return d, fmt.Errorf("%q is no address of a daemon; tcp://HOST:PORT and unix:///PATH are", d.Address)
	}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > 1024 {
			return d, fmt.Errorf("daemon %s: %q needs a number from 1 to 1024, as in slots=2", d.Address, part)
		}
		switch name {
		case "slots":
			d.Slots = n
		case "jobs":
			d.Jobs = n
		default:
			return d, fmt.Errorf("daemon %s: there is no %q, only slots=N and jobs=N", d.Address, name)
		}
	}
	return d, nil
}

// TLS are files in PEM that prove who a daemon is, and who this host.
type TLS struct {
	CA   string // of the daemons' certificates
	Cert string
	Key  string
}

// check finds out early what a connection could not say well.
func (t TLS) check(daemons []Daemon) error {
	if (t.Cert == "") != (t.Key == "") {
		return errors.New("a certificate and its key belong together: give --tls-cert and --tls-key")
	}
	for _, d := range daemons {
		host, _, _ := strings.Cut(strings.TrimPrefix(d.Address, "tcp://"), ":")
		if ip := net.ParseIP(host); strings.HasPrefix(d.Address, "tcp:") && t.CA == "" && !(host == "localhost" || ip != nil && ip.IsLoopback()) {
			return fmt.Errorf("daemon %s is on another machine: who reaches it could run anything there, and answer in its place; give --tls-ca, --tls-cert and --tls-key", d.Address)
		}
	}
	for _, name := range []string{t.CA, t.Cert, t.Key} {
		if name == "" {
			continue
		}
		if _, err := os.ReadFile(name); err != nil {
			return fmt.Errorf("TLS: %w", err)
		}
	}
	return nil
}

// daemon is a Daemon and what is known of it.
type daemon struct {
	Daemon
	tls TLS

	mu     sync.Mutex
	client *client.Client

	// Kept by the farm.
	running  int
	failures int       // in a row
	until    time.Time // not to be asked before
}

// dialTimeout is how long a daemon may take to answer at all.
const dialTimeout = 15 * time.Second

// connect returns a connection that answers.
func (d *daemon) connect(ctx context.Context) (*client.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, fmt.Errorf("no answer within %v", dialTimeout))
	defer cancel()
	if d.client == nil {
		options := []client.ClientOpt{}
		if strings.HasPrefix(d.Address, "tcp:") {
			options = append(options, client.WithContextDialer(dial))
		}
		if d.tls.CA != "" {
			options = append(options, client.WithServerConfig(d.host(), d.tls.CA))
		}
		if d.tls.Cert != "" {
			options = append(options, client.WithCredentials(d.tls.Cert, d.tls.Key))
		}
		c, err := client.New(ctx, d.Address, options...)
		if err != nil {
			return nil, err
		}
		d.client = c
	}
	if _, err := d.client.Info(ctx); err != nil {
		d.drop()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, d.explain(err)
	}
	return d.client, nil
}

// explain says why a daemon may hang up: whether its reason or the loss of the
// connection is noticed first, is chance.
func (d *daemon) explain(err error) error {
	if d.tls.CA == "" || !strings.Contains(err.Error(), "broken pipe") && !strings.Contains(err.Error(), "connection reset") {
		return err
	}
	own := "and there is none"
	if d.tls.Cert != "" {
		own = "here " + d.tls.Cert
	}
	return fmt.Errorf("%w (the daemon hung up; it does so where it does not accept the certificate, %s)", err, own)
}

func (d *daemon) host() string {
	if u, err := url.Parse(d.Address); err == nil {
		return u.Hostname()
	}
	return ""
}

// drop forgets the connection.
func (d *daemon) drop() {
	if d.client != nil {
		_ = d.client.Close() // nothing is to be had from it any more
		d.client = nil
	}
}

func (d *daemon) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop()
}

// dial connects so that a machine without power or network is noticed within a
// minute, also when there is nothing to send.
func dial(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 6}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			// Where it is not to be had the system's own patience counts.
			_ = raw.Control(func(fd uintptr) {
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(patience.Milliseconds()))
			})
		}
	}
	return conn, nil
}
