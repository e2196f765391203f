package store_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/repo/store"
	"ashlar/repo/store/storetest"
)

func TestDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "mirror")
	storetest.Run(t, func(t *testing.T) store.Store {
		s, err := store.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
	left, _ := filepath.Glob(filepath.Join(dir, ".ashlar/incoming/*"))
	if len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestDirByURL(t *testing.T) {
	dir := t.TempDir()
	storetest.Run(t, func(t *testing.T) store.Store {
		s, err := store.Open(t.Context(), "file://"+dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func openDir(t *testing.T, dir string) *store.Dir {
	t.Helper()
	s, err := store.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestDirFollowsNoLink: neither a folder nor a file that is a link leads
// anywhere, not even within the store.
func TestDirFollowsNoLink(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	for path, target := range map[string]string{"pool": outside, "index": "real", "metadata/timestamp.json": filepath.Join(outside, "secret")} {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755)
		if err := os.Symlink(target, filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	os.Mkdir(filepath.Join(dir, "real"), 0o755)
	os.WriteFile(filepath.Join(dir, "real/x"), []byte("x"), 0o644)
	os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o644)
	s := openDir(t, dir)
	for _, path := range []string{"pool/x", "pool/a/x", "index/x", "pool/secret"} {
		if err := s.PutBytes(t.Context(), path, []byte("x")); err == nil {
			t.Errorf("wrote %s", path)
		}
		if err := s.Remove(t.Context(), path); err == nil {
			t.Errorf("removed %s", path)
		}
		if _, err := s.Get(t.Context(), path, 0); err == nil {
			t.Errorf("read %s", path)
		}
	}
	if _, err := s.Get(t.Context(), "metadata/timestamp.json", 0); err == nil {
		t.Error("read through a link")
	}
	if err := s.Switch(t.Context(), "metadata/timestamp.json", []byte("new")); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(filepath.Join(outside, "secret")); string(data) != "secret" {
		t.Errorf("outside: %q, %v", data, err)
	}
	if info, err := os.Lstat(filepath.Join(dir, "metadata/timestamp.json")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the link was not replaced: %v, %v", info, err)
	}
	if left, _ := os.ReadDir(outside); len(left) != 1 {
		t.Errorf("outside: %v", left)
	}
	listed := map[string]int64{}
	if err := s.List(t.Context(), "", func(f store.File) error { listed[f.Path] = f.Size; return nil }); err != nil {
		t.Fatal(err)
	}
	if listed["pool"] != -1 || listed["index"] != -1 || listed["real/x"] != 1 {
		t.Errorf("listed %v", listed)
	}
}

// TestDirModes: a web server of another user can read what a careful umask
// would hide.
func TestDirModes(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	local := filepath.Join(dir, "local")
	os.WriteFile(local, []byte("x"), 0o600)
	for i, consume := range []bool{false, true} {
		path := fmt.Sprintf("pool/a/a/%d", i)
		if err := s.PutFile(t.Context(), path, local, store.PutOptions{Size: 1, Consume: consume}); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{path, "pool", "pool/a/a"} {
			info, err := os.Stat(filepath.Join(dir, p))
			if err != nil || info.Mode().Perm()&0o044 != 0o044 {
				t.Errorf("%s: %v, %v", p, info.Mode(), err)
			}
		}
	}
}

// TestDirSyncsMany: the flush of the whole file system is the one of many files.
func TestDirSyncsMany(t *testing.T) {
	s := openDir(t, t.TempDir())
	for i := range 100 {
		if err := s.PutBytes(t.Context(), fmt.Sprintf("pool/%d/x", i%10), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestLockKeepsOthersOut(t *testing.T) {
	dir := t.TempDir()
	a, b := openDir(t, dir), openDir(t, dir)
	unlock, err := a.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, ".ashlar/incoming/1-1.tmp"), nil, 0o644)
	done := make(chan error, 1)
	go func() {
		unlock, err := b.Lock(t.Context())
		if err == nil {
			unlock()
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("both hold the lock: %v", err)
	default:
	}
	unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, ".ashlar/incoming")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, url := range []string{"http://example.org/", "gopher://x", "file://host/x", "s4://user:secret@host/%zz"} {
		s, err := store.Open(t.Context(), url)
		if err == nil {
			s.Close()
			t.Errorf("opened %s", url)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func BenchmarkDirPut(b *testing.B) {
	dir := b.TempDir()
	s, err := store.OpenDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	local := filepath.Join(dir, "local")
	content := make([]byte, 64<<10)
	os.WriteFile(local, content, 0o644)
	sum := sha256.Sum256(content)
	o := store.PutOptions{Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
	b.SetBytes(o.Size)
	for i := 0; b.Loop(); i++ {
		if err := s.PutFile(b.Context(), fmt.Sprintf("pool/%x/%d", i%16, i), local, o); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
}
