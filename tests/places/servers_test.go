package places

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
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

// server is a running server and where its files lie.
type server struct{ address, data string }

// startRegistry runs Debian's docker-registry. Only the users of htpasswd may
// use it, if that is given.
func startRegistry(t *testing.T, htpasswd string) server {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Fatal("docker-registry is not installed; run pkgtool/bootstrap.sh test")
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
	return server{address, filepath.Join(dir, "data")}
}

// gatewayVersion is that which pkgtool/bootstrap.sh installs.
const gatewayVersion = "v1.8.0"

const accessKey, secretKey = "publisher", "only for tests"

// startS3 runs versitygw over a folder with the bucket "packages", which
// everybody may read and only the publisher, whose keys are put into the
// environment, may write.
func startS3(t *testing.T) server {
	t.Helper()
	cache := os.Getenv("ASHLAR_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		check(t, err)
		cache = filepath.Join(user, "ashlar")
	}
	program := filepath.Join(cache, "bin", "versitygw-"+gatewayVersion)
	if _, err := os.Stat(program); err != nil {
		t.Fatal("versitygw is not there; run pkgtool/bootstrap.sh test: ", err)
	}
	dir, address := t.TempDir(), freeAddress(t)
	for _, folder := range []string{"data", "attributes"} {
		check(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
	}
	run(t, address, exec.Command(program, "--access", accessKey, "--secret", secretKey, "--port", address,
		"posix", "--sidecar", filepath.Join(dir, "attributes"), filepath.Join(dir, "data")))
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "none"))
	s := server{address, filepath.Join(dir, "data", bucketName)}
	makeBucket(t, s)
	return s
}

const bucketName = "packages"

// url is the bucket's for a publisher.
func (s server) url() string {
	return fmt.Sprintf("s3://%s/some/folder?endpoint=http://%s&region=us-east-1&use_path_style=true", bucketName, s.address)
}

// public is the url at which everybody reads what url names.
func (s server) public() string { return "http://" + s.address + "/" + bucketName + "/some/folder/" }

// makeBucket makes a bucket whose objects everybody may read.
func makeBucket(t *testing.T, s server) {
	t.Helper()
	b, err := blob.OpenBucket(t.Context(), s.url())
	check(t, err)
	defer b.Close()
	var client *s3.Client
	if !b.As(&client) {
		t.Fatal("no S3 client")
	}
	_, err = client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucketName)})
	check(t, err)
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + bucketName + `/*"}]}`
	_, err = client.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(bucketName), Policy: aws.String(policy)})
	check(t, err)
}

// countFiles counts the files below a folder.
func countFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			n++
		}
		return err
	}))
	return n
}
