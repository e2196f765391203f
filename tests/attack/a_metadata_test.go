package attack

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ashlar/repo"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

const ts = "timestamp.json"

var attacks = slices.Concat(metadataAttacks, keyAttacks, timeAttacks, transportAttacks, packageAttacks, publisherAttacks)

// file is the only file of a state that fits a pattern, or the last of several.
func (w *world) file(state, pattern string) []byte {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(state, pattern))
	w.must(err)
	if len(found) == 0 {
		w.t.Fatalf("no %s in %s", pattern, state)
	}
	return w.read(found[len(found)-1])
}

// indexOf is the index of a state.
func (w *world) indexOf(state string) []byte { return w.open(state).index() }

// stolen is the present timestamp changed and signed, by its own key unless
// others are given.
func (w *world) stolen(change func(*metadata.TimestampType), keys ...ed25519.PrivateKey) []byte {
	w.t.Helper()
	m := parse(w, metadata.Timestamp(), w.file(w.present, repo.TimestampPath))
	if change != nil {
		change(&m.Signed)
	}
	if keys == nil {
		keys = []ed25519.PrivateKey{w.roles[metadata.TIMESTAMP]}
	}
	return signed(w, m, keys...)
}

// metadataAttacks are those on metadata by who has no key.
var metadataAttacks = []attack{
	{id: 2, name: "arbitrary metadata", mirrors: func(w *world) []evil {
		later := func(s *metadata.TimestampType) { s.Version++ }
		mine := w.stolen(later, newKey(66))
		var m, real struct {
			Signatures []struct{ KeyID string } `json:"signatures"`
		}
		w.must(json.Unmarshal(mine, &m))
		w.must(json.Unmarshal(w.file(w.present, repo.TimestampPath), &real))
		id := real.Signatures[0].KeyID
		short := id[:16] + m.Signatures[0].KeyID[16:]
		root := (&forger{w: w, dir: w.folder("root")}).root(2, []ed25519.PrivateKey{newKey(66)}, func(m *metadata.Metadata[metadata.RootType]) {
			for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
				(&forger{w: w}).rekey(m, role, 1, newKey(66))
			}
		})
		return []evil{
			{name: "an attacker's timestamp", kind: unsigned, file: ts, rules: at(ts, fixed(mine))},
			{name: "under the trusted key's id", kind: unsigned, file: ts, rules: at(ts, fixed(bytes.Replace(mine, []byte(m.Signatures[0].KeyID), []byte(id), 1)))},
			{name: "under the first 64 bits of that id", kind: unsigned, file: ts, rules: at(ts, fixed(bytes.Replace(mine, []byte(m.Signatures[0].KeyID), []byte(short), 1)))},
			{name: "one bit of it", kind: unsigned, file: ts, rules: at(ts, edited(replace(`"length":`, `"length":1`)))},
			{name: "an attacker's root", kind: unsigned, file: "2.root.json", rules: at("/2.root.json", fixed(root))},
			{name: "an attacker's snapshot", kind: tampered, file: "snapshot.json", rules: at("snapshot.json", edited(flip(0.5)))},
			{name: "an attacker's targets", kind: tampered, file: "targets.json", rules: at("targets.json", edited(flip(0.5)))},
			{name: "an attacker's index", kind: tampered, file: "index/", rules: at("index/", edited(flip(0.5)))},
		}
	}},
	{id: 3, name: "signature stripping", mirrors: func(w *world) []evil {
		return []evil{
			{name: "no signature", kind: unsigned, file: ts, rules: at(ts, edited(withSignatures("[]")))},
			{name: "signatures null", kind: tampered, file: ts, rules: at(ts, edited(withSignatures("null")))},
			{name: "an empty signature", kind: unsigned, file: ts, rules: at(ts, edited(withSignatures(`[{"keyid":"","sig":""}]`)))},
			{name: "no field", kind: unsigned, file: ts, rules: at(ts, edited(replace(`"signatures"`, `"signature"`)))},
			{name: "gone", kind: unreachable, file: ts, says: "404", rules: at(ts, status(404))},
			{name: "an empty file", kind: tampered, file: ts, rules: at(ts, fixed([]byte{}))},
			{name: "a package without signature", kind: tampered, file: "pool/", rules: at("pool/", edited(func(d []byte) []byte {
				return bytes.Replace(d, d[len(d)-40:], make([]byte, 40), 1)
			}))},
		}
	}, run: unsignedPackage},
	{id: 4, name: "signature transplant", mirrors: func(w *world) []evil {
		var of struct {
			Signatures json.RawMessage `json:"signatures"`
		}
		w.must(json.Unmarshal(w.file(w.present, "metadata/*.targets.json"), &of))
		other := w.forge(w.present, func(f *forger) {
			for role := range f.keys {
				f.keys[role] = []ed25519.PrivateKey{newKey(7)}
			}
		})
		return []evil{
			{name: "targets' signature on the timestamp", kind: unsigned, file: ts, rules: at(ts, edited(withSignatures(string(of.Signatures))))},
			{name: "signed with the targets key", kind: unsigned, file: ts, rules: at(ts, fixed(w.stolen(nil, w.roles[metadata.TARGETS])))},
			{name: "another repository", kind: unsigned, file: ts, dir: other},
			{name: "the index of another arch", kind: tampered, file: "index/", rules: at("stable.x86_64", fixed(w.file(w.present, "index/*.noarch.zst")))},
		}
	}, run: transplantedIndex},
	{id: 5, name: "rollback of the entry file", mirrors: func(w *world) []evil {
		return []evil{{name: "the state before", kind: rolledBack, file: ts, dir: w.older}}
	}, run: func(w *world, behind bool) {
		// Equal version, equal bytes: nothing to say.
		w.defineWith(behind, w.good(w.seen))
		known := w.remembered()
		r := w.pkgtool("refresh")
		w.ended(r, done)
		if r.stderr != "" || !bytes.Equal(known.Timestamp, w.remembered().Timestamp) {
			w.t.Errorf("not quiet: %s", r)
		}
	}},
	{id: 6, name: "rollback of an index", mirrors: func(w *world) []evil {
		return []evil{
			{name: "the index before", kind: tampered, file: "index/", rules: at("stable.x86_64", fixed(w.indexOf(w.seen)))},
			{name: "the first one", kind: tampered, file: "index/", rules: at("stable.x86_64", fixed(w.indexOf(w.older)))},
		}
	}},
	{id: 13, name: "mix and match", mirrors: func(w *world) []evil {
		return []evil{
			{name: "new timestamp, old snapshot", kind: tampered, file: "snapshot.json", rules: at("snapshot.json", fixed(w.file(w.seen, "metadata/*.snapshot.json")))},
			{name: "new snapshot, old targets", kind: tampered, file: "targets.json", rules: at("targets.json", fixed(w.file(w.seen, "metadata/*.targets.json")))},
			{name: "new targets, old index", kind: tampered, file: "index/", rules: at("stable.x86_64", fixed(w.indexOf(w.seen)))},
			{name: "old timestamp, new rest", kind: rolledBack, file: ts, rules: at(ts, fixed(w.file(w.older, repo.TimestampPath)))},
		}
	}},
	{id: 21, name: "threshold fakes", mirrors: func(w *world) []evil {
		var all []evil
		for name, change := range map[string]func(string) string{
			"threshold 0":   func(s string) string { return strings.ReplaceAll(s, `"threshold":1`, `"threshold":0`) },
			"threshold -1":  func(s string) string { return strings.ReplaceAll(s, `"threshold":1`, `"threshold":-1`) },
			`threshold "2"`: func(s string) string { return strings.ReplaceAll(s, `"threshold":1`, `"threshold":"2"`) },
			"threshold 1e9": func(s string) string { return strings.ReplaceAll(s, `"threshold":1`, `"threshold":1000000000`) },
			"threshold 2 of 1 key": func(s string) string {
				return strings.Replace(s, `"threshold":1`, `"threshold":2`, 1)
			},
		} {
			data := w.resigned(change)
			all = append(all, evil{name: name, file: "2.root.json", rules: at("/2.root.json", fixed(data)), kind: ""})
			all[len(all)-1].kind = anySecurity
		}
		return all
	}, run: thresholdOfTwo},
	{id: 22, name: "invalid extra signature", mirrors: func(w *world) []evil {
		return []evil{
			{name: "of an unknown key", rules: at(ts, edited(replace(`"signatures":[`, `"signatures":[{"keyid":"`+strings.Repeat("ab", 32)+`","sig":"`+strings.Repeat("cd", 64)+`"},`)))},
			{name: "and white space", rules: at(ts, edited(func(d []byte) []byte { return append(d, "  \n"...) }))},
			{name: "of no key at all", rules: at(ts, edited(replace(`"signatures":[`, `"signatures":[{"keyid":"nonsense","sig":"00"},`)))},
		}
	}},
	{id: 27, name: "role confusion", mirrors: func(w *world) []evil {
		one := func(pattern string) answer { return fixed(w.file(w.present, pattern)) }
		return []evil{
			{name: "snapshot as timestamp", kind: tampered, file: ts, says: "expected timestamp", rules: at(ts, one("metadata/*.snapshot.json"))},
			{name: "root as timestamp", kind: tampered, file: ts, says: "expected timestamp", rules: at(ts, fixed(w.firstRoot))},
			{name: "targets as timestamp", kind: tampered, file: ts, says: "expected timestamp", rules: at(ts, one("metadata/*.targets.json"))},
			{name: "index as timestamp", kind: tampered, file: ts, rules: at(ts, fixed(w.indexOf(w.present)))},
			{name: "package as timestamp", kind: unbounded, file: ts, rules: at(ts, one("pool/a/app/*"))},
			{name: "snapshot as root", kind: tampered, file: "2.root.json", says: "expected root", rules: at("/2.root.json", one("metadata/*.snapshot.json"))},
			{name: "targets as root", kind: tampered, file: "2.root.json", says: "expected root", rules: at("/2.root.json", one("metadata/*.targets.json"))},
			{name: "timestamp as snapshot", kind: tampered, file: "snapshot.json", rules: at("snapshot.json", one("metadata/timestamp.json"))},
			{name: "keyring as index", kind: tampered, file: "index/", rules: at("stable.x86_64", one("keyring/*"))},
			{name: "index as package", kind: tampered, file: "pool/", rules: at("pool/", fixed(w.indexOf(w.present)))},
		}
	}},
	{id: 29, name: "malformed metadata", mirrors: malformed},
	{id: 36, name: "mirror lists", run: noMirrorLists},
	{id: 39, name: "proxy skew", mirrors: func(w *world) []evil {
		// A cache that keeps files apart has the old content of one until it is told to ask again.
		skewed := func(part string, old []byte) []rule {
			return at(part, func(x *exchange) {
				if strings.Contains(x.req.Header.Get("Cache-Control"), "no-cache") {
					honest(x)
					return
				}
				give(x, old)
			})
		}
		once := func(part string, old []byte) []rule {
			return at(part, func(x *exchange) {
				if x.number > 2 {
					w.t.Errorf("%s was asked for %d times", x.path, x.number)
				}
				give(x, old)
			})
		}
		return []evil{
			{name: "old snapshot from a cache", rules: skewed("snapshot.json", w.file(w.seen, "metadata/*.snapshot.json"))},
			{name: "old targets from a cache", rules: skewed("targets.json", w.file(w.seen, "metadata/*.targets.json"))},
			{name: "old index from a cache", rules: skewed("stable.x86_64", w.indexOf(w.seen))},
			{name: "absence from a cache", rules: skewed("snapshot.json", nil)},
			{name: "old timestamp from a cache", rules: skewed(ts, w.file(w.older, repo.TimestampPath))},
			{name: "an old snapshot for ever", kind: tampered, file: "snapshot.json", rules: once("snapshot.json", w.file(w.seen, "metadata/*.snapshot.json"))},
		}
	}},
	{id: 40, name: "cached delegation", run: noDelegations},
}

// withSignatures puts others in the place of the signatures.
func withSignatures(signatures string) func([]byte) []byte {
	return func(d []byte) []byte {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(d, &m); err != nil {
			panic(err)
		}
		return fmt.Appendf(nil, `{"signatures":%s,"signed":%s}`, signatures, m["signed"])
	}
}

// defineWith makes the system use a mirror, and a good one behind it.
func (w *world) defineWith(behind bool, urls ...string) {
	w.t.Helper()
	if behind {
		urls = append(urls, w.good(w.present))
	}
	w.define(urls...)
}

// resigned is root metadata, version 2, whose text is changed, signed with the
// genuine root key over the changed text.
func (w *world) resigned(change func(string) string) []byte {
	w.t.Helper()
	var m struct {
		Signed json.RawMessage `json:"signed"`
	}
	first := parse(w, metadata.Root(), w.firstRoot)
	first.Signed.Version = 2
	data, err := first.ToBytes(false)
	w.must(err)
	w.must(json.Unmarshal(data, &m))
	var tree any
	text := change(string(m.Signed))
	w.must(json.Unmarshal([]byte(text), &tree))
	canonical := canonicalJSON(tree)
	key := w.roles[metadata.ROOT]
	public, err := metadata.KeyFromPublicKey(key.Public())
	w.must(err)
	id, err := public.ID()
	w.must(err)
	return fmt.Appendf(nil, `{"signatures":[{"keyid":%q,"sig":"%x"}],"signed":%s}`, id, ed25519.Sign(key, canonical), canonical)
}

// canonicalJSON is the form that TUF signs: sorted keys, no white space.
func canonicalJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.ReplaceAll(bytes.TrimSpace(b.Bytes()), []byte("1e+09"), []byte("1000000000"))
}

// malformed are timestamps with something else at every node, and in other ways
// no JSON that anybody meant.
func malformed(w *world) (all []evil) {
	good := w.file(w.present, repo.TimestampPath)
	add := func(name string, data []byte) {
		all = append(all, evil{name: name, kind: anySecurity, file: ts, rules: at(ts, fixed(data))})
	}
	var tree map[string]any
	w.must(json.Unmarshal(good, &tree))
	var walk func(path string, node any, set func(any))
	walk = func(path string, node any, set func(any)) {
		for name, other := range map[string]any{"null": nil, "array": []any{}, "number": 7, "text": "x", "object": map[string]any{}} {
			if fmt.Sprintf("%T", other) == fmt.Sprintf("%T", node) {
				continue
			}
			set(other)
			data, err := json.Marshal(tree)
			w.must(err)
			add(path+" "+name, data)
			set(node)
		}
		switch n := node.(type) {
		case map[string]any:
			for _, k := range sortedKeys(n) {
				walk(path+"."+k, n[k], func(v any) { n[k] = v })
			}
		case []any:
			for i := range n {
				walk(fmt.Sprintf("%s[%d]", path, i), n[i], func(v any) { n[i] = v })
			}
		}
	}
	for _, k := range sortedKeys(tree) {
		walk(k, tree[k], func(v any) { tree[k] = v })
	}
	if len(all) > 50 { // an even sample of them, so that one command suffices
		var some []evil
		for i := range 50 {
			some = append(some, all[i*len(all)/50])
		}
		all = some
	}
	add("nested deeply", bytes.Repeat([]byte("["), 8000))
	add("a key twice", replace(`"version":`, `"version":7,"version":`)(bytes.Clone(good)))
	add("a key in another case", replace(`"version":`, `"Version":99999999999,"version":`)(bytes.Clone(good)))
	add("data behind it", append(bytes.Clone(good), "{}"...))
	add("cut off", good[:len(good)-9])
	add("control characters", []byte(`{"signed":{"_type":"\u001b[31mtimestamp\u0007"},"signatures":[]}`))
	hostile := `{"keyid":"\u001b[2J\u0007","sig":"00"}` // the library quotes it as it is
	add("a key id for terminals, twice", withSignatures("["+hostile+","+hostile+"]")(bytes.Clone(good)))
	add("no UTF-8", []byte("{\"signed\":{\"_type\":\"\xff\xfe\x1b[2J\"}}"))
	add("a number without end", []byte("1"+strings.Repeat("0", 9000)))
	return all
}

func sortedKeys(m map[string]any) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// noMirrorLists: there is no list of mirrors that somebody else could write. What
// a mirror says of others is not asked for and not followed, and the definition's
// own list is bounded.
func noMirrorLists(w *world, behind bool) {
	trap := &mirror{dir: w.present}
	url := w.serve(trap)
	m := &mirror{dir: w.present, rules: []rule{
		{"mirror", endless}, {"metalink", endless},
		{"", func(x *exchange) {
			x.Header().Set("Link", "<"+url+">; rel=duplicate; pri=1")
			x.Header().Set("Alt-Svc", `h2="`+strings.TrimPrefix(url, w.scheme()+"://")+`"; ma=3600`)
			x.Header().Set("Refresh", "0; url="+url)
			honest(x)
		}},
	}}
	w.defineWith(behind, w.serve(m))
	w.ended(w.pkgtool("install", "--yes", "app"), done)
	w.installed()
	for _, path := range m.requests() {
		if dir, _, _ := strings.Cut(path, "/"); !slices.Contains([]string{"metadata", "keyring", "index", "advisories", "pool"}, dir) {
			w.t.Errorf("asked for %s", path)
		}
	}
	if asked := trap.requests(); len(asked) > 0 {
		w.t.Errorf("followed what a mirror said, to %q", asked)
	}
	long := slices.Repeat([]string{url}, 20_000) // a million is more than a definition may have bytes
	for name, urls := range map[string][]string{"a long list": long, "another scheme": {"gopher://example.org/"}, "control characters": {"http://example.org/\x1b[31m"}} {
		w.define(urls...)
		r := w.untouched(func() result { return w.pkgtool("refresh") })
		if r.code != usage {
			w.t.Errorf("%s: %s", name, r)
		}
	}
	w.define(w.good(w.present))
	w.ended(w.pkgtool("refresh"), done)
}

// noDelegations: version 1 of the format has none, so no role can be cached under
// one delegator and used under another. Targets that delegate are read as if
// they did not, and a delegated role is never asked for.
func noDelegations(w *world, behind bool) {
	key := newKey(9)
	public, err := metadata.KeyFromPublicKey(key.Public())
	w.must(err)
	id, err := public.ID()
	w.must(err)
	dir := w.forge(w.present, func(f *forger) {
		role := metadata.Targets(time.Now().Add(time.Hour))
		role.Signed.Targets[stable] = f.tg.Signed.Targets[stable]
		f.write("metadata/1.helper.json", signed(w, role, key))
		f.tg.Signed.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{id: public},
			Roles: []metadata.DelegatedRole{{Name: "helper", KeyIDs: []string{id}, Threshold: 1, Paths: []string{"*", "*/*"}}}}
		delete(f.tg.Signed.Targets, stable)
		f.sn.Signed.Meta["helper.json"] = &metadata.MetaFiles{Version: 1}
	})
	w.vouch(dir)
	m := &mirror{dir: dir}
	w.defineWith(behind, w.serve(m))
	// Only the delegated role lists the index with app in it; nobody looks there.
	r := w.untouched(func() result { return w.pkgtool("install", "--yes", "app") })
	w.ended(r, 3, "no package provides")
	for _, path := range m.requests() {
		if strings.Contains(path, "helper") {
			w.t.Errorf("asked for the delegated role %s", path)
		}
	}
}
