package places

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// executioner is a server before another one that kills a program at its n-th
// request that writes: before it reaches the other server, or when it is done.
type executioner struct {
	behind *httputil.ReverseProxy
	victim atomic.Pointer[os.Process]
	left   atomic.Int64
	after  bool
}

func newExecutioner(t *testing.T, address string) (e *executioner, at string) {
	e = &executioner{behind: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: address})
		r.Out.Host = r.In.Host // signed by S3's clients, and in a registry's answers
	}}}
	front := httptest.NewServer(e)
	t.Cleanup(front.Close)
	return e, strings.TrimPrefix(front.URL, "http://")
}

func (e *executioner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	victim := e.victim.Load()
	last := victim != nil && r.Method != http.MethodGet && r.Method != http.MethodHead && e.left.Add(-1) == 0
	if last && !e.after {
		victim.Kill()
		panic(http.ErrAbortHandler)
	}
	e.behind.ServeHTTP(w, r)
	if last {
		victim.Kill()
	}
}

// killed runs a program until its n-th request that writes. It reports whether
// the program came that far.
func (e *executioner) killed(t *testing.T, cmd *exec.Cmd, n int) bool {
	t.Helper()
	e.left.Store(int64(n))
	e.after = n%2 == 0
	check(t, cmd.Start())
	e.victim.Store(cmd.Process)
	err := cmd.Wait()
	e.victim.Store(nil)
	if err == nil {
		return false
	}
	if cmd.ProcessState.Exited() {
		t.Fatalf("not killed, but: %v", err)
	}
	return true
}

// shown is the version that a place shows, which must be complete.
func (w *world) shown(url string) int64 {
	w.Helper()
	cmd := w.command("--json", "repo", "mirror", "status", url, "--root-file", "root.json", "--verify")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var s struct {
		Status struct {
			Version int64 `json:"version"`
		} `json:"status"`
	}
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil || s.Status.Version == 0 {
		w.Fatalf("%s: %v\n%s", url, err, out)
	}
	return s.Status.Version
}

// killAnywhere publishes again and again through a place's executioner; readers
// of the place see one state or the next.
func (w *world) killAnywhere(e *executioner, through, direct string) {
	w.mirror(direct)
	version := w.shown(direct)
	kills := 0
	points := []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 25, 30}
	if testing.Short() {
		points = []int{1, 3, 6, 7, 100}
	}
	for _, n := range points {
		w.pack(fmt.Sprint("package", n), "content")
		w.run("repo", "publish", "repo")
		killed := e.killed(w.T, w.command("repo", "mirror", "repo", through), n)
		now := w.shown(direct)
		switch {
		case killed && n == 1 && now != version:
			w.Error("the first request publishes")
		case killed && now < version:
			w.Errorf("killed at request %d: back from version %d to %d", n, version, now)
		case !killed && now == version:
			w.Error("complete, and still the old version")
		}
		version = now
		if !killed {
			break
		}
		kills++
	}
	if kills < 4 {
		w.Errorf("killed %d times only", kills)
	}
	w.Logf("killed at %d requests", kills)
	w.mirror(direct)
	w.good(direct)
}

func TestRegistrySurvivesKill(t *testing.T) {
	s := startRegistry(t, "")
	e, at := newExecutioner(t, s.address)
	newWorld(t).killAnywhere(e, "oci+http://"+at+"/packages", "oci+http://"+s.address+"/packages")
}

func TestBucketSurvivesKill(t *testing.T) {
	s := startS3(t)
	e, at := newExecutioner(t, s.address)
	newWorld(t).killAnywhere(e, server{at, ""}.url(), s.url())
}
