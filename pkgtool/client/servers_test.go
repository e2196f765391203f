package client_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// wire passes connections on to a server and counts what comes back, headers
// and all.
type wire struct {
	bytes, requests atomic.Int64
	rate            time.Duration // a pause after each 64 KiB
}

func (n *wire) to(t *testing.T, address string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", address)
			if err != nil {
				in.Close()
				continue
			}
			go func() { io.Copy(out, in); out.Close() }()
			go func() {
				defer in.Close()
				buffer := make([]byte, 64<<10)
				for {
					k, err := out.Read(buffer)
					n.bytes.Add(int64(k))
					if _, failed := in.Write(buffer[:k]); err != nil || failed != nil {
						return
					}
					time.Sleep(n.rate)
				}
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// webServers are plain servers of static files: each serves dir and returns its
// address.
var webServers = map[string]func(t *testing.T, dir string) string{
	"net/http": func(t *testing.T, dir string) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.FileServer(http.Dir(dir))}
		go s.Serve(listener)
		t.Cleanup(func() { s.Close() })
		return listener.Addr().String()
	},
	"busybox": func(t *testing.T, dir string) string {
		address := freeAddress(t)
		startServer(t, address, "busybox", "httpd", "-f", "-p", address, "-h", dir)
		return address
	},
	"nginx": func(t *testing.T, dir string) string {
		if _, err := exec.LookPath("nginx"); err != nil {
			t.Fatal("nginx is not installed; run pkgtool/bootstrap.sh test")
		}
		address, config := freeAddress(t), filepath.Join(t.TempDir(), "nginx.conf")
		write(t, config, fmt.Appendf(nil, `daemon off; pid %[1]s.pid; error_log /dev/null; events {}
http { access_log off; client_body_temp_path %[1]s.body; proxy_temp_path %[1]s.proxy; fastcgi_temp_path %[1]s.fcgi;
uwsgi_temp_path %[1]s.uwsgi; scgi_temp_path %[1]s.scgi; server { listen %[2]s; root %[3]s; } }`, config, address, dir))
		startServer(t, address, "nginx", "-c", config, "-p", filepath.Dir(config), "-e", "stderr", "-g", "user root;")
		return address
	},
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// startServer runs a server until the end of the test.
func startServer(t *testing.T, address string, command ...string) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; pkgtool/bootstrap.sh test installs it", err)
	}
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
	for range 100 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s does not answer at %s", command[0], address)
}
