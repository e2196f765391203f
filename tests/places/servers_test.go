package places

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// freeAddress is an address of loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

// run starts a server and waits until it answers HTTP at its address.
func run(t *testing.T, address string, cmd *exec.Cmd) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	check(t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	check(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s said:\n%s", cmd.Path, text[max(0, len(text)-3000):])
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + address + "/")
		if err == nil {
			resp.Body.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v", cmd.Path, err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer: %v", cmd.Path, err)
		}
	}
}

// startRegistry runs Debian's docker-registry and returns host and port. Only
// user with that password may use it, if one is given.
func startRegistry(t *testing.T, htpasswd string) string {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("needs Debian's docker-registry")
	}
	dir, address := t.TempDir(), freeAddress(t)
	config := fmt.Sprintf("version: 0.1\nlog: {level: warn}\nstorage: {filesystem: {rootdirectory: %s/data}, delete: {enabled: true}}\nhttp: {addr: %s}\n", dir, address)
	if htpasswd != "" {
		check(t, os.WriteFile(filepath.Join(dir, "htpasswd"), []byte(htpasswd), 0o600))
		config += fmt.Sprintf("auth: {htpasswd: {realm: test, path: %s/htpasswd}}\n", dir)
	}
	check(t, os.WriteFile(filepath.Join(dir, "config.yml"), []byte(config), 0o600))
	cmd := exec.Command(program, "serve", filepath.Join(dir, "config.yml"))
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	run(t, address, cmd)
	return address
}

// gatewayVersion is that which pkgtool/bootstrap.sh installs.
const gatewayVersion = "v1.8.0"

const accessKey, secretKey = "publisher", "only for tests"

// startS3 runs versitygw over a folder with one bucket that everybody may read
// and only the publisher, whose keys are in the environment, may write. It
// returns the store's url and the one that clients read from.
func startS3(t *testing.T) (store, public string) {
	t.Helper()
	cache := os.Getenv("ASHLAR_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		check(t, err)
		cache = filepath.Join(user, "ashlar")
	}
	program := filepath.Join(cache, "bin", "versitygw-"+gatewayVersion)
	if _, err := os.Stat(program); err != nil {
		t.Skip("needs versitygw, of `pkgtool/bootstrap.sh test`: ", err)
	}
	dir, address := t.TempDir(), freeAddress(t)
	for _, folder := range []string{"data", "iam"} {
		check(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
	}
	run(t, address, exec.Command(program, "--access", accessKey, "--secret", secretKey, "--port", address,
		"posix", "--sidecar", makeFolder(t, dir, "attributes"), filepath.Join(dir, "data")))
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return fmt.Sprintf("s3://packages?endpoint=http://%s&region=us-east-1&use_path_style=true", address), "http://" + address + "/packages/"
}

func makeFolder(t *testing.T, parts ...string) string {
	t.Helper()
	dir := filepath.Join(parts...)
	check(t, os.MkdirAll(dir, 0o755))
	return dir
}

func lines(text ...string) string { return strings.Join(text, "\n") + "\n" }
