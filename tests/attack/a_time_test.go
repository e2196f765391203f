package attack

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ashlar/repo"
	"ashlar/repo/trust"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// timeAttacks are those with old states and with several states at once. The
// clock of the program is the machine's: what lies in its past or future is what
// is signed.
var timeAttacks = []attack{
	{id: 9, name: "same version, other bytes", mirrors: func(w *world) []evil {
		other := w.open(w.seen)
		other.ts.Signed.UnrecognizedFields[repo.PublishedField] = time.Now().Add(-3 * time.Hour).UTC().Format(time.RFC3339)
		other.signTimestamp()
		return []evil{{name: "the version that was seen", kind: contradictory, file: ts, dir: other.dir}}
	}},
	{id: 10, name: "freeze inside validity", run: frozen},
	{id: 11, name: "freeze past expiry", mirrors: func(w *world) []evil {
		past := func(f *forger) { f.ts.Signed.Expires = time.Now().Add(-time.Hour) }
		snapshot := func(f *forger) { f.sn.Signed.Expires = time.Now().Add(-time.Hour) }
		targets := func(f *forger) { f.tg.Signed.Expires = time.Now().Add(-time.Hour) }
		var all []evil
		later := w.forge(w.present, func(f *forger) { f.ts.Signed.Version += 9 })
		for file, change := range map[string]func(*forger){ts: past, "snapshot.json": snapshot, "targets.json": targets} {
			dir := w.forge(w.seen, func(f *forger) {
				f.ts.Signed.Version += int64(len(all)) + 1
				change(f)
			})
			w.vouch(dir)
			all = append(all, evil{name: "expired " + file, kind: expired, file: file, says: "expired on", dir: dir, later: later})
		}
		w.vouch(later)
		return all
	}, run: expiredCache},
	{id: 12, name: "equivocation", run: equivocation},
	{id: 26, name: "expired root", run: expiredRoot},
	{id: 38, name: "cleared memory, replay", run: clearedMemory},
}

// frozen: a mirror shows the state that was seen for ever. It is believed until
// that expires, but not without a word, and not if another mirror has a newer one.
func frozen(w *world, behind bool) {
	w.settings = append([]string{"warn_after: 1"}, impatient...)
	stuck := w.open(w.seen)
	stuck.ts.Signed.Version++
	stuck.ts.Signed.UnrecognizedFields[repo.PublishedField] = time.Now().Add(-50 * time.Hour).UTC().Format(time.RFC3339)
	stuck.signTimestamp()
	dir := w.forge(w.present, func(f *forger) { f.ts.Signed.Version++ })
	w.vouch(stuck.dir)
	w.vouch(dir)
	evilURL, goodURL := w.good(stuck.dir), w.good(dir)
	e := evil{name: "frozen", kind: old, file: ts, says: "2 days"}
	if behind {
		w.define(evilURL, goodURL)
		r := w.pkgtool("install", "--yes", "app")
		w.ended(r, done)
		w.named(r, evilURL, e)
		w.installed()
		return
	}
	w.define(evilURL)
	r := w.pkgtool("refresh")
	w.ended(r, done)
	w.named(r, evilURL, e)
	w.ended(w.pkgtool("remote", "list"), done, "2 days ago")
	w.define(goodURL)
	r = w.pkgtool("install", "--yes", "app")
	w.ended(r, done)
	if lines := linesWith(r.stderr, goodURL); len(lines) > 0 {
		w.t.Errorf("warned of %q", lines)
	}
	w.installed()
}

// remember makes the system remember a state, as if it had been refreshed then.
func (w *world) remember(dir string) {
	w.t.Helper()
	f := w.open(dir)
	s := trust.State{Format: 1, Pin: sum(w.pinned), Root: w.pinned, Timestamp: f.read(repo.TimestampPath), Snapshot: f.read(f.snapshotPath()), Targets: f.read(f.targetsPath())}
	data, err := json.Marshal(s)
	w.must(err)
	w.write(w.in("var/lib/pkgtool/repositories/test/trusted.json"), data)
	for name, t := range f.tg.Signed.Targets {
		hash := hex.EncodeToString(t.Hashes["sha256"])
		data := f.read(repo.TargetPath(name, hash))
		w.write(w.in("var/cache/pkgtool/objects/"+hash), data)
	}
	w.vouch(dir)
}

// expiredCache: what the system saw last has expired, and no mirror has better.
// What needs no repository goes on, and a person can insist.
func expiredCache(w *world, behind bool) {
	dir := w.forge(w.present, func(f *forger) {
		f.ts.Signed.UnrecognizedFields[repo.PublishedField] = time.Now().Add(-3 * time.Hour).UTC().Format(time.RFC3339)
		f.ts.Signed.Expires = time.Now().Add(-time.Hour)
	})
	w.remember(dir)
	w.define(w.good(dir))
	r := w.untouched(func() result { return w.pkgtool("install", "--yes", "--offline", "app") })
	w.ended(r, stale, "stale", ts, "expired on", "--allow-stale")
	w.ended(w.pkgtool("list"), done, "base")
	w.ended(w.pkgtool("info", "base"), done, "2.0.0")
	w.ended(w.pkgtool("search", "app"), done, "app", "stale")
	if behind {
		w.define(w.good(dir), w.good(w.forge(dir, func(f *forger) { f.ts.Signed.Expires = time.Now().Add(time.Hour) })))
		w.ended(w.pkgtool("install", "--yes", "app"), done)
	} else {
		r = w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
		w.ended(r, stale, "stale", ts)
		w.ended(w.pkgtool("install", "--yes", "--allow-stale", "app"), done, "stale")
	}
	w.installed()
	w.ended(w.pkgtool("remove", "--yes", "app"), done)
}

// equivocation: two validly signed contents of one version.
func equivocation(w *world, behind bool) {
	one := w.forge(w.seen, func(f *forger) { f.ts.Signed.Version += 4 })
	two := w.forge(w.seen, func(f *forger) {
		f.ts.Signed.Version += 4
		f.ts.Signed.Expires = f.ts.Signed.Expires.Add(time.Hour)
	})
	broken := evil{name: "the one view, and no index", kind: unreachable, file: "snapshot.json", dir: one, rules: at("snapshot.json", status(404))}
	second := evil{name: "the other view", kind: contradictory, file: ts, dir: two}
	w.vouch(one)
	w.vouch(two)
	urls := w.place([]evil{broken, second})
	known := w.remembered()
	if behind {
		w.define(urls[0], urls[1], w.good(w.present))
		r := w.pkgtool("install", "--yes", "app")
		w.ended(r, done)
		w.named(r, urls[0], broken)
		w.named(r, urls[1], second)
		w.installed()
	} else {
		w.define(urls...)
		r := w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
		w.ended(r, refused)
		w.named(r, urls[0], broken)
		w.named(r, urls[1], second)
		if !bytes.Equal(w.remembered().Timestamp, known.Timestamp) {
			w.t.Error("one of two views was remembered")
		}
	}
	// Both are kept as evidence.
	kept, _ := filepath.Glob(w.in("var/lib/pkgtool/repositories/test/evidence/*.json"))
	if len(kept) != 2 {
		w.t.Fatalf("evidence: %q", kept)
	}
	for _, k := range kept {
		if data := w.read(k); !bytes.Equal(data, w.file(one, repo.TimestampPath)) && !bytes.Equal(data, w.file(two, repo.TimestampPath)) {
			w.t.Errorf("%s is neither of the two", k)
		}
	}
	// Over time: a version that was seen stays what it was.
	w.fresh()
	w.define(w.good(one))
	w.ended(w.pkgtool("refresh"), done)
	url := w.good(two)
	w.define(url)
	r := w.untouched(func() result { return w.pkgtool("refresh") })
	w.ended(r, refused)
	w.named(r, url, second)
	w.define(w.good(w.forge(w.present, func(f *forger) { f.ts.Signed.Version += 9 })))
	w.ended(w.pkgtool("install", "--yes", "app"), done)
	w.installed()
}

// expiredRoot: that the pinned root has expired is no reason to refuse a chain
// that leads on from it. That the last one has is one.
func expiredRoot(w *world, behind bool) {
	past := time.Now().Add(-24 * time.Hour)
	key := []ed25519.PrivateKey{w.roles[metadata.ROOT]}
	f := w.open(w.present)
	expire := func(m *metadata.Metadata[metadata.RootType]) { m.Signed.Expires = past }
	pinned := f.root(1, key, expire)
	f.root(2, key, nil)
	w.vouch(f.dir)
	ended := w.open(w.present)
	ended.root(1, key, expire)
	w.vouch(ended.dir)

	w.pin(pinned)
	e := evil{name: "no newer root", kind: expired, file: "1.root.json", says: "expired on"}
	url := w.good(ended.dir)
	if behind {
		w.define(url, w.good(f.dir))
		r := w.pkgtool("install", "--yes", "app")
		w.ended(r, done)
		w.named(r, url, e)
		w.installed()
		return
	}
	w.define(url)
	r := w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
	w.ended(r, stale)
	w.named(r, url, e)
	w.define(w.good(f.dir))
	w.ended(w.pkgtool("install", "--yes", "app"), done)
	w.installed()
}

// clearedMemory: who loses all that was seen believes an old state again, but
// none before the one that came with the trusted root.
func clearedMemory(w *world, behind bool) {
	forget := func() {
		for _, dir := range []string{"var/cache/pkgtool", "var/lib/pkgtool/repositories"} {
			w.must(os.RemoveAll(w.in(dir)))
			w.must(os.MkdirAll(w.in(dir), 0o755))
		}
	}
	w.write(w.in("etc/pkgtool/trust/test/timestamp.json"), w.file(w.seen, repo.TimestampPath))
	forget()
	e := evil{name: "before the floor", kind: rolledBack, file: ts, dir: w.older}
	url := w.good(w.older)
	if behind {
		w.define(url, w.good(w.present))
		r := w.pkgtool("install", "--yes", "app")
		w.ended(r, done)
		w.named(r, url, e)
		w.installed()
		return
	}
	w.define(url)
	r := w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
	w.ended(r, refused)
	w.named(r, url, e)
	// The cache alone holds no memory: without it, the memory is still there.
	w.must(os.Remove(w.in("etc/pkgtool/trust/test/timestamp.json")))
	w.define(w.good(w.present))
	w.ended(w.pkgtool("refresh"), done)
	w.must(os.RemoveAll(w.in("var/cache/pkgtool")))
	w.define(url)
	w.ended(w.pkgtool("refresh"), refused, rolledBack)
	// A floor that the root does not vouch for is no floor, and no door.
	w.write(w.in("etc/pkgtool/trust/test/timestamp.json"), w.stolen(func(s *metadata.TimestampType) { s.Version = 1 << 39 }, newKey(3)))
	forget()
	w.define(w.good(w.present))
	r = w.pkgtool("install", "--yes", "app")
	if r.code != done && !strings.Contains(r.stderr, "etc/pkgtool/trust/test/timestamp.json") {
		w.t.Errorf("%s", r)
	}
}
