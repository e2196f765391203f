package attack

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/pkgfile"
	"ashlar/repo"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// keyAttacks are those with stolen, replaced and removed keys.
var keyAttacks = []attack{
	{id: 14, name: "fast forward", mirrors: func(w *world) (all []evil) {
		// The key is stolen: the signature is right over what could be signed at all.
		for _, version := range []string{"9223372036854775807", "18446744073709551615", "-1", "0", "1.5", `"7"`, "1e30", fmt.Sprint(int64(1)<<40 + 1)} {
			data := w.stolen(nil)
			was := fmt.Sprintf(`"version":%d}`, versionOf(data))
			all = append(all, evil{name: "version " + version, kind: anySecurity, file: ts, rules: at(ts, fixed(bytes.ReplaceAll(data, []byte(was), []byte(`"version":`+version+`}`))))})
		}
		return all
	}, run: poisonedCounter},
	{id: 23, name: "online keys stolen", mirrors: func(w *world) []evil {
		// With the timestamp and snapshot keys: targets by who has them, with another index.
		forged := w.forge(w.present, func(f *forger) {
			f.keys[metadata.TARGETS] = []ed25519.PrivateKey{w.roles[metadata.SNAPSHOT]}
			f.text(func(d []byte) []byte {
				return bytes.ReplaceAll(d, []byte("the app package"), []byte("our app package"))
			})
		})
		w.vouch(forged)
		// With the timestamp key alone: a snapshot by who has that.
		snapshot := w.forge(w.present, func(f *forger) {
			f.keys[metadata.SNAPSHOT] = []ed25519.PrivateKey{w.roles[metadata.TIMESTAMP]}
		})
		w.vouch(snapshot)
		// With the targets key alone: new targets that no snapshot names.
		targets := w.forge(w.present, func(f *forger) {
			f.text(func(d []byte) []byte {
				return bytes.ReplaceAll(d, []byte("the app package"), []byte("our app package"))
			})
		})
		// With a packager's key alone: another app at the path of this one.
		// They can push counters on: the next state of the publisher is what repairs that.
		later := w.forge(w.present, func(f *forger) { f.ts.Signed.Version++; f.sn.Signed.Version++; f.tg.Signed.Version++ })
		return []evil{
			{name: "targets signed by the snapshot key", kind: unsigned, file: "targets.json", dir: forged, later: later},
			{name: "snapshot signed by the timestamp key", kind: unsigned, file: "snapshot.json", dir: snapshot, later: later},
			{name: "targets that no snapshot names", kind: tampered, file: "targets.json", rules: at("targets.json", fixed(w.file(targets, "metadata/*.targets.json")))},
			{name: "a package that no index names", kind: tampered, file: "pool/", rules: at("pool/", fixed(w.otherApp()))},
		}
	}},
	{id: 24, name: "root rotation", mirrors: rotations, run: tenRotations},
	{id: 25, name: "revoked packager", mirrors: func(w *world) []evil {
		return []evil{{name: "a keyring with the removed key", kind: tampered, file: "keyring/", rules: at("keyring/", fixed(w.stranger.Public().Armored()))}}
	}, run: revokedPackager},
	{id: 37, name: "bootstrap", run: bootstrap},
}

// otherApp is another build of the present app, which the trusted packager signed.
func (w *world) otherApp() []byte {
	w.t.Helper()
	path, err := w.pack("app-1.0.0-1", w.packager, func(m *pkgfile.Manifest) { m.Summary = "not what was published" })
	w.must(err)
	return w.read(path)
}

// poisonedCounter: with the timestamp key somebody pushes the counter as far as
// it goes. New keys in the root bring it down again.
func poisonedCounter(w *world, behind bool) {
	poisoned := w.forge(w.present, func(f *forger) { f.ts.Signed.Version = 1 << 40 })
	w.vouch(poisoned)
	w.defineWith(behind, w.good(poisoned))
	w.ended(w.pkgtool("refresh"), done)
	good := w.good(w.present)
	w.define(good)
	r := w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
	w.ended(r, refused)
	w.named(r, good, evil{name: "the honest counter", kind: rolledBack, file: ts})

	rotated := w.forge(w.present, func(f *forger) {
		fresh := newKey(21)
		f.root(2, []ed25519.PrivateKey{w.roles[metadata.ROOT]}, func(m *metadata.Metadata[metadata.RootType]) {
			f.rekey(m, metadata.TIMESTAMP, 1, fresh)
		})
		f.keys[metadata.TIMESTAMP] = []ed25519.PrivateKey{fresh}
	})
	w.define(w.good(rotated))
	w.ended(w.pkgtool("install", "--yes", "app"), done)
	w.installed()
}

// thresholdOfTwo: a role that needs two keys gets two signatures of one.
func thresholdOfTwo(w *world, behind bool) {
	one, two := newKey(31), newKey(32)
	good := w.forge(w.present, func(f *forger) {
		f.root(2, []ed25519.PrivateKey{w.roles[metadata.ROOT]}, func(m *metadata.Metadata[metadata.RootType]) {
			f.rekey(m, metadata.TIMESTAMP, 2, one, two)
		})
		f.keys[metadata.TIMESTAMP] = []ed25519.PrivateKey{one, two}
	})
	w.vouch(good)
	m := parse(w, metadata.Timestamp(), w.file(good, repo.TimestampPath))
	single := signed(w, m, one)
	signature := fmt.Sprintf(`{"keyid":%q,"sig":"%s"}`, m.Signatures[0].KeyID, m.Signatures[0].Signature)
	ids := parse(w, metadata.Root(), w.file(good, "metadata/2.root.json")).Signed.Roles[metadata.TIMESTAMP].KeyIDs
	other := ids[slices.IndexFunc(ids, func(id string) bool { return id != m.Signatures[0].KeyID })]
	with := func(list ...string) []rule {
		return at(ts, fixed(withSignatures("["+strings.Join(list, ",")+"]")(bytes.Clone(single))))
	}
	group := []evil{
		{name: "one signature", kind: unsigned, file: ts, dir: good, rules: with(signature)},
		{name: "the same signature twice", kind: anySecurity, file: ts, dir: good, rules: with(signature, signature)},
		{name: "under another key's id", kind: unsigned, file: ts, dir: good, rules: with(signature, strings.Replace(signature, m.Signatures[0].KeyID, other, 1))},
		{name: "under its id in another case", kind: unsigned, file: ts, dir: good, rules: with(signature, strings.Replace(signature, m.Signatures[0].KeyID, strings.ToUpper(m.Signatures[0].KeyID), 1))},
	}
	urls := w.place(group)
	if behind {
		w.define(append(slices.Clone(urls), w.good(good))...)
		r := w.pkgtool("install", "--yes", "app")
		w.ended(r, done)
		for i, e := range group {
			w.named(r, urls[i], e)
		}
		w.installed()
		return
	}
	w.define(urls...)
	r := w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
	w.ended(r, refused)
	for i, e := range group {
		w.named(r, urls[i], e)
	}
	w.define(w.good(good))
	w.ended(w.pkgtool("install", "--yes", "app"), done)
	w.installed()
}

// rotations are roots that must not be followed.
func rotations(w *world) []evil {
	old, fresh, other := w.roles[metadata.ROOT], newKey(41), newKey(42)
	at2 := func(version int64, change func(f *forger, m *metadata.Metadata[metadata.RootType]), keys ...ed25519.PrivateKey) []rule {
		f := w.open(w.present)
		data := f.root(version, keys, func(m *metadata.Metadata[metadata.RootType]) {
			if change != nil {
				change(f, m)
			}
		})
		return at("/2.root.json", fixed(data))
	}
	rekeyed := func(f *forger, m *metadata.Metadata[metadata.RootType]) { f.rekey(m, metadata.ROOT, 1, fresh) }
	both := func(f *forger, m *metadata.Metadata[metadata.RootType]) { f.rekey(m, metadata.ROOT, 2, fresh, other) }
	gap := w.open(w.present)
	gap.root(2, []ed25519.PrivateKey{old, fresh}, func(m *metadata.Metadata[metadata.RootType]) { gap.rekey(m, metadata.ROOT, 1, fresh) })
	gap.root(4, []ed25519.PrivateKey{fresh, other}, func(m *metadata.Metadata[metadata.RootType]) {
		gap.rekey(m, metadata.ROOT, 1, other)
		gap.rekey(m, metadata.TIMESTAMP, 1, other)
	})
	gap.keys[metadata.TIMESTAMP] = []ed25519.PrivateKey{other}
	gap.signTimestamp()
	w.vouch(gap.dir)
	return []evil{
		{name: "signed by the old key only", kind: unsigned, file: "2.root.json", rules: at2(2, rekeyed, old)},
		{name: "signed by the new key only", kind: unsigned, file: "2.root.json", rules: at2(2, rekeyed, fresh)},
		{name: "signed by one new key of two", kind: unsigned, file: "2.root.json", rules: at2(2, both, old, fresh)},
		{name: "a version skipped", kind: rolledBack, file: "2.root.json", rules: at2(3, nil, old)},
		{name: "the same version again", kind: rolledBack, file: "2.root.json", rules: at2(1, nil, old)},
		{name: "a gap in the chain", kind: unsigned, file: ts, dir: gap.dir},
	}
}

// tenRotations: ten new roots are followed in one go; more than 64 are not.
func tenRotations(w *world, behind bool) {
	chain := func(last byte) string {
		return w.forge(w.present, func(f *forger) {
			signer := w.roles[metadata.ROOT]
			for v := byte(2); v <= last; v++ {
				fresh := newKey(100 + v)
				f.root(int64(v), []ed25519.PrivateKey{signer, fresh}, func(m *metadata.Metadata[metadata.RootType]) {
					for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
						f.rekey(m, role, 1, fresh)
					}
				})
				signer = fresh
			}
			for role := range f.keys {
				f.keys[role] = []ed25519.PrivateKey{signer}
			}
		})
	}
	ten, many := chain(11), chain(67)
	w.vouch(many)
	w.vouch(ten)
	e := evil{name: "66 roots", kind: unbounded, file: "root.json", says: "64", dir: many}
	urls := w.place([]evil{e})
	if behind {
		w.define(urls[0], w.good(ten))
		r := w.pkgtool("install", "--yes", "app")
		w.ended(r, done)
		w.named(r, urls[0], e)
		w.installed()
		return
	}
	w.define(urls...)
	r := w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
	w.ended(r, refused)
	w.named(r, urls[0], e)
	// It stopped at the 65th, which is as good as the first: 66 and 67 follow it.
	w.define(w.good(many))
	w.ended(w.pkgtool("install", "--yes", "app"), done)
	w.installed()
	w.fresh()
	w.define(w.good(ten))
	w.ended(w.pkgtool("install", "--yes", "app"), done)
	w.installed()
}

// revokedPackager: the keyring has the packager's key no more, the index still
// has its packages.
func revokedPackager(w *world, behind bool) {
	dir := w.forge(w.present, func(f *forger) { f.target(repo.KeyringTarget, w.stranger.Public().Armored()) })
	w.vouch(dir)
	w.defineWith(behind, w.good(dir))
	r := w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
	w.ended(r, refused, "not signed", "app-1.0.0-1")
	// What is installed already, and was signed by it, can be told.
	r = w.pkgtool("audit")
	if !strings.Contains(r.stdout+r.stderr, "base") {
		w.t.Errorf("the audit says nothing of base, which the removed key signed: %s", r)
	}
}

// bootstrap: a mirror that offers a key is not believed, with or without a person
// who could be asked, and a pinned root is not replaced.
func bootstrap(w *world, behind bool) {
	other := w.open(w.present)
	mine := newKey(77)
	for version := int64(1); version <= 2; version++ {
		other.root(version, []ed25519.PrivateKey{mine}, func(m *metadata.Metadata[metadata.RootType]) {
			for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
				other.rekey(m, role, 1, mine)
			}
		})
	}
	evilURL, goodURL := w.good(other.dir), w.good(w.present)
	urls := []string{evilURL}
	if behind {
		urls = append(urls, goodURL)
	}
	add := func(more ...string) result {
		return w.pkgtool(slices.Concat([]string{"remote", "add", "new"}, urls, more)...)
	}
	fingerprint := sum(w.firstRoot)
	w.untouched(func() result { // nobody can be asked
		r := add()
		w.ended(r, usage, "nothing says whom to trust")
		return r
	})
	if behind {
		r := add("--fingerprint", fingerprint)
		w.ended(r, done)
		if got := w.read(w.in("etc/pkgtool/trust/new/root.json")); !bytes.Equal(got, w.firstRoot) {
			w.t.Errorf("pinned %.100s", got)
		}
		w.ended(w.pkgtool("remote", "remove", "new"), done)
	} else {
		w.untouched(func() result {
			r := add("--fingerprint", fingerprint)
			w.ended(r, refused, "no root of the repository has the fingerprint")
			return r
		})
	}
	// The root is in the image; the mirror has another one under its name.
	w.define(urls...)
	if behind {
		r := w.pkgtool("install", "--yes", "app")
		w.ended(r, done)
		w.named(r, evilURL, evil{name: "another root", kind: unsigned, file: "2.root.json"})
	} else {
		r := w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
		w.ended(r, refused)
		w.named(r, evilURL, evil{name: "another root", kind: unsigned, file: "2.root.json"})
	}
}
