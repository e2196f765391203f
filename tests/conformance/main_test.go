package main

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// simulated is a small repository with delegations, as the suite makes them.
type simulated struct {
	t     *testing.T
	files map[string][]byte
	asked []string
	keys  map[string]ed25519.PrivateKey // by role
	dir   string
	url   string
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSimulated(t *testing.T) *simulated {
	s := &simulated{t: t, files: map[string][]byte{}, keys: map[string]ed25519.PrivateKey{}, dir: t.TempDir()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, r.URL.EscapedPath())
		data, ok := s.files[strings.TrimPrefix(r.URL.EscapedPath(), "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(data)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	root := metadata.Root(expiry)
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		must(t, root.Signed.AddKey(s.key(role), role))
	}
	put(s, "1.root", metadata.ROOT, root)
	for _, dir := range []string{"metadata", "targets"} {
		must(t, os.Mkdir(filepath.Join(s.dir, dir), 0o755))
	}
	first := filepath.Join(s.dir, "root.json")
	must(t, os.WriteFile(first, s.files["metadata/1.root.json"], 0o644))
	must(t, run(t.Context(), []string{"--metadata-dir", filepath.Join(s.dir, "metadata"), "init", first}))
	return s
}

var expiry = time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)

// key returns the public key of a role, and makes one where there is none.
func (s *simulated) key(role string) *metadata.Key {
	if s.keys[role] == nil {
		_, s.keys[role], _ = ed25519.GenerateKey(nil)
	}
	key, err := metadata.KeyFromPublicKey(s.keys[role].Public())
	must(s.t, err)
	return key
}

func put[T metadata.Roles](s *simulated, name, signer string, m *metadata.Metadata[T]) {
	s.t.Helper()
	load, err := signature.LoadSigner(s.keys[signer], crypto.Hash(0))
	must(s.t, err)
	m.ClearSignatures()
	_, err = m.Sign(load)
	must(s.t, err)
	data, err := m.ToBytes(true)
	must(s.t, err)
	s.files["metadata/"+name+".json"] = data
}

// delegate lets a role delegate to others, by the key of each.
func (s *simulated) delegate(m *metadata.Metadata[metadata.TargetsType], roles ...string) {
	d := &metadata.Delegations{Keys: map[string]*metadata.Key{}}
	for _, role := range roles {
		key := s.key(role)
		id, err := key.ID()
		must(s.t, err)
		d.Keys[id] = key
		name, _, _ := strings.Cut(role, " ") // "shared b": the key that b has for shared
		d.Roles = append(d.Roles, metadata.DelegatedRole{Name: name, KeyIDs: []string{id}, Threshold: 1, Paths: []string{"*"}})
	}
	m.Signed.Delegations = d
}

// publish makes version n of all that says what is current.
func (s *simulated) publish(n int64, roles ...string) {
	snapshot := metadata.Snapshot(expiry)
	snapshot.Signed.Version = n
	for _, role := range append(roles, "targets") {
		snapshot.Signed.Meta[role+".json"] = metadata.MetaFile(1)
	}
	put(s, fmt.Sprintf("%d.snapshot", n), metadata.SNAPSHOT, snapshot)
	timestamp := metadata.Timestamp(expiry)
	timestamp.Signed.Version = n
	timestamp.Signed.Meta["snapshot.json"] = metadata.MetaFile(n)
	put(s, "timestamp", metadata.TIMESTAMP, timestamp)
}

func (s *simulated) do(command string, targets ...string) error {
	args := []string{"--metadata-dir", filepath.Join(s.dir, "metadata"), "--metadata-url", s.url + "/metadata/"}
	for _, name := range targets {
		args = append(args, "--target-name", name)
	}
	return run(s.t.Context(), append(args, "--target-base-url", s.url+"/targets/", "--target-dir", filepath.Join(s.dir, "targets"), command))
}

func TestDownload(t *testing.T) {
	s := newSimulated(t)
	targets := metadata.Targets(expiry)
	content := []byte("hello")
	file, err := metadata.TargetFile().FromBytes("dir/file.txt", content, "sha256")
	must(t, err)
	targets.Signed.Targets["dir/file.txt"] = file
	put(s, "1.targets", metadata.TARGETS, targets)
	s.publish(1)
	path := "targets/dir/" + file.Hashes["sha256"].String() + ".file.txt"
	s.files[path] = []byte("hullo")
	if err := s.do("download", "dir/file.txt"); err == nil {
		t.Error("another content was taken")
	}
	s.files[path] = content
	must(t, s.do("download", "dir/file.txt"))
	must(t, s.do("refresh"))
	must(t, s.do("download", "dir/file.txt"))
	if n := strings.Count(strings.Join(s.asked, "\n"), "file.txt"); n != 2 {
		t.Errorf("asked %d times for the target", n)
	}
	data, err := os.ReadFile(filepath.Join(s.dir, "targets", "dir%2Ffile.txt"))
	if err != nil || !bytes.Equal(data, content) {
		t.Errorf("%q, %v", data, err)
	}
	if err := s.do("download", "dir/file.txt", "nothing"); err == nil {
		t.Error("a target that is not there")
	}
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		if _, err := os.Stat(filepath.Join(s.dir, "metadata", role+".json")); err != nil {
			t.Error(err)
		}
	}
}

// A40: what one role delegates to is not taken for what another one does, even
// when it is at hand.
func TestDelegationIsVerifiedUnderEachDelegator(t *testing.T) {
	s := newSimulated(t)
	targets := metadata.Targets(expiry)
	s.delegate(targets, "a", "b")
	targets.Signed.Delegations.Roles[0].Paths = []string{"a*"}
	targets.Signed.Delegations.Roles[1].Paths = []string{"b*"}
	put(s, "1.targets", metadata.TARGETS, targets)
	a, b := metadata.Targets(expiry), metadata.Targets(expiry)
	s.delegate(a, "shared a")
	s.delegate(b, "shared b")
	put(s, "1.a", "a", a)
	put(s, "1.b", "b", b)
	shared := metadata.Targets(expiry)
	for _, name := range []string{"a1", "b1"} {
		file, err := metadata.TargetFile().FromBytes(name, []byte(name), "sha256")
		must(t, err)
		shared.Signed.Targets[name] = file
		s.files["targets/"+file.Hashes["sha256"].String()+"."+name] = []byte(name)
	}
	put(s, "1.shared", "shared a", shared) // by the key that a has for it, and b has not
	s.publish(1, "a", "b", "shared")
	must(t, s.do("download", "a1"))
	if err := s.do("download", "b1"); err == nil {
		t.Error("b's target came from a role that b does not trust")
	}
	if err := s.do("download", "a1", "b1"); err == nil {
		t.Error("b's target came from a role that b does not trust, in one run")
	}
}

func TestUnknownCalls(t *testing.T) {
	for _, args := range [][]string{nil, {"fetch"}, {"init"}, {"--no-such-flag", "refresh"}} {
		if run(t.Context(), args) == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
