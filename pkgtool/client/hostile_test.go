package client_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/repotest"
	"ashlar/repo/serve"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// attack is something that a mirror does to a client which has seen the present
// state of the repository before, or (fresh) which has not.
type attack struct {
	name  string
	kind  tuf.Kind
	file  string // a part of the path that the message must name
	fresh bool
	// evil returns the mirror's handler; good is the honest one.
	evil func(w *world, good http.Handler) http.Handler
}

// on replaces the answer for every path that contains part.
func on(part string, answer http.HandlerFunc) func(*world, http.Handler) http.Handler {
	return func(_ *world, good http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			if strings.Contains(req.URL.Path, part) {
				answer(rw, req)
				return
			}
			good.ServeHTTP(rw, req)
		})
	}
}

// edited serves the honest content changed.
func edited(part string, edit func([]byte) []byte) func(*world, http.Handler) http.Handler {
	return func(w *world, good http.Handler) http.Handler {
		return on(part, func(rw http.ResponseWriter, req *http.Request) {
			rec := httptest.NewRecorder()
			req.Header.Del("Range")
			good.ServeHTTP(rec, req)
			rw.WriteHeader(rec.Code)
			rw.Write(edit(bytes.Clone(rec.Body.Bytes())))
		})(w, good)
	}
}

// fixed serves content that is made once.
func fixed(part string, make func(w *world) []byte) func(*world, http.Handler) http.Handler {
	return func(w *world, good http.Handler) http.Handler {
		data := make(w)
		return on(part, func(rw http.ResponseWriter, _ *http.Request) { rw.Write(data) })(w, good)
	}
}

func flipMiddle(data []byte) []byte { data[len(data)/2] ^= 1; return data }
func half(data []byte) []byte       { return data[:len(data)/2] }
func longer(data []byte) []byte     { return append(data, "more"...) }

func endless(rw http.ResponseWriter, req *http.Request) {
	chunk := bytes.Repeat([]byte("evil"), 8<<10)
	for req.Context().Err() == nil {
		if _, err := rw.Write(chunk); err != nil {
			return
		}
	}
}

func stall(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }

func trickle(rw http.ResponseWriter, req *http.Request) {
	for req.Context().Err() == nil {
		if _, err := rw.Write([]byte("{")); err != nil {
			return
		}
		rw.(http.Flusher).Flush()
		time.Sleep(50 * time.Millisecond)
	}
}

// cutOff promises the whole and breaks off in the middle.
func cutOff(part string) func(*world, http.Handler) http.Handler {
	return func(w *world, good http.Handler) http.Handler {
		return on(part, func(rw http.ResponseWriter, req *http.Request) {
			rec := httptest.NewRecorder()
			req.Header.Del("Range")
			good.ServeHTTP(rec, req)
			rw.Header().Set("Content-Length", strconv.Itoa(rec.Body.Len()))
			rw.Write(half(rec.Body.Bytes()))
			panic(http.ErrAbortHandler)
		})(w, good)
	}
}

func status(code int) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(code)
		fmt.Fprint(rw, "<html>\x1b[31mno\x1b[0m</html>")
	}
}

func redirect(to string) http.HandlerFunc {
	return func(rw http.ResponseWriter, req *http.Request) {
		http.Redirect(rw, req, strings.ReplaceAll(to, "SELF", req.URL.Path), http.StatusFound)
	}
}

func attacker() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte("evil"), 8))
}

func parse[T metadata.Roles](w *world, m *metadata.Metadata[T], name string) *metadata.Metadata[T] {
	w.t.Helper()
	if _, err := m.FromBytes(read(w.t, w.dir, name)); err != nil {
		w.t.Fatal(err)
	}
	return m
}

const timestampPart = "timestamp.json"

// refreshAttacks are told from an honest answer by Refresh.
var refreshAttacks = []attack{
	{name: "timestamp flipped", kind: tuf.Unsigned, file: timestampPart, evil: edited(timestampPart, func(d []byte) []byte {
		return bytes.Replace(d, []byte(`"version":`), []byte(`"version":1`), 1)
	})},
	{name: "timestamp without signature", kind: tuf.Unsigned, file: timestampPart, evil: edited(timestampPart, func(d []byte) []byte {
		_, rest, _ := bytes.Cut(d, []byte(`"signatures":`))
		_, rest, _ = bytes.Cut(rest, []byte(`]`))
		return append([]byte(`{"signatures":[]`), rest...)
	})},
	{name: "timestamp signed by the attacker", kind: tuf.Unsigned, file: timestampPart, evil: fixed(timestampPart, func(w *world) []byte {
		return signAs(w, parse(w, metadata.Timestamp(), repo.TimestampPath), attacker())
	})},
	{name: "timestamp signed by the attacker under the right key id", kind: tuf.Unsigned, file: timestampPart, evil: fixed(timestampPart, func(w *world) []byte {
		m := parse(w, metadata.Timestamp(), repo.TimestampPath)
		id := m.Signatures[0].KeyID
		m.Signed.Version++
		data := signAs(w, m, attacker())
		return bytes.Replace(data, []byte(m.Signatures[0].KeyID), []byte(id), 1)
	})},
	{name: "timestamp signed by the key of another role", kind: tuf.Unsigned, file: timestampPart, evil: fixed(timestampPart, func(w *world) []byte {
		return signAs(w, parse(w, metadata.Timestamp(), repo.TimestampPath), w.roleKey("targets"))
	})},
	{name: "snapshot as timestamp", kind: tuf.Tampered, file: timestampPart, evil: func(w *world, good http.Handler) http.Handler {
		found, _ := filepath.Glob(filepath.Join(w.dir, "metadata/*.snapshot.json"))
		return fixed(timestampPart, func(w *world) []byte { return read(w.t, found[0]) })(w, good)
	}},
	{name: "timestamp null", kind: tuf.Tampered, file: timestampPart, evil: fixed(timestampPart, func(*world) []byte { return []byte("null") })},
	{name: "timestamp with null inside", kind: tuf.Tampered, file: timestampPart, evil: edited(timestampPart, func(d []byte) []byte {
		i := bytes.Index(d, []byte(`"snapshot.json":{`))
		j := bytes.Index(d[i:], []byte(`}}`))
		return append(append(bytes.Clone(d[:i]), `"snapshot.json":null`...), d[i+j+2:]...)
	})},
	{name: "timestamp with a key twice", kind: tuf.Tampered, file: timestampPart, evil: edited(timestampPart, func(d []byte) []byte {
		return bytes.Replace(d, []byte(`"version":`), []byte(`"Version":99999999999,"version":`), 1)
	})},
	{name: "timestamp version 2^63-1", kind: tuf.Tampered, file: timestampPart, evil: edited(timestampPart, func(d []byte) []byte {
		return bytes.Replace(d, []byte(`"version":17`), []byte(`"version":9223372036854775807,"x":17`), 2)
	})},
	{name: "timestamp nested deeply", kind: tuf.Tampered, file: timestampPart, evil: fixed(timestampPart, func(*world) []byte {
		return bytes.Repeat([]byte("["), 10000)
	})},
	{name: "timestamp endless", kind: tuf.Unbounded, file: timestampPart, evil: on(timestampPart, endless)},
	{name: "timestamp trickles", kind: tuf.Unreachable, file: timestampPart, evil: on(timestampPart, trickle)},
	{name: "timestamp stalls", kind: tuf.Unreachable, file: timestampPart, evil: on(timestampPart, stall)},
	{name: "timestamp cut off", kind: tuf.Unreachable, file: timestampPart, evil: cutOff(timestampPart)},
	{name: "timestamp missing", kind: tuf.Unreachable, file: timestampPart, evil: on(timestampPart, status(404))},
	{name: "server error", kind: tuf.Unreachable, file: "root.json", evil: on("", status(503))},
	{name: "login page", kind: tuf.Tampered, file: "root.json", evil: on("", status(200))},
	{name: "login page instead of timestamp", kind: tuf.Tampered, file: timestampPart, evil: on(timestampPart, status(200))},
	{name: "redirect loop", kind: tuf.Unreachable, file: timestampPart, evil: on(timestampPart, redirect("SELF"))},
	{name: "redirect to a file", kind: tuf.Unreachable, file: timestampPart, evil: on(timestampPart, redirect("file:///etc/passwd"))},
	{name: "content encoding", kind: tuf.Tampered, file: timestampPart, evil: on(timestampPart, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Encoding", "gzip")
		rw.Write([]byte("x"))
	})},
	{name: "unasked range", kind: tuf.Unreachable, file: timestampPart, evil: on(timestampPart, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Range", "bytes 5-9/10")
		rw.WriteHeader(http.StatusPartialContent)
		rw.Write([]byte("hello"))
	})},
	{name: "rollback of everything", kind: tuf.RolledBack, file: timestampPart, evil: nil}, // see oldState
	{name: "snapshot flipped", kind: tuf.Tampered, file: "snapshot.json", fresh: true, evil: edited("snapshot.json", flipMiddle)},
	{name: "snapshot endless", kind: tuf.Tampered, file: "snapshot.json", fresh: true, evil: on("snapshot.json", endless)},
	{name: "snapshot missing", kind: tuf.Unreachable, file: "snapshot.json", fresh: true, evil: on("snapshot.json", status(404))},
	{name: "snapshot of the older state", kind: tuf.Tampered, file: "snapshot.json", fresh: true, evil: olderFile("metadata/*.snapshot.json", "snapshot.json")},
	{name: "targets of the older state", kind: tuf.Tampered, file: "targets.json", fresh: true, evil: olderFile("metadata/*.targets.json", "targets.json")},
	{name: "targets flipped", kind: tuf.Tampered, file: "targets.json", fresh: true, evil: edited("targets.json", flipMiddle)},
	{name: "targets cut off", kind: tuf.Unreachable, file: "targets.json", fresh: true, evil: cutOff("targets.json")},
	{name: "index flipped", kind: tuf.Tampered, file: "index/", fresh: true, evil: edited("/index/", flipMiddle)},
	{name: "index longer", kind: tuf.Tampered, file: "index/", fresh: true, evil: edited("/index/", longer)},
	{name: "index shorter", kind: tuf.Tampered, file: "index/", fresh: true, evil: edited("/index/", half)},
	{name: "index endless", kind: tuf.Tampered, file: "index/", fresh: true, evil: on("/index/", endless)},
	{name: "index of the older state", kind: tuf.Tampered, file: "index/", fresh: true, evil: olderFile("index/*", "/index/")},
	{name: "index missing", kind: tuf.Unreachable, file: "index/", fresh: true, evil: on("/index/", status(404))},
	{name: "keyring of the attacker", kind: tuf.Tampered, file: "keyring/", fresh: true, evil: fixed("/keyring/", func(w *world) []byte {
		return repotest.Key(w.t).Public().Armored()
	})},
	{name: "new root by the attacker", kind: tuf.Unsigned, file: "2.root.json", evil: fixed("/2.root.json", func(w *world) []byte {
		m := parse(w, metadata.Root(), "metadata/1.root.json")
		m.Signed.Version = 2
		return signAs(w, m, attacker())
	})},
	{name: "new root with the attacker's keys", kind: tuf.Unsigned, file: "2.root.json", evil: fixed("/2.root.json", func(w *world) []byte {
		m := metadata.Root(w.now.AddDate(1, 0, 0))
		m.Signed.Version = 2
		key, _ := metadata.KeyFromPublicKey(attacker().Public())
		for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
			m.Signed.AddKey(key, role)
		}
		return signAs(w, m, attacker())
	})},
	{name: "new root skips a version", kind: tuf.RolledBack, file: "2.root.json", evil: fixed("/2.root.json", func(w *world) []byte {
		m := parse(w, metadata.Root(), "metadata/1.root.json")
		m.Signed.Version = 3
		return signAs(w, m, w.roleKey("root"))
	})},
	{name: "new root endless", kind: tuf.Unbounded, file: "2.root.json", evil: on("/2.root.json", endless)},
	{name: "ever new roots", kind: tuf.Tampered, file: "root.json", evil: on("root.json", func(rw http.ResponseWriter, _ *http.Request) { rw.Write([]byte("{}")) })},
}

// olderFile serves a file of the older state in the place of the present one.
func olderFile(glob, part string) func(*world, http.Handler) http.Handler {
	return func(w *world, good http.Handler) http.Handler {
		found, _ := filepath.Glob(filepath.Join(w.older, glob))
		if len(found) != 1 {
			w.t.Fatal(found)
		}
		return fixed(part, func(w *world) []byte { return read(w.t, found[0]) })(w, good)
	}
}

// packageAttacks are told from an honest answer by Fetch.
var packageAttacks = []attack{
	{name: "package flipped", kind: tuf.Tampered, file: "pool/", evil: edited("/pool/", flipMiddle)},
	{name: "package longer", kind: tuf.Tampered, file: "pool/", evil: edited("/pool/", longer)},
	{name: "package shorter", kind: tuf.Tampered, file: "pool/", evil: edited("/pool/", half)},
	{name: "package endless", kind: tuf.Tampered, file: "pool/", evil: on("/pool/", endless)},
	{name: "package trickles", kind: tuf.Unreachable, file: "pool/", evil: on("/pool/", trickle)},
	{name: "package stalls", kind: tuf.Unreachable, file: "pool/", evil: on("/pool/", stall)},
	{name: "package cut off", kind: tuf.Unreachable, file: "pool/", evil: cutOff("/pool/")},
	{name: "package missing", kind: tuf.Unreachable, file: "pool/", evil: on("/pool/", status(404))},
	{name: "another package", kind: tuf.Tampered, file: "pool/", evil: func(w *world, good http.Handler) http.Handler {
		found, _ := filepath.Glob(filepath.Join(w.dir, "pool/z/zlib/*"))
		return fixed("/pool/", func(w *world) []byte { return read(w.t, found[0]) })(w, good)
	}},
	{name: "login page", kind: tuf.Tampered, file: "pool/", evil: on("/pool/", status(200))},
}

func (a attack) handler(w *world, older string) http.Handler {
	w.t.Helper()
	dir := w.dir
	if a.evil == nil {
		dir = older
	}
	good, err := serve.New(dir, serve.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { good.Close() })
	if a.evil == nil {
		return good
	}
	return a.evil(w, good)
}

func TestHostileMirror(t *testing.T) {
	all, older := newWorld(t)
	for _, a := range append(append([]attack{}, refreshAttacks...), packageAttacks...) {
		for _, withGood := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/good mirror %v", a.name, withGood), func(t *testing.T) {
				t.Parallel()
				w := all.newcomer(t)
				good := w.serve(w.dir)
				if !a.fresh {
					if _, err := w.client(good).Refresh(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				evil := w.serveHandler(a.handler(w, older))
				if withGood {
					w.mustWork(w.client(evil, good))
					w.blamed(a, evil)
					return
				}
				before := w.state()
				start := time.Now()
				c := w.client(evil)
				_, err := c.Refresh(t.Context())
				if err == nil && strings.HasPrefix(a.file, "pool/") {
					before = w.state()
					_, err = c.Fetch(t.Context(), w.entry(c, "bash"), nil)
				}
				w.refused(a, evil, err)
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("took %v", took)
				}
				// What verified on the way may be kept; going back never.
				if !a.fresh && w.state() != before {
					t.Error("the remembered state changed")
				}
				if total := w.cacheBytes(); total > 2<<20 {
					t.Errorf("%d bytes in the cache", total)
				}
				w.mustWork(w.client(good))
			})
		}
	}
}

// refused proves that an error says what a user needs to know.
func (w *world) refused(a attack, url string, err error) {
	w.t.Helper()
	if err == nil {
		w.t.Fatal("accepted")
	}
	var m *client.MirrorError
	if !errors.As(err, &m) {
		w.t.Fatalf("%T: %v", err, err)
	}
	if m.Kind != a.kind {
		w.t.Errorf("kind %q instead of %q: %v", m.Kind, a.kind, err)
	}
	if fault.ClassOf(err) != a.kind.Class() {
		w.t.Errorf("class %d: %v", fault.ClassOf(err), err)
	}
	for _, part := range []string{url, a.file, string(a.kind), "repository test"} {
		if !strings.Contains(err.Error(), part) {
			w.t.Errorf("%q is not in %q", part, err)
		}
	}
	if strings.ContainsAny(err.Error(), "\x1b\x00") || len(err.Error()) > 1000 {
		w.t.Errorf("not fit for a terminal: %.2000q", err)
	}
	if len(fault.Hints(err)) == 0 {
		w.t.Error("no hint")
	}
}

// blamed proves that the bad mirror was named, once.
func (w *world) blamed(a attack, url string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.warned) != 1 || !strings.Contains(w.warned[0].Error(), url) || !strings.Contains(w.warned[0].Error(), string(a.kind)) {
		w.t.Errorf("warnings: %v", w.warned)
	}
}

// TestFreeze: a mirror that shows an old state for ever is believed until that
// expires, and no longer.
func TestFreeze(t *testing.T) {
	w, _ := newWorld(t)
	frozen := w.serve(w.copyRepo())
	w.mustWork(w.client(frozen))
	w.now = w.now.AddDate(0, 0, 13)
	w.mustWork(w.client(frozen))
	w.now = w.now.AddDate(0, 0, 2)
	_, err := w.client(frozen).Refresh(t.Context())
	w.refused(attack{kind: tuf.Stale, file: timestampPart}, frozen, err)
	if _, err := w.repo.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.mustWork(w.client(frozen, w.serve(w.dir)))
}

// TestRollbackRemembered: after the newer state was seen from one mirror,
// another cannot show the older one, in this run or a later one.
func TestRollbackRemembered(t *testing.T) {
	w, older := newWorld(t)
	old := w.serve(older)
	if _, err := w.client(old).Refresh(t.Context()); err != nil {
		t.Fatalf("the older state is fine for one who knows no newer: %v", err)
	}
	w.mustWork(w.client(w.serve(w.dir)))
	_, err := w.client(old).Refresh(t.Context())
	w.refused(attack{kind: tuf.RolledBack, file: timestampPart}, old, err)
}

// TestStolenOnlineKeys: whoever has the timestamp and snapshot keys cannot make
// clients take a package that the targets key did not sign.
func TestStolenOnlineKeys(t *testing.T) {
	w, _ := newWorld(t)
	m := parse(w, metadata.Timestamp(), repo.TimestampPath)
	snapshotPath := repo.MetadataPath("snapshot", m.Signed.Meta["snapshot.json"].Version)
	s := parse(w, metadata.Snapshot(), snapshotPath)
	targetsPath := repo.MetadataPath("targets", s.Signed.Meta["targets.json"].Version)
	targets := parse(w, metadata.Targets(), targetsPath)
	targets.Signed.Version++
	delete(targets.Signed.Targets, repo.IndexTarget("stable", "x86_64"))
	forged := signAs(w, targets, w.roleKey("snapshot"))
	write(t, filepath.Join(w.dir, repo.MetadataPath("targets", targets.Signed.Version)), forged)
	snapshot := resign(w, snapshotPath, metadata.Snapshot(), func(s *metadata.SnapshotType) {
		s.Meta["targets.json"] = &metadata.MetaFiles{Version: targets.Signed.Version}
	})
	resign(w, repo.TimestampPath, metadata.Timestamp(), func(s *metadata.TimestampType) {
		s.Version++
		s.Meta["snapshot.json"] = &metadata.MetaFiles{Version: s.Meta["snapshot.json"].Version, Length: int64(len(snapshot))}
	})
	url := w.serve(w.dir)
	_, err := w.client(url).Refresh(t.Context())
	w.refused(attack{kind: tuf.Unsigned, file: path.Base(repo.MetadataPath("targets", targets.Signed.Version))}, url, err)
}

// TestRootRotation: new keys for every role, ten times over, are followed in
// one refresh; and a counter that a thief pushed up is forgotten with the key.
func TestRootRotation(t *testing.T) {
	w, _ := newWorld(t)
	url := w.serve(w.dir)
	w.mustWork(w.client(url))
	resign(w, repo.TimestampPath, metadata.Timestamp(), func(s *metadata.TimestampType) { s.Version = tuf.MaxVersion })
	w.mustWork(w.client(url))

	signer := w.roleKey("root")
	var fresh ed25519.PrivateKey
	for v := int64(2); v <= 11; v++ {
		fresh = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(v)}, 32))
		key, err := metadata.KeyFromPublicKey(fresh.Public())
		if err != nil {
			t.Fatal(err)
		}
		next := metadata.Root(w.now.AddDate(1, 0, 0))
		next.Signed.Version = v
		for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
			if err := next.Signed.AddKey(key, role); err != nil {
				t.Fatal(err)
			}
		}
		write(t, filepath.Join(w.dir, repo.MetadataPath("root", v)), signAs(w, next, signer, fresh))
		signer = fresh
	}
	// The same state again under the new key, with honest counters.
	ts := parse(w, metadata.Timestamp(), repo.TimestampPath)
	snapshotPath := repo.MetadataPath("snapshot", ts.Signed.Meta["snapshot.json"].Version)
	sn := parse(w, metadata.Snapshot(), snapshotPath)
	targetsPath := repo.MetadataPath("targets", sn.Signed.Meta["targets.json"].Version)
	write(t, filepath.Join(w.dir, targetsPath), signAs(w, parse(w, metadata.Targets(), targetsPath), fresh))
	sn.Signed.Meta["targets.json"] = &metadata.MetaFiles{Version: sn.Signed.Meta["targets.json"].Version}
	write(t, filepath.Join(w.dir, snapshotPath), signAs(w, sn, fresh))
	ts.Signed.Version = 5
	ts.Signed.Meta["snapshot.json"] = &metadata.MetaFiles{Version: ts.Signed.Meta["snapshot.json"].Version}
	write(t, filepath.Join(w.dir, repo.TimestampPath), signAs(w, ts, fresh))
	w.mustWork(w.client(url))
	w.mustWork(w.client(url))
}

// TestHalfSyncedMirror: a mirror that has the new timestamp but not yet the
// rest does not make a complete mirror that is one step behind look bad.
func TestHalfSyncedMirror(t *testing.T) {
	w, older := newWorld(t)
	behind := w.serve(older)
	if _, err := w.client(behind).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	good, err := serve.New(w.dir, serve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	halfSynced := w.serveHandler(on("snapshot.json", status(404))(w, good))
	c := w.client(halfSynced, behind)
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.entry(c, "zlib")
}

// TestSlowButLegal: a mirror above the minimum rate is used.
func TestSlowButLegal(t *testing.T) {
	w, _ := newWorld(t)
	good, err := serve.New(w.dir, serve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	url := w.serveHandler(on("timestamp.json", func(rw http.ResponseWriter, req *http.Request) {
		rec := httptest.NewRecorder()
		good.ServeHTTP(rec, req)
		for piece := range slices.Chunk(rec.Body.Bytes(), 16) {
			rw.Write(piece)
			rw.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})(w, good))
	w.mustWork(w.client(url))
}
