package places

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
	"ashlar/repo/store"
	_ "ashlar/repo/store/blob" // s3://
	"ashlar/repo/store/storetest"
)

func TestBucketIsAStore(t *testing.T) {
	url := startS3(t).url()
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, url) })
}

func TestBucketServes(t *testing.T) {
	s := startS3(t)
	newWorld(t).lifecycle(s.url(), s.public(), func() int { return countFiles(t, s.data) })
}

// TestBucketHeaders: caches before the bucket keep what never changes, and ask
// again for what does. Large files are put in parts.
func TestBucketHeaders(t *testing.T) {
	server := startS3(t)
	for _, url := range []string{server.url(), server.url() + "&request_checksum_calculation=when_required"} {
		s := open(t, url)
		defer s.Close()
		large := filepath.Join(t.TempDir(), "large")
		check(t, os.WriteFile(large, bytes.Repeat([]byte("0123456789abcdef"), 40<<20/16), 0o644))
		const name = "pool/a/a/0123456789abcdef.a-1.0.0-1.noarch.ashlar"
		check(t, s.PutFile(t.Context(), name, large, store.PutOptions{Size: 40 << 20}))
		check(t, s.Switch(t.Context(), "metadata/timestamp.json", []byte("{}")))
		check(t, s.PutBytes(t.Context(), "metadata/2.snapshot.json", []byte("{}")))
		for path, want := range map[string][3]string{
			name:                       {"public, max-age=31536000, immutable", "application/zstd", "41943040"},
			"metadata/timestamp.json":  {"no-cache", "application/json", "2"},
			"metadata/2.snapshot.json": {"public, max-age=31536000, immutable", "application/json", "2"},
		} {
			resp, err := http.Head(server.public() + path)
			check(t, err)
			resp.Body.Close()
			h := resp.Header
			if got := [3]string{h.Get("Cache-Control"), h.Get("Content-Type"), h.Get("Content-Length")}; got != want {
				t.Errorf("%s: %q; want %q", path, got, want)
			}
		}
		if resp, err := http.Get(server.public() + ".ashlar/none"); err != nil || resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusForbidden {
			t.Errorf("absent: %v, %v", resp, err)
		}
	}
}

// TestBucketRefuses: what is wrong is said with the remedy.
func TestBucketRefuses(t *testing.T) {
	server := startS3(t)
	for name, c := range map[string]struct{ url, secret, want string }{
		"no bucket":      {strings.Replace(server.url(), "packages", "other", 1), secretKey, "make the bucket"},
		"another secret": {server.url(), "wrong", "check the credentials"},
	} {
		t.Setenv("AWS_SECRET_ACCESS_KEY", c.secret)
		s := open(t, c.url)
		err := s.PutBytes(t.Context(), "metadata/timestamp.json", []byte("{}"))
		if err == nil || !strings.Contains(fmt.Sprint(fault.Hints(err)), c.want) {
			t.Errorf("%s: %v, hints %q", name, err, fault.Hints(err))
		}
		check(t, s.Close())
	}
}
