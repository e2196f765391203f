package serve_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nginx serves a repository by the configuration of the documentation and
// returns its URL. Only addresses and folders are put in.
func nginx(t *testing.T, repository string) string {
	t.Helper()
	need(t, "nginx")
	dir := t.TempDir()
	cert, key := certificate(t, dir, 1)
	example, err := os.ReadFile("../../docs/examples/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	plain, secure := freeAddress(t), freeAddress(t)
	site := string(example)
	for from, to := range map[string]string{
		"listen 80;": "listen " + plain + ";", "listen 443 ssl": "listen " + secure + " ssl", "/srv/repo;": repository + ";", "/srv/www;": dir + "/web;",
		"/etc/ssl/packages.example.org.pem": cert, "/etc/ssl/private/packages.example.org.key": key,
	} {
		if strings.Count(site, from) != 1 {
			t.Fatalf("the example has %q %d times", from, strings.Count(site, from))
		}
		site = strings.ReplaceAll(site, from, to)
	}
	user := "user root;\n" // who owns the test's folder
	if os.Getuid() != 0 {
		user = ""
	}
	main := user + `daemon off; pid ` + dir + `/pid; error_log stderr crit; events { worker_connections 1024; }
http { access_log off; client_body_temp_path ` + dir + `/tmp; proxy_temp_path ` + dir + `/tmp; fastcgi_temp_path ` + dir + `/tmp;
uwsgi_temp_path ` + dir + `/tmp; scgi_temp_path ` + dir + `/tmp; include ` + dir + `/site.conf; }`
	for name, text := range map[string]string{"nginx.conf": main, "site.conf": site} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "nginx.conf")
	if out, err := exec.Command("nginx", "-t", "-q", "-c", config).CombinedOutput(); err != nil {
		t.Fatalf("nginx -t: %v: %s", err, out)
	}
	cmd := exec.Command("nginx", "-c", config)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	for end := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", plain)
		if err == nil {
			c.Close()
			return "http://" + plain
		}
		if time.Now().After(end) || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is not installed; run pkgtool/bootstrap.sh test", program)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestLikeNginx asks our server and nginx, which nobody here wrote, the same
// questions about the same files: where the answer matters to clients and
// caches, it has to be the same.
func TestLikeNginx(t *testing.T) {
	ours, dir, _ := served(t, nil)
	theirs := nginx(t, dir)
	pool := "/" + rel(t, dir, only(t, filepath.Join(dir, "pool/z/zlib/*")))
	index := "/" + rel(t, dir, only(t, filepath.Join(dir, "index/*.x86_64.zst")))
	snapshot := "/" + rel(t, dir, only(t, filepath.Join(dir, "metadata/*.snapshot.json")))
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "pool/passwd")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "pool/etc")); err != nil {
		t.Fatal(err)
	}
	const tag = "the server's own ETag"
	for _, tc := range []struct {
		method, path string
		header       []string
	}{
		{"GET", pool, nil}, {"HEAD", pool, nil}, {"GET", index, nil}, {"GET", snapshot, nil}, {"GET", "/metadata/timestamp.json", nil},
		{"HEAD", "/metadata/timestamp.json", nil}, {"GET", "/metadata/1.root.json", nil}, {"GET", "/metadata/9.root.json", nil},
		{"GET", pool, []string{"Range", "bytes=0-0"}}, {"GET", pool, []string{"Range", "bytes=100-299"}}, {"GET", pool, []string{"Range", "bytes=100-"}},
		{"GET", pool, []string{"Range", "bytes=-7"}}, {"GET", pool, []string{"Range", "bytes=-99999999"}}, {"GET", pool, []string{"Range", "bytes=5-99999999"}},
		{"GET", pool, []string{"Range", "bytes=99999999-"}}, {"GET", pool, []string{"Range", "bytes=x"}}, {"GET", pool, []string{"Range", "bytes=9-3"}},
		{"GET", pool, []string{"Range", "bytes=0-1,5-6"}}, {"HEAD", pool, []string{"Range", "bytes=0-9"}},
		{"GET", pool, []string{"Range", "bytes=0-9", "If-Range", tag}}, {"GET", pool, []string{"Range", "bytes=0-9", "If-Range", `"another"`}},
		{"GET", pool, []string{"If-None-Match", tag}}, {"GET", pool, []string{"If-None-Match", `"another"`}}, {"GET", pool, []string{"If-None-Match", "*"}},
		{"HEAD", pool, []string{"If-None-Match", tag}}, {"GET", pool, []string{"If-Match", tag}}, {"GET", pool, []string{"If-Match", `"another"`}},
		{"GET", pool, []string{"Accept-Encoding", "gzip, zstd, br"}}, {"GET", "/metadata/timestamp.json", []string{"Accept-Encoding", "gzip"}},
		{"POST", pool, nil}, {"PUT", pool, nil}, {"DELETE", pool, nil}, {"GET", "/pool/", nil}, {"GET", "/pool/z/zlib/", nil},
		{"GET", "/.ashlar/repository.json", nil}, {"GET", "/pool/%2e%2e/.ashlar/repository.json", nil}, {"GET", "/pool/nothing", nil}, {"GET", "/nothing", nil},
		{"GET", "/" + strings.ReplaceAll(pool[1:], "zlib", "%7a%6Cib"), nil},
	} {
		t.Run(tc.method+tc.path[:min(12, len(tc.path))]+strings.Join(tc.header, " "), func(t *testing.T) {
			ask := func(url string) (*http.Response, []byte) {
				header := append([]string{}, tc.header...)
				for i := range header {
					if header[i] == tag {
						resp, _ := get(t, "HEAD", url+tc.path)
						header[i] = resp.Header.Get("ETag")
					}
				}
				return get(t, tc.method, url+tc.path, header...)
			}
			a, body := ask(ours)
			b, want := ask(theirs)
			if a.StatusCode != b.StatusCode {
				t.Fatalf("%s, nginx %s", a.Status, b.Status)
			}
			compared := []string{"Content-Encoding"}
			if a.Header.Get("Content-Range") != "" || a.StatusCode != 416 { // of what is no range at all nginx says the size too
				compared = append(compared, "Content-Range")
			}
			if a.StatusCode < 400 {
				if !bytes.Equal(body, want) {
					t.Errorf("%d bytes, nginx %d", len(body), len(want))
				}
				compared = append(compared, "Content-Length", "Cache-Control", "X-Content-Type-Options")
				if a.StatusCode != 304 {
					compared = append(compared, "Content-Type")
				}
			} else if a.StatusCode == 404 {
				compared = append(compared, "Cache-Control")
			}
			for _, name := range compared {
				if a.Header.Get(name) != b.Header.Get(name) {
					t.Errorf("%s: %q, nginx %q", name, a.Header.Get(name), b.Header.Get(name))
				}
			}
		})
	}
	for _, path := range []string{"/pool/passwd", "/pool/etc/passwd"} {
		for _, url := range []string{ours, theirs} {
			if resp, _ := get(t, "GET", url+path); resp.StatusCode != 404 && resp.StatusCode != 403 {
				t.Errorf("%s%s: %s", url, path, resp.Status)
			}
		}
	}
}

func rel(t *testing.T, dir, file string) string {
	t.Helper()
	name, err := filepath.Rel(dir, file)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// curl runs curl, and fails unless it does what it is told.
func curl(t *testing.T, args ...string) string {
	t.Helper()
	need(t, "curl")
	out, err := exec.Command("curl", append([]string{"--silent", "--show-error", "--fail", "--max-time", "20"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %v: %v: %s", args, err, out)
	}
	return string(out)
}

// TestCurlResumes: a broken download goes on, from either server, also at the
// other one.
func TestCurlResumes(t *testing.T) {
	ours, dir, _ := served(t, nil)
	servers := map[string]string{"ours": ours, "nginx": nginx(t, dir)}
	big := filepath.Join(dir, "pool/0123456789abcdef.big-1.0.0-1.noarch.ashlar")
	content := bytes.Repeat([]byte("0123456789ABCDEF"), 200<<10) // 3.2 MB: not from memory
	if err := os.WriteFile(big, content, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, url := range servers {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			if err := os.WriteFile(out, content[:1234567], 0o644); err != nil {
				t.Fatal(err)
			}
			got := curl(t, "-C", "-", "-o", out, "-w", "%{http_code} %{size_download}", url+"/pool/"+filepath.Base(big))
			if want := fmt.Sprintf("206 %d", len(content)-1234567); got != want {
				t.Errorf("curl says %s, want %s", got, want)
			}
			if data, err := os.ReadFile(out); err != nil || !bytes.Equal(data, content) {
				t.Errorf("the file is not what it should be: %v", err)
			}
		})
	}
}

// TestCurlBeyond4GiB: lengths and offsets that do not fit into 32 bits.
func TestCurlBeyond4GiB(t *testing.T) {
	url, dir, _ := served(t, nil)
	name := "pool/fedcba9876543210.huge-1.0.0-1.noarch.ashlar"
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 5<<30 + 3
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("here"), 9<<29); err != nil {
		t.Fatal(err)
	}
	if head := curl(t, "--head", url+"/"+name); !regexp.MustCompile(fmt.Sprintf(`(?i)content-length: %d\r`, size)).MatchString(head) {
		t.Errorf("HEAD: %s", head)
	}
	if got := curl(t, "--range", fmt.Sprintf("%d-%d", 9<<29, 9<<29+3), url+"/"+name); got != "here" {
		t.Errorf("range: %q", got)
	}
}

// TestCurlHTTP2: over TLS, by the protocol that client and server agree on.
func TestCurlHTTP2(t *testing.T) {
	url, dir, ca := servedTLS(t)
	file := only(t, filepath.Join(dir, "pool/z/zlib/*"))
	for flag, version := range map[string]string{"--http2": "2", "--http1.1": "1.1"} {
		out := filepath.Join(t.TempDir(), "out")
		got := curl(t, flag, "--cacert", ca, "-o", out, "-w", "%{http_version}", url+"/"+rel(t, dir, file))
		if got != version {
			t.Errorf("%s: HTTP/%s", flag, got)
		}
		a, err := os.ReadFile(out)
		b, err2 := os.ReadFile(file)
		if err != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: another file came: %v, %v", flag, err, err2)
		}
	}
	if got := curl(t, "--http2", "--cacert", ca, "--range", "3-6", "-o", os.DevNull, "-w", "%{http_code} %{size_download}", url+"/"+rel(t, dir, file)); got != "206 4" {
		t.Errorf("range by HTTP/2: %s", got)
	}
}
