package repo_test

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/repo"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// A21: what only looks like enough signatures.
func TestThresholdFakes(t *testing.T) {
	v := newVault(t)
	v.change(v.repo.AddKey(t.Context(), "timestamp", nil))
	v.change(v.repo.SetThreshold(t.Context(), "timestamp", 2))
	v.publish()
	v.follow()
	v.now = v.now.Add(time.Hour)
	stolen := v.private("timestamp")
	bump := func(m *metadata.TimestampType) { m.Version++ }
	ids := rolesOf(t, v.dir)["timestamp"].KeyIDs
	for name, edit := range map[string]func(m *metadata.Metadata[metadata.TimestampType]){
		"one signature": func(m *metadata.Metadata[metadata.TimestampType]) {},
		"the same twice": func(m *metadata.Metadata[metadata.TimestampType]) {
			m.Signatures = append(m.Signatures, m.Signatures[0])
		},
		"under the other's id": func(m *metadata.Metadata[metadata.TimestampType]) {
			for _, id := range ids {
				if id != m.Signatures[0].KeyID {
					m.Signatures = append(m.Signatures, metadata.Signature{KeyID: id, Signature: m.Signatures[0].Signature})
					return
				}
			}
		},
	} {
		dir := v.copy()
		m := forge(t, dir, "metadata/timestamp.json", "metadata/timestamp.json", metadata.Timestamp(), bump, stolen)
		edit(m)
		save(t, dir, "metadata/timestamp.json", m)
		kind := tuf.Unsigned
		if name == "the same twice" {
			kind = tuf.Tampered // two signatures under one id are no metadata at all
		}
		t.Run(name, func(t *testing.T) { v.refused(dir, v.got, kind) })
	}
	// A root key's owner who errs: the same key under two ids, and thresholds
	// that mean nothing.
	root := v.private("root")
	for name, edit := range map[string]func(r *metadata.RootType){
		"one key under two ids": func(r *metadata.RootType) {
			mine, _ := metadata.KeyFromPublicKey(stolen.Public())
			r.Keys[strings.Repeat("ab", 32)] = mine
			id, _ := mine.ID()
			r.Roles["timestamp"].KeyIDs = []string{id, strings.Repeat("ab", 32)}
		},
		"threshold 0":               func(r *metadata.RootType) { r.Roles["timestamp"].Threshold = 0 },
		"threshold -1":              func(r *metadata.RootType) { r.Roles["timestamp"].Threshold = -1 },
		"threshold 1e9":             func(r *metadata.RootType) { r.Roles["timestamp"].Threshold = 1e9 },
		"fewer keys than threshold": func(r *metadata.RootType) { r.Roles["timestamp"].KeyIDs = r.Roles["timestamp"].KeyIDs[:1] },
		"a key that is not there":   func(r *metadata.RootType) { r.Roles["timestamp"].KeyIDs = []string{strings.Repeat("cd", 32)} },
	} {
		dir := v.copy()
		forge(t, dir, "metadata/2.root.json", "metadata/3.root.json", metadata.Root(), func(r *metadata.RootType) { r.Version = 3; edit(r) }, root)
		m := forge(t, dir, "metadata/timestamp.json", "metadata/timestamp.json", metadata.Timestamp(), bump, stolen)
		m.Signatures = append(m.Signatures, metadata.Signature{KeyID: strings.Repeat("ab", 32), Signature: m.Signatures[0].Signature})
		save(t, dir, "metadata/timestamp.json", m)
		t.Run(name, func(t *testing.T) {
			if _, err := v.walk(dir, v.got); err == nil || tuf.KindOf(err) == "" {
				t.Errorf("got %v", err)
			}
		})
	}
	// Thresholds of another type do not get as far as signatures.
	for _, text := range []string{`"2"`, `1.5`, `null`, `[2]`, `1e400`} {
		dir := v.copy()
		data := bytes.Replace(v.read("metadata/2.root.json"), []byte(`"threshold":2`), []byte(`"threshold":`+text), 1)
		must(t, os.WriteFile(filepath.Join(dir, "metadata/3.root.json"), data, 0o644))
		v.refused(dir, v.got, tuf.Tampered)
	}
}

func rolesOf(t *testing.T, dir string) map[string]*metadata.Role {
	t.Helper()
	root, err := metadata.Root().FromFile(filepath.Join(dir, newest(t, dir, "root")))
	must(t, err)
	return root.Signed.Roles
}

// A22: one bad signature beside enough good ones does no harm.
func TestBadSignatureBesideGoodOnes(t *testing.T) {
	v := newVault(t)
	v.change(v.repo.AddKey(t.Context(), "timestamp", nil)) // one of two must sign
	v.publish()
	v.follow()
	garbage := metadata.HexBytes(bytes.Repeat([]byte{7}, 64))
	for _, id := range []string{strings.Repeat("ab", 32), rolesOf(t, v.dir)["timestamp"].KeyIDs[1]} {
		dir := v.copy()
		m := forge(t, dir, "metadata/timestamp.json", "metadata/timestamp.json", metadata.Timestamp(), func(m *metadata.TimestampType) { m.Version++ }, v.private("timestamp"))
		m.Signatures = append([]metadata.Signature{{KeyID: id, Signature: garbage}}, m.Signatures...)
		save(t, dir, "metadata/timestamp.json", m)
		if _, err := v.walk(dir, v.got); err != nil {
			t.Errorf("garbage under %s: %v", id, err)
		}
	}
}

// A23: how far each stolen key reaches. docs/publishing.md has this as a table.
func TestBlastRadius(t *testing.T) {
	v := newVault(t)
	v.follow()
	v.now = v.now.Add(time.Hour)
	evil := metadata.TargetFile()
	evil.Length, evil.Hashes, evil.Path = 4, metadata.Hashes{"sha256": bytes.Repeat([]byte{6}, 32)}, "index/stable.x86_64.zst"
	for _, tc := range []struct {
		stolen   string
		packages bool // another list of packages is taken
		holds    bool // clients can be kept at what was published
	}{
		{"timestamp", false, true}, // until the snapshot expires
		{"snapshot", false, false},
		{"timestamp snapshot", false, true},
		{"targets", false, false},
		{"targets timestamp", false, true},
		{"targets snapshot", false, false},
		{"targets snapshot timestamp", true, true},
		{"root", true, true},
	} {
		t.Run(tc.stolen, func(t *testing.T) {
			dir := v.copy()
			mine := newKey(t)
			has := func(role string) ed25519.PrivateKey {
				if strings.Contains(tc.stolen, role) || tc.stolen == "root" {
					if tc.stolen == "root" && role != "root" {
						return mine
					}
					return v.private(role)
				}
				return newKey(t) // an attempt
			}
			if tc.stolen == "root" {
				forge(t, dir, "metadata/1.root.json", "metadata/2.root.json", metadata.Root(), func(r *metadata.RootType) {
					r.Version++
					public, _ := metadata.KeyFromPublicKey(mine.Public())
					for _, role := range []string{"targets", "snapshot", "timestamp"} {
						must(t, r.RevokeKey(r.Roles[role].KeyIDs[0], role))
						must(t, r.AddKey(public, role))
					}
				}, v.private("root"))
			}
			next := time.Now().Unix()
			targets := forge(t, dir, newest(t, dir, "targets"), repo.MetadataPath("targets", next), metadata.Targets(), func(m *metadata.TargetsType) {
				m.Version = next
				m.Targets["index/stable.x86_64.zst"] = evil
			}, has("targets"))
			hang(t, dir, next, targets, has("snapshot"), has("timestamp"))
			got, err := v.walk(dir, v.got)
			if took := err == nil && bytes.Contains(got.Targets, []byte(strings.Repeat("06", 32))); took != tc.packages {
				t.Errorf("another list of packages: %v, %v", took, err)
			}
			if tc.stolen == "root" {
				return // has it all
			}
			// The same without other packages: only what says that all is current.
			dir = v.copy()
			old, err := metadata.Snapshot().FromFile(filepath.Join(v.dir, newest(t, v.dir, "snapshot")))
			must(t, err)
			if strings.Contains(tc.stolen, "snapshot") {
				hang(t, dir, old.Signed.Meta["targets.json"].Version, targets, has("snapshot"), has("timestamp"))
			} else {
				forge(t, dir, "metadata/timestamp.json", "metadata/timestamp.json", metadata.Timestamp(), func(m *metadata.TimestampType) { m.Version = next }, has("timestamp"))
			}
			if got, err := v.walk(dir, v.got); (err == nil && !bytes.Equal(got.Timestamp, v.got.Timestamp)) != tc.holds {
				t.Errorf("kept at what was published: %v", err)
			}
		})
	}
}

// hang makes snapshot and timestamp over targets of a version.
func hang(t *testing.T, dir string, version int64, targets *metadata.Metadata[metadata.TargetsType], snapshotKey, timestampKey ed25519.PrivateKey) {
	t.Helper()
	next := time.Now().Unix()
	snapshot := forge(t, dir, newest(t, dir, "snapshot"), repo.MetadataPath("snapshot", next), metadata.Snapshot(), func(m *metadata.SnapshotType) {
		m.Version = next
		m.Meta["targets.json"] = metadata.MetaFile(version)
	}, snapshotKey)
	forge(t, dir, "metadata/timestamp.json", "metadata/timestamp.json", metadata.Timestamp(), func(m *metadata.TimestampType) {
		m.Version = next
		m.Meta["snapshot.json"] = metadata.MetaFile(snapshot.Signed.Version)
	}, timestampKey)
}

// A14: with stolen timestamp and snapshot keys the counters are pushed as far as
// they go. New keys bring clients back.
func TestFastForwardRecovery(t *testing.T) {
	v := newVault(t)
	v.follow()
	dir := v.copy()
	old, err := metadata.Targets().FromFile(filepath.Join(dir, newest(t, dir, "targets")))
	must(t, err)
	snapshot := forge(t, dir, newest(t, dir, "snapshot"), repo.MetadataPath("snapshot", tuf.MaxVersion), metadata.Snapshot(), func(m *metadata.SnapshotType) {
		m.Version, m.Meta["targets.json"] = tuf.MaxVersion, metadata.MetaFile(old.Signed.Version)
	}, v.private("snapshot"))
	forge(t, dir, "metadata/timestamp.json", "metadata/timestamp.json", metadata.Timestamp(), func(m *metadata.TimestampType) {
		m.Version, m.Meta["snapshot.json"] = tuf.MaxVersion, metadata.MetaFile(snapshot.Signed.Version)
	}, v.private("timestamp"))
	poisoned, err := v.walk(dir, v.got)
	must(t, err)
	v.refused(v.dir, poisoned, tuf.RolledBack)
	for _, role := range []string{"timestamp", "snapshot"} {
		v.change(v.repo.RotateKey(t.Context(), role, "", nil))
	}
	v.publish()
	got, err := v.walk(v.dir, poisoned)
	if err != nil || !bytes.Equal(got.Timestamp, v.read("metadata/timestamp.json")) {
		t.Errorf("after new keys: %v", err)
	}
	if _, err := v.walk(dir, got); err == nil {
		t.Error("the poisoned mirror still works")
	}
}
