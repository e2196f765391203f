package client_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
)

// rangeRequest is a request for a range of a package.
type rangeRequest struct {
	http.ResponseWriter
	req        *http.Request
	data       []byte // the whole file
	first, end int64
	number     int64 // of such requests, from 1 on
}

// say answers as the range from first to end, whatever was asked for.
func (r *rangeRequest) say(first, end, total int64) {
	r.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, end-1, total))
}

func (r *rangeRequest) size() int64 { return int64(len(r.data)) }

func (r *rangeRequest) right() []byte { return r.data[r.first:r.end] }

// wrong is what was asked for, with one byte changed in the middle.
func (r *rangeRequest) wrong() []byte {
	bad := bytes.Clone(r.right())
	bad[len(bad)/2] ^= 1
	return bad
}

func (r *rangeRequest) length(n int64) { r.Header().Set("Content-Length", fmt.Sprint(n)) }

// hang waits for the end of the test or the client's patience.
func (r *rangeRequest) hang() { <-r.req.Context().Done() }

// abort cuts the connection after what was written.
func (r *rangeRequest) abort() {
	http.NewResponseController(r.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// evilRanges serves dir; requests for ranges of packages get evil's answer, and
// if always is set all requests for packages.
func (w *world) evilRanges(dir string, always bool, evil func(*rangeRequest)) string {
	plain := http.FileServer(http.Dir(dir))
	var number atomic.Int64
	return w.serveHandler(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		text := req.Header.Get("Range")
		if !strings.HasPrefix(req.URL.Path, "/pool/") || text == "" && !always {
			plain.ServeHTTP(rw, req)
			return
		}
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(req.URL.Path)))
		if err != nil {
			http.Error(rw, err.Error(), 404)
			return
		}
		r := &rangeRequest{ResponseWriter: rw, req: req, data: data, number: number.Add(1)}
		r.end = r.size()
		if _, err := fmt.Sscanf(text, "bytes=%d-%d", &r.first, &r.end); err == nil {
			r.end++
		}
		evil(r)
	}))
}

// TestHostileRanges: a mirror that misbehaves at ranges, alone and with a good
// one beside it. Wrong bytes never reach the cache.
func TestHostileRanges(t *testing.T) {
	w, _ := newWorld(t)
	w.twoVersions(4 << 10)
	for name, test := range map[string]struct {
		evil func(r *rangeRequest)
		want string // what the mirror alone leads to, or is warned of beside a good one; "" is success
	}{
		"ignored": {func(r *rangeRequest) { r.length(r.size()); r.Write(r.data) }, ""},
		"416":     {func(r *rangeRequest) { r.WriteHeader(416) }, ""},
		"another range": {func(r *rangeRequest) {
			r.say(r.first+1, r.end+1, r.size())
			r.WriteHeader(206)
			r.Write(r.data[r.first+1 : r.end+1])
		}, ""},
		"right range, said wrong": {func(r *rangeRequest) {
			r.say(r.first+1, r.end+1, r.size())
			r.WriteHeader(206)
			r.Write(r.right())
		}, ""},
		"a part of the range": {func(r *rangeRequest) {
			r.say(r.first, r.end-1, r.size())
			r.WriteHeader(206)
			r.Write(r.data[r.first : r.end-1])
		}, ""},
		"206 with all": {func(r *rangeRequest) {
			r.say(0, r.size(), r.size())
			r.WriteHeader(206)
			r.Write(r.data)
		}, ""},
		"no Content-Range":    {func(r *rangeRequest) { r.WriteHeader(206); r.Write(r.right()) }, ""},
		"Content-Range twice": {func(r *rangeRequest) { r.say(r.first, r.end, r.size()); r.twice() }, ""},
		"nonsense": {func(r *rangeRequest) {
			r.Header().Set("Content-Range", "bytes +1--2/x")
			r.WriteHeader(206)
			r.Write(r.right())
		}, ""},
		"another total": {func(r *rangeRequest) {
			r.say(r.first, r.end, r.size()+1)
			r.WriteHeader(206)
			r.Write(r.right())
		}, ""},
		"unknown total": {func(r *rangeRequest) {
			r.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", r.first, r.end-1))
			r.WriteHeader(206)
			r.Write(r.right())
		}, ""},
		"multipart": {func(r *rangeRequest) { r.multipart() }, ""},
		"shorter, with its length": {func(r *rangeRequest) {
			r.say(r.first, r.end, r.size())
			r.length(r.end - r.first - 10)
			r.WriteHeader(206)
			r.Write(r.right()[:r.end-r.first-10])
		}, ""},
		"shorter, chunked": {func(r *rangeRequest) {
			r.say(r.first, r.end, r.size())
			r.WriteHeader(206)
			r.Write(r.right()[:r.end-r.first-10])
		}, ""},
		"longer": {func(r *rangeRequest) {
			r.say(r.first, r.end, r.size())
			r.WriteHeader(206)
			r.Write(append(bytes.Clone(r.right()), "and more"...))
		}, ""},
		"endless": {func(r *rangeRequest) {
			r.say(r.first, r.end, r.size())
			r.WriteHeader(206)
			for _, err := r.Write(r.right()); err == nil && r.req.Context().Err() == nil; {
				_, err = r.Write(r.right())
			}
		}, ""},
		"cut off at first": {func(r *rangeRequest) {
			r.say(r.first, r.end, r.size())
			r.length(r.end - r.first)
			r.WriteHeader(206)
			if r.number%2 == 1 {
				r.Write(r.right()[:r.end-r.first-1])
				r.abort()
			}
			r.Write(r.right())
		}, ""},
		"always cut off": {func(r *rangeRequest) {
			r.say(r.first, r.end, r.size())
			r.length(r.end - r.first)
			r.WriteHeader(206)
			r.Write(r.right()[:10])
			r.abort()
		}, "unreachable"},
		"wrong bytes": {func(r *rangeRequest) {
			r.say(r.first, r.end, r.size())
			r.WriteHeader(206)
			r.Write(r.wrong())
		}, "tampered"},
		"wrong bytes after the manifest": {func(r *rangeRequest) {
			r.say(r.first, r.end, r.size())
			r.WriteHeader(206)
			if r.first == 0 {
				r.Write(r.right())
			} else {
				r.Write(r.wrong())
			}
		}, "tampered"},
		"another file than at first": {func(r *rangeRequest) {
			r.say(r.first, r.end, r.size())
			r.WriteHeader(206)
			if r.first == 0 {
				r.Write(r.right())
			} else {
				r.Write(bytes.Repeat([]byte("new!"), int(r.end-r.first)/4+1)[:r.end-r.first])
			}
		}, "tampered"},
		"encoded": {func(r *rangeRequest) {
			r.say(r.first, r.end, r.size())
			r.Header().Set("Content-Encoding", "gzip")
			r.WriteHeader(206)
			r.Write(r.right())
		}, "tampered"},
		"whole, shorter": {func(r *rangeRequest) { r.length(r.size() - 1); r.Write(r.data[:r.size()-1]) }, "tampered"},
		"whole, longer":  {func(r *rangeRequest) { r.length(r.size() + 1); r.Write(append(bytes.Clone(r.data), 0)) }, "tampered"},
		"whole, cut":     {func(r *rangeRequest) { r.Write(r.data[:r.size()/3]) }, "tampered"},
		"hangs":          {func(r *rangeRequest) { r.hang() }, "unreachable"},
		"hangs in between": {func(r *rangeRequest) {
			r.say(r.first, r.end, r.size())
			r.WriteHeader(206)
			r.Write(r.right()[:1])
			r.flush()
			r.hang()
		}, "unreachable"},
		"gone":         {func(r *rangeRequest) { r.WriteHeader(404) }, "unreachable"},
		"overloaded":   {func(r *rangeRequest) { r.Header().Set("Retry-After", "3600"); r.WriteHeader(503) }, "unreachable"},
		"a login page": {func(r *rangeRequest) { fmt.Fprint(r, "<html>Please log in</html>") }, "tampered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alone := w.newcomer(t)
			evil, good := alone.evilRanges(w.dir, strings.HasPrefix(name, "whole"), test.evil), alone.serve(w.dir)
			err := alone.upgrade(alone.client(evil))
			alone.onlyRightBytes()
			switch {
			case test.want == "" && err != nil:
				t.Errorf("alone: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("alone: %v; want %s", err, test.want)
			case test.want == "tampered" && fault.ClassOf(err) != fault.Security, test.want == "unreachable" && fault.ClassOf(err) != fault.Network:
				t.Errorf("alone: class %d", fault.ClassOf(err))
			}

			// What the evil one left does not keep a good one from succeeding.
			if err := alone.upgrade(alone.client(good)); err != nil {
				t.Errorf("afterwards: %v", err)
			}

			both := w.newcomer(t)
			if err := both.upgrade(both.client(evil, good)); err != nil {
				t.Errorf("beside a good one: %v", err)
			}
			both.onlyRightBytes()
			if name == "whole, cut" {
				return // one that does not do ranges comes last, and is not needed
			}
			if warned := fmt.Sprint(both.warned); len(both.warned) > 0 && test.want == "" || !strings.Contains(warned, test.want) {
				t.Errorf("warned of %s; want %q", warned, test.want)
			}
		})
	}
}

func (r *rangeRequest) flush() { http.NewResponseController(r.ResponseWriter).Flush() }

func (r *rangeRequest) twice() {
	r.Header().Add("Content-Range", fmt.Sprintf("bytes %d-%d/%d", r.first+1, r.end, r.size()))
	r.WriteHeader(206)
	r.Write(r.right())
}

func (r *rangeRequest) multipart() {
	m := multipart.NewWriter(r)
	r.Header().Set("Content-Type", "multipart/byteranges; boundary="+m.Boundary())
	r.WriteHeader(206)
	part, err := m.CreatePart(textproto.MIMEHeader{"Content-Range": {fmt.Sprintf("bytes %d-%d/%d", r.first, r.end-1, r.size())}})
	if err == nil {
		part.Write(r.right())
		m.Close()
	}
}

// onlyRightBytes proves that what the cache has of packages is theirs: every
// byte is the right one, or zero in a hole.
func (w *world) onlyRightBytes() {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dirs.Cache, "packages", "*"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, file := range files {
		sum, _, _ := strings.Cut(filepath.Base(file), ".")
		originals, _ := filepath.Glob(filepath.Join(w.dir, "pool/*/*", sum[:16]+"*"))
		if len(originals) != 1 {
			w.t.Errorf("%s belongs to %q", file, originals)
			continue
		}
		is, right := read(w.t, file), read(w.t, originals[0])
		if len(is) != len(right) {
			w.t.Errorf("%s has %d bytes instead of %d", file, len(is), len(right))
			continue
		}
		for i := range is {
			if is[i] != right[i] && is[i] != 0 {
				w.t.Errorf("%s has a wrong byte at %d", file, i)
				break
			}
		}
	}
}

// TestWrongMeta: what a mirror sends in the place of a manifest is refused, and
// taken from another mirror.
func TestWrongMeta(t *testing.T) {
	w, _ := newWorld(t)
	w.twoVersions(4 << 10)
	stripped := func(data []byte) []byte { // the same manifest, no signature
		p, err := pkgfile.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Error(err)
			return nil
		}
		other := bytes.Clone(data)
		copy(other[p.MetaSize()-40:], bytes.Repeat([]byte{0}, 36))
		return other
	}
	for name, change := range map[string]func(r *rangeRequest) []byte{
		"damaged": func(r *rangeRequest) []byte { return r.wrong() },
		"its end": func(r *rangeRequest) []byte { return stripped(r.data)[r.first:r.end] },
		"of another": func(r *rangeRequest) []byte {
			return append([]byte{0x28, 0xB5, 0x2F, 0xFD}, r.right()[4:]...)[:r.end-r.first-1]
		},
	} {
		t.Run(name, func(t *testing.T) {
			evil := w.evilRanges(w.dir, false, func(r *rangeRequest) {
				r.say(r.first, r.end, r.size())
				r.WriteHeader(206)
				if r.first > 0 {
					r.Write(r.right())
				} else {
					r.Write(change(r))
				}
			})
			alone := w.newcomer(t)
			if err := alone.upgrade(alone.client(evil)); name != "of another" && fault.ClassOf(err) != fault.Security {
				t.Errorf("alone: %v", err)
			}
			both := w.newcomer(t)
			if err := both.upgrade(both.client(evil, w.serve(w.dir))); err != nil {
				t.Errorf("beside a good one: %v", err)
			}
		})
	}
}

// TestStolenCache: bytes that somebody changed in the cache are fetched again,
// and not used.
func TestStolenCache(t *testing.T) {
	w, _ := newWorld(t)
	w.twoVersions(4 << 10)
	c := w.client(w.serve(w.dir))
	if err := w.upgrade(c); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(w.dirs.Cache, "packages", "*.partial"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	for name, change := range map[string]func(data []byte) []byte{
		"all zero":  func(data []byte) []byte { return make([]byte, len(data)) },
		"all ones":  func(data []byte) []byte { return bytes.Repeat([]byte{0xFF}, len(data)) },
		"shorter":   func(data []byte) []byte { return data[:len(data)/2] },
		"longer":    func(data []byte) []byte { return append(data, 1) },
		"empty":     func([]byte) []byte { return nil },
		"one frame": func(data []byte) []byte { return changeFilled(data) },
	} {
		t.Run(name, func(t *testing.T) {
			write(t, files[0], change(read(t, files[0])))
			if err := w.upgrade(w.client(w.serve(w.dir))); err != nil {
				t.Error(err)
			}
		})
	}
}

// changeFilled changes a byte in the last part of a file that is not a hole.
func changeFilled(data []byte) []byte {
	for i := len(data) - 1; i >= 0; i-- {
		if data[i] != 0 {
			data[i] ^= 1
			break
		}
	}
	return data
}
