package attack

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"time"

	"ashlar/repo"
	"ashlar/repo/index"

	"github.com/klauspost/compress/zstd"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// forger makes a further state of a repository, in a copy of its folder, as who
// has its keys could.
type forger struct {
	w    *world
	dir  string
	keys map[string][]ed25519.PrivateKey // by role
	ts   *metadata.Metadata[metadata.TimestampType]
	sn   *metadata.Metadata[metadata.SnapshotType]
	tg   *metadata.Metadata[metadata.TargetsType]
}

// forge copies a state, lets change edit it, and signs it with the genuine keys
// as the state after it, published now. It returns the folder.
func (w *world) forge(state string, change func(f *forger)) string {
	w.t.Helper()
	f := w.open(state)
	now := time.Now().Add(-time.Minute).UTC().Truncate(time.Second)
	f.tg.Signed.Version++
	f.sn.Signed.Version++
	f.ts.Signed.Version++
	f.ts.Signed.UnrecognizedFields[repo.PublishedField] = now.Format(time.RFC3339)
	change(f)
	f.sign()
	return f.dir
}

// open copies a state for editing.
func (w *world) open(state string) *forger {
	w.t.Helper()
	f := &forger{w: w, dir: w.folder("state"), keys: map[string][]ed25519.PrivateKey{}}
	for role, key := range w.roles {
		f.keys[role] = []ed25519.PrivateKey{key}
	}
	w.must(os.CopyFS(f.dir, os.DirFS(state)))
	f.ts = parse(w, metadata.Timestamp(), f.read(repo.TimestampPath))
	f.sn = parse(w, metadata.Snapshot(), f.read(f.snapshotPath()))
	f.tg = parse(w, metadata.Targets(), f.read(f.targetsPath()))
	return f
}

func (f *forger) snapshotPath() string {
	return repo.MetadataPath(metadata.SNAPSHOT, f.ts.Signed.Meta["snapshot.json"].Version)
}

func (f *forger) targetsPath() string {
	return repo.MetadataPath(metadata.TARGETS, f.sn.Signed.Meta["targets.json"].Version)
}

// sign signs targets, snapshot and timestamp, each naming the one before.
func (f *forger) sign() {
	f.signTargets()
	f.signSnapshot()
	f.signTimestamp()
}

func (f *forger) signTargets() {
	data := signed(f.w, f.tg, f.keys[metadata.TARGETS]...)
	f.sn.Signed.Meta["targets.json"] = stated(f.tg.Signed.Version, data)
	f.write(repo.MetadataPath(metadata.TARGETS, f.tg.Signed.Version), data)
}

func (f *forger) signSnapshot() {
	data := signed(f.w, f.sn, f.keys[metadata.SNAPSHOT]...)
	f.ts.Signed.Meta["snapshot.json"] = stated(f.sn.Signed.Version, data)
	f.write(repo.MetadataPath(metadata.SNAPSHOT, f.sn.Signed.Version), data)
}

func (f *forger) signTimestamp() {
	f.write(repo.TimestampPath, signed(f.w, f.ts, f.keys[metadata.TIMESTAMP]...))
}

// stated is how metadata names other metadata.
func stated(version int64, data []byte) *metadata.MetaFiles {
	sum := sha256.Sum256(data)
	return &metadata.MetaFiles{Version: version, Length: int64(len(data)), Hashes: metadata.Hashes{"sha256": sum[:]}}
}

func (f *forger) read(path string) []byte { return f.w.read(filepath.Join(f.dir, path)) }

func (f *forger) write(path string, data []byte) {
	f.w.t.Helper()
	f.w.write(filepath.Join(f.dir, path), data)
}

// target puts a target's content in place, unsigned yet.
func (f *forger) target(name string, data []byte) {
	f.w.t.Helper()
	sum := sha256.Sum256(data)
	old := f.tg.Signed.Targets[name]
	t := &metadata.TargetFiles{Length: int64(len(data)), Hashes: metadata.Hashes{"sha256": sum[:]}, Path: name}
	if old != nil {
		t.Custom = old.Custom
	}
	f.tg.Signed.Targets[name] = t
	f.write(repo.TargetPath(name, hex.EncodeToString(sum[:])), data)
}

var stable = repo.IndexTarget(repo.DefaultChannel, "x86_64")

// index is the index of the state, compressed.
func (f *forger) index() []byte {
	t := f.tg.Signed.Targets[stable]
	return f.read(repo.TargetPath(stable, hex.EncodeToString(t.Hashes["sha256"])))
}

// entries changes what the index says.
func (f *forger) entries(change func([]index.Entry) []index.Entry) {
	f.w.t.Helper()
	_, entries, err := index.Decode(bytes.NewReader(f.index()), index.Limits{})
	f.w.must(err)
	data, _, err := index.Encode(repo.DefaultChannel, "x86_64", change(entries))
	f.w.must(err)
	f.target(stable, data)
}

// text changes the index's decompressed text, which then need not be an index.
func (f *forger) text(change func([]byte) []byte) {
	f.w.t.Helper()
	z, err := zstd.NewReader(nil)
	f.w.must(err)
	defer z.Close()
	plain, err := z.DecodeAll(f.index(), nil)
	f.w.must(err)
	f.target(stable, compress(f.w, change(plain)))
}

func compress(w *world, plain []byte) []byte {
	w.t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	w.must(err)
	defer z.Close()
	return z.EncodeAll(plain, nil)
}

// root signs root metadata: the first one changed.
func (f *forger) root(version int64, keys []ed25519.PrivateKey, change func(*metadata.Metadata[metadata.RootType])) []byte {
	f.w.t.Helper()
	m := parse(f.w, metadata.Root(), f.w.pinned)
	m.Signed.Version = version
	if change != nil {
		change(m)
	}
	data := signed(f.w, m, keys...)
	f.write(repo.MetadataPath(metadata.ROOT, version), data)
	return data
}

// rekey gives a role other keys in root metadata.
func (f *forger) rekey(m *metadata.Metadata[metadata.RootType], role string, threshold int, keys ...ed25519.PrivateKey) {
	f.w.t.Helper()
	m.Signed.Roles[role].KeyIDs = nil
	for _, k := range keys {
		public, err := metadata.KeyFromPublicKey(k.Public())
		f.w.must(err)
		f.w.must(m.Signed.AddKey(public, role))
	}
	m.Signed.Roles[role].Threshold = threshold
}

func parse[T metadata.Roles](w *world, m *metadata.Metadata[T], data []byte) *metadata.Metadata[T] {
	w.t.Helper()
	_, err := m.FromBytes(data)
	w.must(err)
	return m
}

// signed is metadata with the signatures of keys and no others.
func signed[T metadata.Roles](w *world, m *metadata.Metadata[T], keys ...ed25519.PrivateKey) []byte {
	w.t.Helper()
	m.ClearSignatures()
	for _, key := range keys {
		signer, err := signature.LoadSigner(key, crypto.Hash(0))
		w.must(err)
		_, err = m.Sign(signer)
		w.must(err)
	}
	data, err := m.ToBytes(false)
	w.must(err)
	return data
}

// newKey is a key that nobody knows, the same for the same number.
func newKey(number byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{number}, ed25519.SeedSize))
}
