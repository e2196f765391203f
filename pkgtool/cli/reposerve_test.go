package cli

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ashlar/repo"
	"ashlar/repo/repotest"
)

// serving runs the command in a process of its own, on sockets passed as
// systemd passes them, and returns what it prints.
func serving(t *testing.T, names string, files []*os.File, args ...string) (out *bufio.Reader, stop func() error) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "pkgtool")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, program); err != nil { // TestMain takes this name for the command
		t.Fatal(err)
	}
	cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, program}, args...)...)
	cmd.Env = append(os.Environ(), "LISTEN_FDS="+strconv.Itoa(len(files)), "LISTEN_FDNAMES="+names)
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() error {
		if ended {
			return nil
		}
		ended = true
		cmd.Process.Signal(syscall.SIGTERM)
		return cmd.Wait()
	}
	t.Cleanup(func() { stop() })
	return bufio.NewReader(pipe), stop
}

// TestRepoServeTakesSockets: those that systemd passes, by their names, and a
// SIGTERM ends it well.
func TestRepoServeTakesSockets(t *testing.T) {
	now := time.Now()
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	repotest.Publish(t, r, repotest.Package(t, t.TempDir(), "zlib-1.2.13-1", "zlib", nil, key))
	var files []*os.File
	var urls []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		l.Close()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files, urls = append(files, f), append(urls, "http://"+l.Addr().String())
	}
	out, stop := serving(t, "http:metrics", files, "repo", "serve", dir, "--quiet", "--json")
	var printed struct {
		Schema       int
		URL, Metrics string
	}
	if err := json.NewDecoder(out).Decode(&printed); err != nil {
		t.Fatal(err)
	}
	if printed.Schema != 1 || printed.URL != urls[0] || printed.Metrics != urls[1]+"/metrics" {
		t.Errorf("printed %+v, want %v", printed, urls)
	}
	for _, tc := range []struct{ url, holds string }{
		{urls[0] + "/metadata/timestamp.json", `"signed"`}, {urls[0] + "/", "<html"}, {printed.Metrics, `ashlar_serve_requests_total{kind="timestamp",status="200"} 1`},
	} {
		resp, err := http.Get(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || !strings.Contains(string(body), tc.holds) {
			t.Errorf("%s: %s, %v: %.200s", tc.url, resp.Status, err, body)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
