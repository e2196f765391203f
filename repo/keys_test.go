package repo_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/repotest"
	"ashlar/repo/transport"
	"ashlar/repo/trust"
	"ashlar/repo/tuf"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// vault is a published repository, its keys, and a client that follows it.
type vault struct {
	t    *testing.T
	now  time.Time
	repo *repo.Repository
	dir  string
	got  trust.State // what the client knows
}

// newVault publishes one package; the client pins the first root.
func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{t: t, now: repotest.Now}
	key := repotest.Key(t)
	v.repo, v.dir = repotest.Repository(t, repo.Settings{}, &v.now, key)
	repotest.Publish(t, v.repo, repotest.Package(t, t.TempDir(), "zlib-1.2.13-1", "zlib", nil, key))
	v.got = v.pinned()
	return v
}

// pinned is what a client knows that has never asked.
func (v *vault) pinned() trust.State {
	return trust.State{Root: v.read("metadata/1.root.json")}
}

func (v *vault) read(name string) []byte {
	v.t.Helper()
	data, err := os.ReadFile(filepath.Join(v.dir, name))
	must(v.t, err)
	return data
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (v *vault) publish() *repo.Publication {
	v.t.Helper()
	v.now = v.now.Add(time.Minute)
	p, err := v.repo.Publish(v.t.Context())
	must(v.t, err)
	return p
}

func (v *vault) change(c *repo.KeyChange, err error) *repo.KeyChange {
	v.t.Helper()
	must(v.t, err)
	return c
}

// walk lets a client that knows from look at a folder, and returns what it then knows.
func (v *vault) walk(dir string, from trust.State) (trust.State, error) {
	w := &trust.Walk{Limits: transport.Limits{Attempts: 1}.OrDefault(), Source: transport.Folder{Dir: dir}, Now: v.now, Got: from}
	err := w.Run(context.Background())
	return w.Got, err
}

// follow lets our client look at the repository, which must go well.
func (v *vault) follow() {
	v.t.Helper()
	got, err := v.walk(v.dir, v.got)
	if err != nil {
		v.t.Fatalf("the client does not follow: %v", err)
	}
	v.got = got
}

// refused lets a client look at a folder, which must go wrong in one way.
func (v *vault) refused(dir string, from trust.State, kind tuf.Kind) {
	v.t.Helper()
	if _, err := v.walk(dir, from); tuf.KindOf(err) != kind {
		v.t.Errorf("got %v, want %s", err, kind)
	}
}

func (v *vault) good() {
	v.t.Helper()
	if problems := check(v.t, v.dir, v.now); len(problems) != 0 {
		v.t.Errorf("check: %v", problems)
	}
}

// folder is where the private keys are.
func (v *vault) folder() string { return repo.KeyFolder(repotest.Keys(v.dir), "test") }

// away takes the keys that match a pattern out of the folder and into one of
// their own, which it returns.
func (v *vault) away(pattern string) string {
	v.t.Helper()
	to := v.t.TempDir()
	files, err := filepath.Glob(filepath.Join(v.folder(), pattern))
	if err != nil || len(files) == 0 {
		v.t.Fatal(pattern, files, err)
	}
	for _, file := range files {
		must(v.t, os.Rename(file, filepath.Join(to, filepath.Base(file))))
	}
	return to
}

// private reads a private key.
func (v *vault) private(name string) ed25519.PrivateKey {
	v.t.Helper()
	return readPrivate(v.t, filepath.Join(v.folder(), name+".pem"))
}

func readPrivate(t *testing.T, file string) ed25519.PrivateKey {
	t.Helper()
	data, err := os.ReadFile(file)
	must(t, err)
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(t, err)
	return key.(ed25519.PrivateKey)
}

// copy is a copy of the repository, for an attacker to play with.
func (v *vault) copy() string {
	v.t.Helper()
	to := v.t.TempDir()
	must(v.t, os.CopyFS(to, os.DirFS(v.dir)))
	return to
}

func signers(t *testing.T, keys ...ed25519.PrivateKey) (all []signature.Signer) {
	t.Helper()
	for _, key := range keys {
		s, err := signature.LoadSigner(key, crypto.Hash(0))
		must(t, err)
		all = append(all, s)
	}
	return all
}

// forge writes metadata changed and signed by keys, and returns it.
func forge[T metadata.Roles](t *testing.T, dir, from, to string, m *metadata.Metadata[T], change func(*T), keys ...ed25519.PrivateKey) *metadata.Metadata[T] {
	t.Helper()
	m, err := m.FromFile(filepath.Join(dir, from))
	must(t, err)
	change(&m.Signed)
	m.ClearSignatures()
	for _, s := range signers(t, keys...) {
		_, err := m.Sign(s)
		must(t, err)
	}
	save(t, dir, to, m)
	return m
}

func save(t *testing.T, dir, to string, m interface{ ToBytes(bool) ([]byte, error) }) {
	t.Helper()
	data, err := m.ToBytes(false)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, to), data, 0o644))
}

// newest is the file of a role's newest version.
func newest(t *testing.T, dir, role string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "metadata", "*."+role+".json"))
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	best := found[0]
	for _, f := range found {
		if len(f) > len(best) || len(f) == len(best) && f > best {
			best = f
		}
	}
	return "metadata/" + filepath.Base(best)
}

func TestRotateEachRole(t *testing.T) {
	for _, role := range repo.Roles() {
		t.Run(role, func(t *testing.T) {
			v := newVault(t)
			v.follow()
			c := v.change(v.repo.RotateKey(t.Context(), role, "", nil))
			if len(c.Needs) != 0 || c.Made == "" || len(c.Changes) != 3 {
				t.Errorf("%+v", c)
			}
			before := v.read("metadata/timestamp.json")
			v.publish()
			v.good()
			// A client that saw the new timestamp and not yet the new root is well.
			early := v.copy()
			must(t, os.Remove(filepath.Join(early, "metadata/2.root.json")))
			if _, err := v.walk(early, v.got); err != nil {
				t.Errorf("before the new root is there: %v", err)
			}
			if role == metadata.ROOT && !bytes.Equal(before, v.read("metadata/timestamp.json")) {
				t.Error("the timestamp was switched though only root changed")
			}
			v.follow()
			must(t, os.Remove(filepath.Join(v.folder(), role+".pem"))) // the old key is of no use any more
			v.now = v.now.AddDate(0, 0, 10)
			v.publish()
			v.follow()
			if again := v.publish(); again.Changed {
				t.Error("there is always something to sign")
			}
		})
	}
}

// A24: clients that are far behind follow, however the keys changed meanwhile.
func TestManyRotations(t *testing.T) {
	v := newVault(t)
	for range 10 {
		for _, role := range repo.Roles() {
			v.change(v.repo.RotateKey(t.Context(), role, "", nil))
		}
		v.publish()
		old, err := filepath.Glob(filepath.Join(v.folder(), "*.pem"))
		must(t, err)
		report, err := v.repo.Keys()
		must(t, err)
		if len(report.Unused) != len(old)-4 {
			t.Fatalf("%d keys of %d are not used", len(report.Unused), len(old))
		}
		for _, key := range report.Unused {
			must(t, os.Remove(key.File))
		}
	}
	v.good()
	v.follow()
	// A gap in the chain: the client stays where it is, and the publisher does
	// not add to it.
	gap := v.copy()
	must(t, os.Remove(filepath.Join(gap, "metadata/5.root.json")))
	v.refused(gap, v.pinned(), tuf.Unsigned)
	must(t, os.Rename(filepath.Join(v.dir, "metadata/5.root.json"), filepath.Join(v.dir, "metadata/5")))
	v.change(v.repo.RotateKey(t.Context(), "root", "", nil))
	p := v.publish()
	if len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "could not follow") {
		t.Errorf("a gap: %v", p.Warnings)
	}
	must(t, os.Rename(filepath.Join(v.dir, "metadata/5"), filepath.Join(v.dir, "metadata/5.root.json")))
	v.publish()
	v.follow()
}

// A24: a root is taken only with enough signatures of the keys before and its own.
func TestRootNeedsOldAndNewKeys(t *testing.T) {
	v := newVault(t)
	v.change(v.repo.AddKey(t.Context(), "root", nil))
	v.change(v.repo.SetThreshold(t.Context(), "root", 2))
	v.publish()
	v.follow() // two of two
	a, b := v.private("root"), v.private("root-2")
	c, d := newKey(t), newKey(t)
	replace := func(r *metadata.RootType) {
		r.Version++
		for _, id := range append([]string{}, r.Roles["root"].KeyIDs...) {
			must(t, r.RevokeKey(id, "root"))
		}
		for _, key := range []ed25519.PrivateKey{c, d} {
			public, err := metadata.KeyFromPublicKey(key.Public())
			must(t, err)
			must(t, r.AddKey(public, "root"))
		}
	}
	for name, tc := range map[string]struct {
		keys []ed25519.PrivateKey
		good bool
	}{
		"old only":                {keys: []ed25519.PrivateKey{a, b}},
		"new only":                {keys: []ed25519.PrivateKey{c, d}},
		"too few old":             {keys: []ed25519.PrivateKey{a, c, d}},
		"too few new":             {keys: []ed25519.PrivateKey{a, b, c}},
		"one old twice":           {keys: []ed25519.PrivateKey{a, a, c, d}},
		"both":                    {keys: []ed25519.PrivateKey{a, b, c, d}, good: true},
		"both, in another order":  {keys: []ed25519.PrivateKey{d, b, c, a}, good: true},
		"both, and of a stranger": {keys: []ed25519.PrivateKey{newKey(t), a, b, c, d}, good: true},
	} {
		dir := v.copy()
		forge(t, dir, "metadata/2.root.json", "metadata/3.root.json", metadata.Root(), replace, tc.keys...)
		got, err := v.walk(dir, v.got)
		switch {
		case tc.good && err != nil:
			t.Errorf("%s: %v", name, err)
		case !tc.good && tuf.KindOf(err) != tuf.Unsigned && tuf.KindOf(err) != tuf.Tampered:
			t.Errorf("%s: %v", name, err)
		case !tc.good && !bytes.Equal(got.Root, v.got.Root):
			t.Errorf("%s: the root changed", name)
		}
	}
	// A version that skips one, or repeats one, is no next version.
	for _, version := range []int64{2, 4, 1 << 40} {
		dir := v.copy()
		forge(t, dir, "metadata/2.root.json", "metadata/3.root.json", metadata.Root(), func(r *metadata.RootType) { r.Version = version }, a, b)
		v.refused(dir, v.got, tuf.RolledBack)
	}
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	must(t, err)
	return key
}

// More roots than one refresh follows: the next one goes on.
func TestMoreRootsThanOneRefreshFollows(t *testing.T) {
	v := newVault(t)
	root := v.private("root")
	from := "metadata/1.root.json"
	for version := int64(2); version <= tuf.MaxRootRotations+6; version++ {
		to := repo.MetadataPath("root", version)
		forge(t, v.dir, from, to, metadata.Root(), func(r *metadata.RootType) { r.Version = version }, root)
		from = to
	}
	state := v.pinned()
	var err error
	for range 2 {
		state, err = v.walk(v.dir, state)
	}
	if err != nil || !bytes.Equal(state.Root, v.read(from)) {
		t.Errorf("after two refreshes: %v", err)
	}
}

// A26: a client whose root has expired follows a fresh chain; a chain that ends
// expired is refused.
func TestExpiredRoots(t *testing.T) {
	v := newVault(t)
	v.follow()
	v.now = v.now.AddDate(0, 0, 740) // past the root's 730 days
	v.refused(v.dir, v.got, tuf.Stale)
	v.publish() // renews root as all the rest
	v.follow()
	v.good()
	fresh := v.pinned()
	got, err := v.walk(v.dir, fresh)
	if err != nil || !bytes.Equal(got.Root, v.read("metadata/2.root.json")) {
		t.Errorf("from an expired pin: %v", err)
	}
}

// A publisher that loses a key it must replace: there is no way to sign for both
// roots. A kill between them is found and mended.
func TestLostKey(t *testing.T) {
	v := newVault(t)
	v.follow()
	v.away("targets.pem")
	v.change(v.repo.RotateKey(t.Context(), "targets", "", nil))
	before := v.read("metadata/timestamp.json")
	v.publish()
	v.good()
	after := v.read("metadata/timestamp.json")
	if _, err := v.walk(v.dir, v.got); err != nil {
		t.Error(err)
	}
	// As if it had been killed after the new root and before the timestamp.
	must(t, os.WriteFile(filepath.Join(v.dir, "metadata/timestamp.json"), before, 0o644))
	if problems := check(t, v.dir, v.now); len(problems) != 1 || problems[0].Kind != tuf.Unsigned {
		t.Errorf("check: %v", problems)
	}
	if list, err := v.repo.List(); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	v.publish()
	v.good()
	if bytes.Equal(after, v.read("metadata/timestamp.json")) {
		t.Error("nothing was signed")
	}
	v.follow()
}

// A publisher killed after the timestamp and before the new root goes on.
func TestKilledBeforeNewRoot(t *testing.T) {
	v := newVault(t)
	v.change(v.repo.RotateKey(t.Context(), "targets", "", nil))
	draft := map[string][]byte{}
	for _, name := range []string{".ashlar/signing/root.json", ".ashlar/signing/root.own.json"} {
		draft[name] = v.read(name)
	}
	v.publish()
	root := v.read("metadata/2.root.json")
	must(t, os.Remove(filepath.Join(v.dir, "metadata/2.root.json")))
	for name, data := range draft {
		must(t, os.WriteFile(filepath.Join(v.dir, name), data, 0o644))
	}
	v.good()
	v.follow()
	p := v.publish()
	if !p.Changed || !bytes.Equal(root, v.read("metadata/2.root.json")) {
		t.Error("the root was not published")
	}
	v.follow()
	v.good()
	// And one killed between the root and the removal of its draft.
	for name, data := range draft {
		must(t, os.WriteFile(filepath.Join(v.dir, name), data, 0o644))
	}
	if p := v.publish(); p.Changed || len(p.Warnings) != 0 {
		t.Errorf("%+v", p)
	}
	if _, err := os.Stat(filepath.Join(v.dir, ".ashlar/signing/root.json")); err == nil {
		t.Error("the draft is still there")
	}
}

// Made anew under the same keys after these have changed: the same roots.
func TestMadeAnewAfterRotation(t *testing.T) {
	v := newVault(t)
	v.change(v.repo.RotateKey(t.Context(), "root", "", nil))
	v.change(v.repo.RotateKey(t.Context(), "targets", "", nil))
	v.publish()
	v.follow()
	v.away("root*.pem")
	must(t, os.RemoveAll(v.dir))
	v.now = v.now.Add(time.Hour)
	key := repotest.Key(t)
	r, err := repo.Init(t.Context(), v.dir, repo.Settings{Name: "test", Packagers: packagers(key)},
		repo.Options{Keys: repotest.Keys(v.dir), Now: func() time.Time { return v.now }})
	must(t, err)
	v.repo = r
	repotest.Publish(t, r, repotest.Package(t, t.TempDir(), "zlib-1.2.13-1", "zlib", nil, key))
	v.follow()
	v.good()
	if files, _ := filepath.Glob(filepath.Join(v.folder(), "root*.pem")); len(files) != 0 {
		t.Errorf("root keys were made: %v", files)
	}
}

func TestKeyChangesThatAreRefused(t *testing.T) {
	v := newVault(t)
	report, err := v.repo.Keys()
	must(t, err)
	id := func(i int) string { return report.Roles[i].Keys[0].ID }
	targets, err := repo.ReadRoleKey(filepath.Join(v.folder(), "targets.pem"))
	must(t, err)
	for name, try := range map[string]func() (*repo.KeyChange, error){
		"no such role":       func() (*repo.KeyChange, error) { return v.repo.AddKey(t.Context(), "mirror", nil) },
		"threshold of 0":     func() (*repo.KeyChange, error) { return v.repo.SetThreshold(t.Context(), "root", 0) },
		"threshold of 2":     func() (*repo.KeyChange, error) { return v.repo.SetThreshold(t.Context(), "root", 2) },
		"the only key":       func() (*repo.KeyChange, error) { return v.repo.RevokeKey(t.Context(), id(0)) },
		"no such key":        func() (*repo.KeyChange, error) { return v.repo.RevokeKey(t.Context(), strings.Repeat("0", 64)) },
		"too short an id":    func() (*repo.KeyChange, error) { return v.repo.RevokeKey(t.Context(), id(0)[:4]) },
		"the key itself":     func() (*repo.KeyChange, error) { return v.repo.RotateKey(t.Context(), "targets", "", targets) },
		"another role's key": func() (*repo.KeyChange, error) { return v.repo.AddKey(t.Context(), "root", targets) },
	} {
		if c, err := try(); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if p := v.publish(); len(p.Warnings) != 0 {
		t.Errorf("something waits: %v", p.Warnings)
	}
}

// What prune looks at was signed by keys that are not in force any more.
func TestPruneAfterRotation(t *testing.T) {
	v := newVault(t)
	for range 3 {
		for _, role := range repo.Roles() {
			v.change(v.repo.RotateKey(t.Context(), role, "", nil))
		}
		v.publish()
	}
	v.now = v.now.AddDate(0, 0, 60)
	v.publish()
	if _, err := v.repo.Prune(t.Context(), repo.PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	v.good()
	v.follow() // from the first root on
}

// Signing anew reaches as far as the keys at hand, and drafts the rest.
func TestResign(t *testing.T) {
	v := newVault(t)
	v.follow()
	v.away("root.pem")
	before := v.read("metadata/timestamp.json")
	v.now = v.now.Add(time.Hour)
	p, err := v.repo.Resign(t.Context())
	if err != nil || !p.Changed || len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "root.json waits") {
		t.Fatalf("%+v, %v", p, err)
	}
	if bytes.Equal(before, v.read("metadata/timestamp.json")) {
		t.Error("the timestamp is the old one")
	}
	v.follow()
	v.good()
	if _, err := v.repo.ForgetKeyChange(t.Context()); err != nil {
		t.Error(err)
	}
	if p := v.publish(); p.Changed || len(p.Warnings) != 0 {
		t.Errorf("%+v", p)
	}
}

// What has expired and cannot be renewed is an error, not a warning: clients
// refuse the repository.
func TestExpiredAndAway(t *testing.T) {
	for role, days := range map[string]int{"root": repo.DefaultLifetimes.Root, "targets": repo.DefaultLifetimes.Targets} {
		t.Run(role, func(t *testing.T) {
			v := newVault(t)
			v.away(role + ".pem")
			v.now = v.now.AddDate(0, 0, days-1)
			if p := v.publish(); len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], role+".json waits") || !strings.Contains(p.Warnings[0], "expires on") {
				t.Errorf("a day before: %v", p.Warnings)
			}
			v.follow()
			v.now = v.now.AddDate(0, 0, 2)
			if p, err := v.repo.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), role+".json waits") || len(fault.Hints(err)) != 1 {
				t.Errorf("a day after: %+v, %v", p, err)
			}
		})
	}
	for _, role := range []string{"snapshot", "timestamp"} {
		v := newVault(t)
		v.away(role + ".pem")
		v.now = v.now.AddDate(0, 0, 60)
		if _, err := v.repo.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), "0 of 1 needed "+role+" keys") || len(fault.Hints(err)) != 1 {
			t.Errorf("%s: %v", role, err)
		}
	}
}
