package cli

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/repo"
	"ashlar/repo/mirror"
	"ashlar/repo/repotest"
	"ashlar/repo/store"
)

// TestMirrorBehindNginx: the files of a mirror need no server of ours. A system
// gets packages from them by way of a plain nginx, and so does another mirror.
func TestMirrorBehindNginx(t *testing.T) {
	now := time.Now()
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	free := func(m *pkgfile.Manifest) { m.Requires = nil }
	repotest.Publish(t, r, repotest.Package(t, t.TempDir(), "zlib-1.2.13-1", strings.Repeat("zlib", 100_000), free, key))
	scratch := t.TempDir()
	mirrored := filepath.Join(scratch, "mirror")
	to, err := store.OpenDir(mirrored)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if _, err := mirror.Push(t.Context(), dir, to, mirror.Options{}); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(scratch, "root.json")
	if err := os.WriteFile(root, repotest.Root(t, dir), 0o644); err != nil {
		t.Fatal(err)
	}
	url := startNginx(t, mirrored)
	system := filepath.Join(scratch, "system")
	for _, args := range [][]string{
		{"--root", system, "remote", "add", "test", url, "--root-file", root},
		{"--root", system, "refresh"},
		{"--root", system, "install", "--yes", "zlib"},
		{"repo", "mirror", url, filepath.Join(scratch, "second"), "--root-file", root},
		{"repo", "check", filepath.Join(scratch, "second")},
		{"repo", "mirror", "status", url, "--root-file", root, "--origin", "file://" + dir},
		{"repo", "mirror", "status", url, "--root-file", root, "--verify"},
	} {
		var out bytes.Buffer
		command, _ := New(strings.NewReader(""), &out, &out)
		command.SetArgs(args)
		if err := command.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("pkgtool %s: %v\n%s", strings.Join(args, " "), err, out.Bytes())
		}
	}
	data, err := os.ReadFile(filepath.Join(system, "usr/share/zlib/data"))
	if err != nil || len(data) != 400_000 {
		t.Errorf("installed: %d bytes, %v", len(data), err)
	}
}

// startNginx serves a folder with an ordinary configuration, until the end of
// the test.
func startNginx(t *testing.T, dir string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	own := t.TempDir()
	config := filepath.Join(own, "nginx.conf")
	text := fmt.Sprintf(`daemon off; pid %[1]s/pid; events {}
http { access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fcgi;
uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi; server { listen %[2]s; root %[3]s; } }`, own, address, dir)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	global := ""
	if os.Getuid() == 0 {
		global = "user root;" // test folders are ours alone
	}
	cmd := exec.Command("nginx", "-c", config, "-p", own, "-e", "stderr", "-g", global)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; pkgtool/bootstrap.sh test installs it", err)
	}
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
	for range 200 {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return "http://" + address + "/"
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("nginx does not answer at %s", address)
	return ""
}
