package attack

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ashlar/repo/index"
)

// networkFault is what networks and servers do without ill will.
type networkFault struct {
	name    string
	mirrors func(w *world) []evil
}

// page is what a machine in between shows to people.
const page = "<!DOCTYPE html><html><body>Please <a href=/login>log in</a></body></html>"

var faults = []networkFault{
	{"connections", func(w *world) []evil {
		return []evil{
			{name: "refused", kind: unreachable, file: "2.root.json", says: "refused", url: w.unused()},
			{name: "no such host", kind: unreachable, file: "2.root.json", url: w.scheme() + "://mirror.invalid/"},
			{name: "accepted and silent", kind: unreachable, file: "2.root.json", url: w.deaf()},
			{name: "dropped at once", kind: unreachable, file: "2.root.json", says: "EOF", rules: at("", raw(""))},
			{name: "dropped once", rules: at("", func(x *exchange) {
				if x.number == 1 && x.path == "metadata/"+ts {
					x.abort()
				}
				honest(x)
			})},
		}
	}},
	{"bodies", func(w *world) (all []evil) {
		for file, sizes := range map[string][]int{ts: {0, 1, 100}, "snapshot.json": {0, 100}, "index/": {300}, "pool/": {0, 1, 100}} {
			for _, k := range sizes {
				all = append(all, evil{name: fmt.Sprintf("%s cut off after %d bytes", file, k), kind: unreachable, file: file, rules: at(file, cutOff(k))})
			}
		}
		closed := func(share float64) answer {
			return func(x *exchange) {
				raw("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + string(x.data[:int(share*float64(len(x.data)))]))(x)
			}
		}
		return append(all,
			evil{name: "timestamp without a length, cut", kind: tampered, file: ts, rules: at(ts, closed(0.5))},
			evil{name: "snapshot without a length, cut", kind: unreachable, file: "snapshot.json", rules: at("snapshot.json", closed(0.5))},
			evil{name: "package without a length, cut", kind: unreachable, file: "pool/", whole: true, rules: at("pool/", closed(0.5))},
			evil{name: "everything without a length, whole", rules: at("", func(x *exchange) {
				if x.data == nil {
					honest(x)
					return
				}
				closed(1)(x)
			})},
			evil{name: "packages and parts of them cut off", kind: unreachable, file: "pool/", rules: at("pool/", func(x *exchange) { x.limited(0.6, x.abort) })},
			evil{name: "stalled in the middle", kind: unreachable, file: "snapshot.json", says: "too slow", rules: at("snapshot.json", stallAt(0.5))},
			evil{name: "every first connection for a package breaks", rules: at("pool/", func(x *exchange) {
				if x.number == 1 {
					cutOff(1000)(x)
				}
				honest(x)
			})},
			evil{name: "slow but legal", rules: at("", atRate(64<<10))},
		)
	}},
	{"statuses", func(w *world) (all []evil) {
		for _, code := range []int{400, 401, 403, 404, 405, 407, 410, 418, 451, 511} {
			all = append(all, evil{name: fmt.Sprint(code), kind: unreachable, file: ts, says: fmt.Sprint(code), rules: at(ts, status(code))})
		}
		for _, code := range []int{429, 500, 502, 503, 504, 530} {
			all = append(all, evil{name: fmt.Sprint(code), kind: unreachable, file: ts, says: fmt.Sprint(code), rules: at(ts, status(code, "Retry-After", "3600"))})
		}
		return append(all,
			evil{name: "500 for ever", kind: unreachable, file: "snapshot.json", says: "500", rules: at("snapshot.json", status(500))},
			evil{name: "nonsense in Retry-After", kind: unreachable, file: "snapshot.json", says: "503", rules: at("snapshot.json", status(503, "Retry-After", "-99999999999999999999 minutes"))},
			evil{name: "503 at first", rules: at("", func(x *exchange) {
				if x.number == 1 && !strings.Contains(x.path, "root") {
					status(503, "Retry-After", "0")(x)
					return
				}
				honest(x)
			})},
		)
	}},
	{"machines in between", func(w *world) []evil {
		portal := at("", func(x *exchange) {
			x.Header().Set("Content-Type", "text/html")
			fmt.Fprint(x, page)
		})
		login := w.serve(&mirror{dir: w.present, rules: portal})
		return []evil{
			{name: "captive portal", kind: tampered, file: "2.root.json", rules: portal},
			{name: "captive portal by redirect", kind: tampered, file: "2.root.json", rules: at("", redirect(login+"login"))},
			{name: "redirect loop", kind: unreachable, file: "2.root.json", says: "redirects", rules: at("", redirect("SELF"))},
			{name: "portal for packages only", kind: tampered, file: "pool/", rules: []rule{{"pool/", portal[0].do}}},
			{name: "compressing proxy", kind: tampered, file: ts, says: "encodes", rules: at(ts, func(x *exchange) { x.Header().Set("Content-Encoding", "gzip"); x.Write(x.data) })},
			{name: "a proxy that adds a byte", kind: tampered, file: "snapshot.json", rules: at("snapshot.json", edited(func(d []byte) []byte { return append(d, '\n') }))},
		}
	}},
	{"half-synced mirrors", func(w *world) (all []evil) {
		for _, file := range []string{"snapshot.json", "targets.json", "index/", "keyring/", "pool/"} {
			all = append(all, evil{name: "without " + file, kind: unreachable, file: file, says: "404", rules: at(file, status(404))})
		}
		// An index is there, its packages are not yet; or old files are gone already.
		return append(all, evil{name: "the state before, whole", kind: "", dir: w.forgeOlderName()})
	}},
}

// forgeOlderName is a state like the present one, published by the same keys, of
// which nothing older is left.
func (w *world) forgeOlderName() string {
	w.t.Helper()
	f := w.open(w.present)
	for _, pattern := range []string{"metadata/*.snapshot.json", "metadata/*.targets.json", "index/*"} {
		found, err := filepath.Glob(filepath.Join(f.dir, pattern))
		w.must(err)
		for _, path := range found {
			rel, _ := filepath.Rel(f.dir, path)
			if _, err := os.Stat(filepath.Join(w.seen, rel)); err == nil && rel != "index" {
				if data := w.read(path); !f.uses(rel, data) {
					w.must(os.Remove(path))
				}
			}
		}
	}
	return f.dir
}

// uses reports whether the state's metadata names a file.
func (f *forger) uses(path string, data []byte) bool {
	if path == f.snapshotPath() || path == f.targetsPath() {
		return true
	}
	for _, t := range f.tg.Signed.Targets {
		if t.Hashes["sha256"].String() == sum(data) {
			return true
		}
	}
	return false
}

// TestNetworkFaults tries each fault over http and https, alone and with a good
// mirror behind.
func TestNetworkFaults(t *testing.T) {
	t.Parallel()
	var cases, right atomic.Int64
	t.Run("all", func(t *testing.T) {
		for _, f := range faults {
			for _, https := range []bool{false, true} {
				for _, behind := range []bool{false, true} {
					a := attack{name: f.name, mirrors: f.mirrors}
					t.Run(strings.TrimPrefix(caseName(a, https, behind), "A00_"), func(t *testing.T) {
						t.Parallel()
						w := newWorld(t, https)
						groups := grouped(a.mirrors(w))
						for i, group := range groups {
							cases.Add(int64(len(group)))
							if i > 0 {
								w.fresh()
							}
							w.try(group, behind)
						}
						if !t.Failed() {
							for _, group := range groups {
								right.Add(int64(len(group)))
							}
						}
					})
				}
			}
		}
	})
	fmt.Printf("%d network faults, %d right\n", cases.Load(), right.Load())
}

// TestProxy: a proxy that wants a password is one that gives no answer.
func TestProxy(t *testing.T) {
	for _, https := range []bool{false, true} {
		for _, behind := range []bool{false, true} {
			t.Run(caseName(attack{}, https, behind), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, https)
				proxy := w.serveTLS(&mirror{dir: w.present, rules: at("", status(407, "Proxy-Authenticate", `Basic realm="\x1b[31m"`))}, nil)
				w.environ = []string{"http_proxy=" + proxy, "https_proxy=" + proxy}
				e := evil{name: "proxy", kind: unreachable, file: "2.root.json", url: w.scheme() + "://packages.example.org/", says: "Proxy Authentication Required"}
				w.try([]evil{e}, behind)
			})
		}
	}
}

// TestAllMirrorsDead: every mirror is named, once, and what needs none goes on.
func TestAllMirrorsDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	var group []evil
	for i := range 5 {
		group = append(group, evil{name: fmt.Sprint(i), kind: unreachable, file: "2.root.json", url: w.unused()})
	}
	w.alone(group)
	w.fresh()
	w.define(w.place(group)...)
	w.ended(w.pkgtool("remove", "--yes", "base"), done)
}

// TestWarmCache: what was fetched before is installed without any mirror.
func TestWarmCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	w.define(w.good(w.present))
	w.ended(w.pkgtool("install", "--yes", "--download-only", "app"), done)
	w.define(w.unused())
	r := w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
	w.ended(r, network)
	w.ended(w.pkgtool("install", "--yes", "--offline", "app"), done)
	w.installed()
}

// TestResumeAfterKill: a program that is killed in the middle of a package leaves
// what has arrived to the next one.
func TestResumeAfterKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	const size = 10 << 20 // some frames of 4 MiB
	dir := w.forge(w.present, func(f *forger) {
		path, err := w.pack("big-1.0.0-1", w.packager, nil)
		w.must(err)
		f.entries(func(all []index.Entry) []index.Entry { return append(all, f.adopt(path)) })
	})
	half := make(chan struct{})
	var sent atomic.Int64
	var closed atomic.Bool
	slow := &mirror{dir: dir, rules: at("pool/", func(x *exchange) {
		http.ServeContent(&counted{x, &sent, func(n int64) {
			if n > size*2/3 && closed.CompareAndSwap(false, true) {
				close(half)
				x.hang()
			}
		}}, x.req, "", time.Time{}, strings.NewReader(string(x.data)))
	})}
	w.define(w.serve(slow))
	cmd := w.command(w.ctx, "install", "--yes", "big")
	w.must(cmd.Start())
	select {
	case <-half:
	case <-time.After(maxTime):
		t.Error("nothing arrives")
	}
	// What was sent is written by the program soon, if it was not yet.
	time.Sleep(200 * time.Millisecond)
	cmd.Process.Signal(syscall.SIGKILL)
	cmd.Wait()
	before := sent.Load()
	w.define(w.serve(&mirror{dir: dir, rules: at("pool/", func(x *exchange) {
		http.ServeContent(&counted{x, &sent, func(int64) {}}, x.req, "", time.Time{}, strings.NewReader(string(x.data)))
	})}))
	w.ended(w.start("install", "--yes", "big")(), done) // the cache may be large here
	if data := w.read(w.in("usr/share/big/data")); string(data) != noise(size, 3) {
		t.Error("it is not what was published")
	}
	if again := sent.Load() - before; again > size*3/4 {
		t.Errorf("%d of %d bytes were fetched again", again, size)
	}
}

// counted counts bytes of a body.
type counted struct {
	*exchange
	sent  *atomic.Int64
	after func(total int64)
}

// ReadFrom is hidden: http.ServeContent is to write.
func (c *counted) ReadFrom(r io.Reader) (int64, error) {
	buffer := make([]byte, 8<<10)
	var total int64
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			if _, err := c.Write(buffer[:n]); err != nil {
				return total, err
			}
			total += int64(n)
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.exchange.Write(b)
	c.flush()
	c.after(c.sent.Add(int64(n)))
	return n, err
}
