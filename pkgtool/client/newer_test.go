package client_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ashlar/repo/index"
)

// newIndex is a world whose client has an index of 4,000 packages, and whose
// repository has a newer one, in which 3 have changed.
func newIndex(t *testing.T) (w *world, entries []index.Entry) {
	t.Helper()
	w, _ = newWorld(t)
	w.limits = patient
	entries = universe(4000)
	w.publishIndex(entries)
	if _, err := w.client("file://" + w.dir).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries = slices.Clone(entries)
	for i := range 3 {
		e := &entries[100+i*1300]
		e.Release++
		e.SHA256 = fmt.Sprintf("%064x", 1<<40+i)
		e.Path = e.PoolPath()
	}
	w.publishIndex(entries)
	return w, entries
}

// newestIndex returns the index that is published and was not a moment ago, and what
// is in it.
func (w *world) newestIndex() (path string, data []byte) {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "index/*.stable.x86_64.zst"))
	if err != nil || len(files) == 0 {
		w.t.Fatal(files, err)
	}
	newest := slices.MaxFunc(files, func(a, b string) int {
		x, _ := os.Stat(a)
		y, _ := os.Stat(b)
		return x.ModTime().Compare(y.ModTime())
	})
	return "index/" + filepath.Base(newest), read(w.t, newest)
}

// mustOffer proves that a refresh brings exactly these packages.
func (w *world) mustOffer(entries []index.Entry, urls ...string) {
	w.t.Helper()
	c := w.client(urls...)
	if _, err := c.Refresh(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	got := map[string]bool{}
	for _, e := range c.Packages() {
		got[e.ID()+e.SHA256] = true
	}
	for _, e := range entries {
		if !got[e.ID()+e.SHA256] {
			w.t.Fatalf("%s is not on offer", e.ID())
		}
	}
	if len(got) != len(entries) {
		w.t.Fatalf("%d packages instead of %d", len(got), len(entries))
	}
}

// TestNewerIndex: a refresh fetches the part of an index that is new, from
// servers that nobody here wrote, and the whole where they cannot do that.
func TestNewerIndex(t *testing.T) {
	for name, serve := range webServers {
		t.Run(name, func(t *testing.T) {
			w, entries := newIndex(t)
			_, data := w.newestIndex()
			n := &wire{}
			w.mustOffer(entries, n.to(t, serve(t, w.dir)))
			other := w.newcomer(t)
			other.limits = patient
			other.mustOffer(entries, "file://"+w.dir)
			if !bytes.Equal(read(t, w.dirs.Cache, "catalogues/test"), read(t, other.dirs.Cache, "catalogues/test")) {
				t.Error("a catalogue brought up to date differs from one made anew")
			}
			t.Logf("%d bytes in all, of an index of %d", n.bytes.Load(), len(data))
			if limit := int64(len(data)) * 6 / 10; n.bytes.Load() > limit {
				t.Errorf("%d bytes; at most %d were expected", n.bytes.Load(), limit)
			}
		})
	}
}

// TestNewerIndexOdd: whatever a server makes of ranges, and whatever it says
// about frames, a refresh ends with the right index, and costs at most a fetch
// more.
func TestNewerIndexOdd(t *testing.T) {
	table := func(change func(table []byte)) func([]byte, http.ResponseWriter, *http.Request) {
		return func(data []byte, rw http.ResponseWriter, req *http.Request) {
			data = slices.Clone(data)
			size, _ := index.TableSize(data)
			change(data[:size])
			http.ServeContent(rw, req, "", time.Time{}, strings.NewReader(string(data)))
		}
	}
	for name, answer := range map[string]func(data []byte, rw http.ResponseWriter, req *http.Request){
		"no ranges":  func(data []byte, rw http.ResponseWriter, _ *http.Request) { rw.Write(data) },
		"status 416": func(_ []byte, rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(416) },
		"other range": func(data []byte, rw http.ResponseWriter, req *http.Request) {
			req.Header.Set("Range", "bytes=7-9")
			serveData(data, rw, req)
		},
		"wrong frames": func(data []byte, rw http.ResponseWriter, req *http.Request) {
			data = slices.Clone(data)
			size, _ := index.TableSize(data)
			for i := range data[size:] {
				data[int(size)+i] ^= 1
			}
			serveData(data, rw, req)
		},
		"a range that ends early": func(data []byte, rw http.ResponseWriter, req *http.Request) {
			var first, last int
			fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-%d", &first, &last)
			rw.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(data)))
			rw.WriteHeader(http.StatusPartialContent)
			rw.(http.Flusher).Flush()
			rw.Write(data[first : last/2])
		},
		"no table":          table(func(table []byte) { table[0] = 0 }),
		"an endless table":  table(func(table []byte) { binary.LittleEndian.PutUint32(table[4:], 1<<31) }),
		"a long table":      table(func(table []byte) { binary.LittleEndian.PutUint32(table[4:], 60<<20) }),
		"a later table":     table(func(table []byte) { table[16]++ }),
		"broken rows":       table(func(table []byte) { table[len(table)-1] = 0xff }),
		"a row's hash":      table(func(table []byte) { table[len(table)-20] ^= 1 }),
		"the table of what": table(func(table []byte) { clear(table[19:]) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, entries := newIndex(t)
			path, data := w.newestIndex()
			var sent atomic.Int64
			files := http.FileServer(http.Dir(w.dir))
			url := w.serveHandler(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
				if req.URL.Path != "/"+path {
					files.ServeHTTP(rw, req)
					return
				}
				rw = &counted{rw, &sent}
				if req.Header.Get("Range") == "" {
					rw.Write(data)
				} else {
					answer(data, rw, req)
				}
			}))
			w.mustOffer(entries, url)
			if len(w.warned) > 0 {
				t.Errorf("warned of %v", w.warned)
			}
			if sent.Load() > 2*int64(len(data))+16<<10 {
				t.Errorf("%d bytes for an index of %d", sent.Load(), len(data))
			}
		})
	}
}

func serveData(data []byte, rw http.ResponseWriter, req *http.Request) {
	http.ServeContent(rw, req, "", time.Time{}, strings.NewReader(string(data)))
}

// counted counts the bytes of answers.
type counted struct {
	http.ResponseWriter
	sent *atomic.Int64
}

func (c *counted) Flush() { c.ResponseWriter.(http.Flusher).Flush() }

func (c *counted) Write(b []byte) (int, error) {
	c.sent.Add(int64(len(b)))
	return c.ResponseWriter.Write(b)
}

// TestNewerIndexDamagedCache: an older index that is damaged, or gone, is no help.
func TestNewerIndexDamagedCache(t *testing.T) {
	for name, damage := range map[string]func(path string, data []byte) error{
		"damaged": func(path string, data []byte) error { data[len(data)/2] ^= 1; return os.WriteFile(path, data, 0o644) },
		"cut off": func(path string, data []byte) error { return os.Truncate(path, int64(len(data)/2)) },
		"gone":    func(path string, _ []byte) error { return os.Remove(path) },
	} {
		t.Run(name, func(t *testing.T) {
			w, entries := newIndex(t)
			objects, err := filepath.Glob(filepath.Join(w.dirs.Cache, "objects/*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range objects {
				if err := damage(o, read(t, o)); err != nil {
					t.Fatal(err)
				}
			}
			w.mustOffer(entries, w.serve(w.dir))
		})
	}
}

// TestNewerIndexBrokenOff: what arrived before connections broke is not fetched
// again, and a mirror that is gone is followed by the next.
func TestNewerIndexBrokenOff(t *testing.T) {
	w, entries := newIndex(t)
	path, data := w.newestIndex()
	var sent atomic.Int64
	broken := 0
	files := http.FileServer(http.Dir(w.dir))
	url := w.serveHandler(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/"+path {
			files.ServeHTTP(rw, req)
			return
		}
		recorded := httptest.NewRecorder()
		files.ServeHTTP(recorded, req)
		for k, v := range recorded.Header() {
			rw.Header()[k] = v
		}
		rw.WriteHeader(recorded.Code)
		body, _ := io.ReadAll(recorded.Body)
		if broken++; broken%2 == 1 {
			body = body[:len(body)/2]
		}
		sent.Add(int64(len(body)))
		rw.Write(body)
		if broken%2 == 1 {
			panic(http.ErrAbortHandler)
		}
	}))
	w.mustOffer(entries, url)
	if limit := int64(len(data)) * 6 / 10; sent.Load() > limit {
		t.Errorf("%d bytes; at most %d were expected", sent.Load(), limit)
	}

	w, entries = newIndex(t)
	path, _ = w.newestIndex()
	gone := w.serveHandler(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/"+path {
			panic(http.ErrAbortHandler)
		}
		http.FileServer(http.Dir(w.dir)).ServeHTTP(rw, req)
	}))
	w.mustOffer(entries, gone, w.serve(w.dir))
	if len(w.warned) != 1 {
		t.Errorf("warned of %v", w.warned)
	}
}
