package client_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/repo/repotest"
	"ashlar/repo/serve"
	"ashlar/repo/transport"
	"ashlar/signing"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// world is a published repository, a client that trusts it, and their clock.
type world struct {
	t    testing.TB
	now  time.Time
	key  *signing.PrivateKey
	repo *repo.Repository
	dir  string
	dirs client.Dirs

	limits transport.Limits
	older  string // a copy of the repository as it was a day earlier

	mu     sync.Mutex
	warned []error
}

// newWorld publishes zlib 1.2.13-1, then bash 5.2.15-1 a day later, so that
// there is an older state. It returns the folder of that, too.
func newWorld(t testing.TB) (w *world, older string) {
	t.Helper()
	w = &world{t: t, now: repotest.Now, key: repotest.Key(t), limits: quick}
	w.repo, w.dir = repotest.Repository(t, repo.Settings{}, &w.now, w.key)
	w.publish("zlib-1.2.13-1")
	older = w.copyRepo()
	w.older = older
	w.now = w.now.Add(24 * time.Hour)
	w.publish("bash-5.2.15-1")
	w.dirs = client.DirsOf(t.TempDir())
	w.trust(repotest.Root(t, w.dir))
	return w, older
}

// newcomer is the same world with a client that has seen nothing yet.
func (w *world) newcomer(t testing.TB) *world {
	n := &world{t: t, now: w.now, key: w.key, repo: w.repo, dir: w.dir, older: w.older, limits: w.limits, dirs: client.DirsOf(t.TempDir())}
	n.trust(repotest.Root(t, w.dir))
	return n
}

func (w *world) trust(root []byte) {
	w.t.Helper()
	write(w.t, filepath.Join(w.dirs.Trust, "test", "root.json"), root)
}

func (w *world) publish(name string) {
	w.t.Helper()
	repotest.Publish(w.t, w.repo, repotest.Package(w.t, w.t.TempDir(), name, string(bigContent(name)), nil, w.key))
}

// bigContent does not compress, so that a package has a body to cut up.
func bigContent(seed string) []byte {
	data := make([]byte, 300<<10)
	x := uint32(len(seed)) + uint32(seed[0])
	for i := range data {
		x = x*1664525 + 1013904223
		data[i] = byte(x >> 24)
	}
	return data
}

func (w *world) copyRepo() string {
	w.t.Helper()
	to := w.t.TempDir()
	if err := os.CopyFS(to, os.DirFS(w.dir)); err != nil {
		w.t.Fatal(err)
	}
	return to
}

// quick are limits short enough for tests.
var quick = transport.Limits{Connect: 2 * time.Second, Stall: 300 * time.Millisecond, MinimumRate: 256, Metadata: 3 * time.Second,
	Attempts: 2, Backoff: time.Millisecond}

// patient are limits for tests that move megabytes on a busy machine.
var patient = transport.Limits{Connect: 5 * time.Second, Stall: 2 * time.Second, MinimumRate: 256, Metadata: 30 * time.Second,
	Attempts: 2, Backoff: time.Millisecond}

// client opens a client of mirrors at urls.
func (w *world) client(urls ...string) *client.Client {
	w.t.Helper()
	c, err := client.Open([]client.Config{{Schema: 1, Name: "test", URLs: urls, Channel: "stable", Priority: 50}}, w.dirs,
		client.Options{Now: func() time.Time { return w.now }, Limits: w.limits, Warn: func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.warned = append(w.warned, err)
		}})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// serve serves a repository folder with our own handler.
func (w *world) serve(dir string) string {
	w.t.Helper()
	h, err := serve.New(dir, serve.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { h.Close() })
	return w.serveHandler(h)
}

func (w *world) serveHandler(h http.Handler) string {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		// Ends what a hostile handler would do for ever, with the test.
		merged, stop := context.WithCancel(req.Context())
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		h.ServeHTTP(rw, req.WithContext(merged))
	}))
	w.t.Cleanup(func() { cancel(); s.CloseClientConnections(); s.Close() })
	return s.URL
}

func (w *world) entry(c *client.Client, name string) client.Entry {
	w.t.Helper()
	for _, e := range c.Packages() {
		if e.Name == name {
			return e
		}
	}
	w.t.Fatalf("%s is not on offer among %d packages", name, len(c.Packages()))
	return client.Entry{}
}

// mustWork proves that a good mirror brings everything to a good end.
func (w *world) mustWork(c *client.Client) {
	w.t.Helper()
	if _, err := c.Refresh(w.t.Context()); err != nil {
		w.t.Fatalf("refresh: %v", err)
	}
	p, err := c.Fetch(w.t.Context(), w.entry(c, "bash"), nil)
	if err != nil {
		w.t.Fatalf("fetch: %v", err)
	}
	defer p.Close()
	if err := p.Verify(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// lie publishes an index that says what change makes of its entries. Files go
// to where the entries then say that they are.
func (w *world) lie(change func(e *index.Entry)) {
	w.t.Helper()
	list, err := w.repo.List()
	if err != nil {
		w.t.Fatal(err)
	}
	var entries []index.Entry
	for _, l := range list {
		e := l.Entry
		was := filepath.Join(w.dir, e.Path)
		change(&e)
		e.Path = e.PoolPath()
		if data, err := os.ReadFile(was); err == nil {
			write(w.t, filepath.Join(w.dir, e.Path), data)
		}
		entries = append(entries, e)
	}
	w.publishIndex(entries)
}

// publishIndex publishes entries, unseen, as the index of the stable channel.
func (w *world) publishIndex(entries []index.Entry) {
	w.t.Helper()
	if err := w.repo.SetListed(w.t.Context(), "stable", entries...); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.repo.Publish(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// smuggle publishes a package file that Add would not take.
func (w *world) smuggle(path string) {
	w.t.Helper()
	p, err := pkgfile.OpenFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer p.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	size, sum, err := index.Sum(f)
	if err != nil {
		w.t.Fatal(err)
	}
	e := index.FromPackage(p, size, sum)
	write(w.t, filepath.Join(w.dir, e.Path), data)
	w.publishIndex([]index.Entry{e})
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, parts ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (w *world) clock() time.Time { return w.now }

// keepKeyring puts the repository's keyring, and nothing else, into the cache.
func (w *world) keepKeyring() {
	w.t.Helper()
	keyrings, err := filepath.Glob(filepath.Join(w.dir, "keyring", "*.pgp"))
	if err != nil || len(keyrings) != 1 {
		w.t.Fatal(keyrings, err)
	}
	sum, _, _ := strings.Cut(filepath.Base(keyrings[0]), ".")
	write(w.t, filepath.Join(w.dirs.Cache, "objects", sum), read(w.t, keyrings[0]))
}

// state is what the client remembers; empty if nothing.
func (w *world) state() string {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dirs.State, "test", "trusted.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatal(err)
	}
	return string(data)
}

// cacheBytes is what lies in the cache.
func (w *world) cacheBytes() (total int64) {
	filepath.WalkDir(w.dirs.Cache, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}

// resign changes metadata of the repository and signs it with the role's key,
// as someone who stole that key could.
func resign[T metadata.Roles](w *world, path string, m *metadata.Metadata[T], change func(*T)) []byte {
	w.t.Helper()
	if _, err := m.FromBytes(read(w.t, w.dir, path)); err != nil {
		w.t.Fatal(err)
	}
	change(&m.Signed)
	data := signAs(w, m, w.roleKey(strings.TrimSuffix(path[strings.LastIndexAny(path[:len(path)-5], "./")+1:], ".json")))
	write(w.t, filepath.Join(w.dir, path), data)
	return data
}

func signAs[T metadata.Roles](w *world, m *metadata.Metadata[T], keys ...ed25519.PrivateKey) []byte {
	w.t.Helper()
	m.ClearSignatures()
	for _, key := range keys {
		signer, err := signature.LoadSigner(key, crypto.Hash(0))
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := m.Sign(signer); err != nil {
			w.t.Fatal(err)
		}
	}
	data, err := m.ToBytes(false)
	if err != nil {
		w.t.Fatal(err)
	}
	return data
}

func (w *world) roleKey(role string) ed25519.PrivateKey {
	w.t.Helper()
	block, _ := pem.Decode(read(w.t, repotest.Keys(w.dir), "repositories/test", role+".pem"))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		w.t.Fatal(err)
	}
	return key.(ed25519.PrivateKey)
}
