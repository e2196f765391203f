package client_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/repotest"
)

// TestPartialDownload: from plain servers of static files, an upgrade in which
// 5 % of the files changed, here and there, transfers less than 15 % of the
// package, headers and all; and nothing if it is done again.
func TestPartialDownload(t *testing.T) {
	w, _ := newWorld(t)
	w.scatteredVersions()
	for name, serve := range webServers {
		t.Run(name, func(t *testing.T) {
			w := w.newcomer(t)
			var n wire
			c := w.client(n.to(t, serve(t, w.dir)))
			if _, err := c.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := n.bytes.Load()
			if err := w.fetchChanged(c); err != nil {
				t.Fatal(err)
			}
			size := w.entryOf(c, "1.0.1").Size
			share := 100 * float64(n.bytes.Load()-before) / float64(size)
			t.Logf("%d of %d bytes: %.1f %%", n.bytes.Load()-before, size, share)
			if share >= 15 {
				t.Errorf("%.1f %% of the package was transferred", share)
			}
			before = n.bytes.Load()
			if err := w.fetchChanged(c); err != nil || n.bytes.Load() != before {
				t.Errorf("again: %v, %d bytes", err, n.bytes.Load()-before)
			}
		})
	}
}

// TestWithoutRanges: a server that sends the whole file for a range sends it once.
func TestWithoutRanges(t *testing.T) {
	w, _ := newWorld(t)
	w.twoVersions(16 << 10)
	var sent atomic.Int64
	files := http.FileServer(http.Dir(w.dir))
	c := w.client(w.serveHandler(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		req.Header.Del("Range")
		if strings.HasPrefix(req.URL.Path, "/pool/") {
			sent.Add(int64(len(read(t, w.dir, req.URL.Path))))
		}
		files.ServeHTTP(rw, req)
	})))
	if err := w.upgrade(c); err != nil {
		t.Fatal(err)
	}
	if size := w.entryOf(c, "1.0.1").Size; sent.Load() != size {
		t.Errorf("%d bytes were sent of a package of %d", sent.Load(), size)
	}
}

// TestKilledDownload kills a program in the middle of a fetch, again and again:
// each one goes on where the last one was killed.
func TestKilledDownload(t *testing.T) {
	if url := os.Getenv("CLIENT_TEST_FETCH"); url != "" {
		fetchForParent(t, url)
		return
	}
	w, _ := newWorld(t)
	w.twoVersions(64 << 10)
	n := wire{rate: 2 * time.Millisecond}
	url := n.to(t, webServers["net/http"](t, w.dir))
	c := w.client(url)
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	size := w.entryOf(c, "1.0.1").Size
	before := n.bytes.Load()
	kills := 0
	for ; ; kills++ {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledDownload$")
		cmd.Env = append(os.Environ(), "CLIENT_TEST_FETCH="+url, "CLIENT_TEST_CACHE="+w.dirs.Cache, "CLIENT_TEST_STATE="+w.dirs.State, "CLIENT_TEST_TRUST="+w.dirs.Trust)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		done := make(chan struct{})
		go func() { io.Copy(&text, out); close(done) }()
		begin := n.bytes.Load()
		for n.bytes.Load()-begin < size/4 {
			select {
			case <-done:
			case <-time.After(time.Millisecond):
				continue
			}
			break
		}
		cmd.Process.Kill()
		<-done
		err = cmd.Wait()
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "killed") || kills > 20 {
			t.Fatalf("%v\n%s", err, text.String())
		}
		w.onlyRightBytes()
	}
	// Lost with a kill are at most the frame on its way, what the network holds,
	// and the manifest, if it was killed before that was there.
	if spent := n.bytes.Load() - before; kills < 2 || spent > size+int64(kills)*(4<<20) {
		t.Errorf("%d bytes for a package of %d, %d kills", spent, size, kills)
	} else {
		t.Logf("%d bytes for a package of %d, %d kills", spent, size, kills)
	}
	// Without any mirror, all of it is there.
	offline := w.offline()
	remote, err := offline.FetchMeta(t.Context(), w.entryOf(offline, "1.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	if err := remote.Fetch(t.Context(), everyFile(remote), nil); err != nil {
		t.Error(err)
	}
	w.readable(remote, everyFile(remote))
}

// fetchForParent is what TestKilledDownload kills.
func fetchForParent(t *testing.T, url string) {
	w := &world{t: t, now: repotest.Now.Add(48 * time.Hour), limits: patient, dirs: client.Dirs{
		Cache: os.Getenv("CLIENT_TEST_CACHE"), State: os.Getenv("CLIENT_TEST_STATE"), Trust: os.Getenv("CLIENT_TEST_TRUST")}}
	c := w.client(url)
	if _, err := c.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	remote, err := c.FetchMeta(t.Context(), w.entryOf(c, "1.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Fetch(t.Context(), everyFile(remote), nil); err != nil {
		t.Fatal(err)
	}
}

func everyFile(r *client.Remote) (files []*pkgfile.File) {
	m := r.Package().Manifest()
	for i := range m.Files {
		if m.Files[i].Type == pkgfile.TypeFile {
			files = append(files, &m.Files[i])
		}
	}
	return files
}

// offline is a client that must not use the network, of a mirror that would not
// answer.
func (w *world) offline() *client.Client {
	w.t.Helper()
	c, err := client.Open([]client.Config{{Schema: 1, Name: "test", URLs: []string{"http://127.0.0.1:1"}, Channel: "stable", Priority: 50}}, w.dirs,
		client.Options{Now: func() time.Time { return w.now }, Limits: patient, Offline: true})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := c.Load(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// TestOfflineRemote: the cache is enough, and what it does not have is said.
func TestOfflineRemote(t *testing.T) {
	w, _ := newWorld(t)
	w.twoVersions(4 << 10)
	if err := w.upgrade(w.client(w.serve(w.dir))); err != nil {
		t.Fatal(err)
	}
	c := w.offline()
	if err := w.fetchChanged(c); err != nil {
		t.Errorf("what was fetched: %v", err)
	}
	remote, err := c.FetchMeta(t.Context(), w.entryOf(c, "1.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	if remote.Download(everyFile(remote)) == 0 {
		t.Error("nothing to download of a package that is there in part")
	}
	if err := remote.Fetch(t.Context(), everyFile(remote), nil); fault.ClassOf(err) != fault.Network || !strings.Contains(fmt.Sprint(err), "is not in the cache") {
		t.Errorf("the rest: %v", err)
	}
	if _, err := c.FetchMeta(t.Context(), w.entryOf(c, "1.0.0")); fault.ClassOf(err) != fault.Network {
		t.Errorf("another package: %v", err)
	}
	if _, err := c.Fetch(t.Context(), w.entryOf(c, "1.0.0"), nil); fault.ClassOf(err) != fault.Network {
		t.Errorf("another package as a whole: %v", err)
	}
	if _, err := c.Refresh(t.Context()); fault.ClassOf(err) != fault.Network {
		t.Errorf("refresh: %v", err)
	}
	if _, err := c.FetchURL(t.Context(), "http://127.0.0.1:1/x.ashlar", nil); fault.ClassOf(err) != fault.Network {
		t.Errorf("url: %v", err)
	}
}

// TestUnfetched: what was not fetched cannot be read, and that is nobody's fault.
func TestUnfetched(t *testing.T) {
	w, _ := newWorld(t)
	w.twoVersions(4 << 10)
	c := w.client(w.serve(w.dir))
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	remote, err := c.FetchMeta(t.Context(), w.entryOf(c, "1.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	err = remote.Package().Verify(t.Context())
	if err == nil || !strings.Contains(err.Error(), "was not fetched") || fault.ClassOf(err) == fault.Security {
		t.Error(err)
	}
}

// TestLocalRemote: a package on this machine is used where it lies; a damaged
// one is replaced by another mirror's.
func TestLocalRemote(t *testing.T) {
	w, _ := newWorld(t)
	w.twoVersions(4 << 10)
	if err := w.upgrade(w.client("file://" + w.dir)); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(w.dirs.Cache, "packages", "*")); len(left) > 0 {
		t.Errorf("in the cache: %q", left)
	}
	bad := w.copyRepo()
	c := w.client("file://"+bad, w.serve(w.dir))
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := w.entryOf(c, "1.0.1")
	data := read(t, bad, e.Path)
	for i := int(e.MetaSize); i < len(data); i += 4096 {
		data[i] ^= 1
	}
	write(t, filepath.Join(bad, e.Path), data)
	if err := w.fetchChanged(c); err != nil {
		t.Error(err)
	}
	if warned := fmt.Sprint(w.warned); !strings.Contains(warned, bad) || !strings.Contains(warned, "tampered") {
		t.Errorf("warned of %s", warned)
	}
	w.onlyRightBytes()
}

// TestFetchAll: many packages at a time, with one progress over all of them.
func TestFetchAll(t *testing.T) {
	w, _ := newWorld(t)
	for i := range 8 {
		w.manyFiles(fmt.Sprintf("many-1.0.%d-1", i), 40, all(16<<10), func(n int) bool { return i > 0 && n == i })
	}
	var now, most atomic.Int64
	files := http.FileServer(http.Dir(w.dir))
	c := w.client(w.serveHandler(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/pool/") {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(20 * time.Millisecond)
		}
		files.ServeHTTP(rw, req)
	})))
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries := c.ByName("many")
	remotes, err := c.FetchMetas(t.Context(), entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wanted []client.Wanted
	var expected int64
	for i, r := range remotes {
		defer r.Close()
		if r.Entry().Version != entries[i].Version {
			t.Errorf("%d is %s", i, r.Entry().Version)
		}
		wanted = append(wanted, client.Wanted{Remote: r, Files: everyFile(r)})
		expected += r.Download(everyFile(r))
	}
	var mu sync.Mutex
	var last, total int64
	err = client.FetchAll(t.Context(), wanted, func(d, of int64) {
		mu.Lock()
		defer mu.Unlock()
		if d < last || d > of {
			t.Errorf("progress from %d to %d of %d", last, d, of)
		}
		last, total = d, of
	})
	if err != nil || last != expected || total != expected {
		t.Errorf("%v; %d of %d bytes; %d were expected", err, last, total, expected)
	}
	for _, r := range remotes {
		w.readable(r, everyFile(r))
	}
	if most.Load() < 2 || most.Load() > 6 {
		t.Errorf("%d requests at a time", most.Load())
	}
}

// TestSmallPackage: a package that is little more than its manifest comes with it.
func TestSmallPackage(t *testing.T) {
	w, _ := newWorld(t)
	w.manyFiles("many-1.0.0-1", 3, all(1000), func(int) bool { return false })
	var requests atomic.Int64
	files := http.FileServer(http.Dir(w.dir))
	c := w.client(w.serveHandler(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/pool/") {
			requests.Add(1)
		}
		files.ServeHTTP(rw, req)
	})))
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	remote, err := c.FetchMeta(t.Context(), w.entryOf(c, "1.0.0"))
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	if left := remote.Download(everyFile(remote)); left != 0 {
		t.Errorf("%d bytes are left to fetch", left)
	}
	if err := remote.Fetch(t.Context(), everyFile(remote), nil); err != nil || requests.Load() != 1 {
		t.Errorf("%v, %d requests", err, requests.Load())
	}
	w.readable(remote, everyFile(remote))
}

// TestSharedCache: programs that fetch the same at the same time do not disturb
// each other.
func TestSharedCache(t *testing.T) {
	w, _ := newWorld(t)
	w.twoVersions(4 << 10)
	url := w.serve(w.dir)
	if _, err := w.client(url).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			c := w.client(url)
			if _, err := c.Load(t.Context()); err != nil {
				t.Error(err)
				return
			}
			remote, err := c.FetchMeta(t.Context(), c.ByName("many")[1])
			if err != nil {
				t.Error(err)
				return
			}
			defer remote.Close()
			if err := remote.Fetch(t.Context(), everyFile(remote), nil); err != nil {
				t.Error(err)
			}
			w.readable(remote, everyFile(remote))
		})
	}
	group.Wait()
	w.onlyRightBytes()
}

// TestForeignCache: who may not write to the cache can still look at packages.
func TestForeignCache(t *testing.T) {
	w, _ := newWorld(t)
	w.twoVersions(4 << 10)
	c := w.client(w.serve(w.dir))
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A folder below a file system that nobody can write to, root neither.
	packages := filepath.Join(w.dirs.Cache, "packages")
	if err := os.Symlink("/sys/kernel", packages); err != nil {
		t.Fatal(err)
	}
	if err := w.fetchChanged(c); err != nil {
		t.Error(err)
	}
}
