package cli

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ashlar/repo"
	"ashlar/repo/repotest"
)

// TestRepoServe runs the command as a script would: the first line on stdout
// is the URL, and an interrupt ends it without error.
func TestRepoServe(t *testing.T) {
	now := time.Now()
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	repotest.Publish(t, r, repotest.Package(t, t.TempDir(), "zlib-1.2.13-1", "zlib", nil, key))
	ctx, interrupt := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	root, _ := New(strings.NewReader(""), stdout, io.Discard)
	root.SetArgs([]string{"repo", "serve", dir, "--listen", "127.0.0.1:0"})
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(strings.TrimSpace(url) + "/metadata/timestamp.json")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
	interrupt()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
