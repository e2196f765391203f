package signing

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ashlar/pkgtool/fault"
)

func TestStoreKeepsKeysPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "keys")
	store, err := OpenStore(dir)
	must(t, err)
	if keys, err := store.List(); err != nil || len(keys) != 0 {
		t.Fatalf("%v %v", keys, err)
	}
	if _, err := store.Default(); !errors.Is(err, ErrNoDefault) {
		t.Fatalf("got %v", err)
	}
	first, err := store.Generate("One", "", created)
	must(t, err)
	second, err := store.Generate("Two", "", created)
	must(t, err)
	for path, want := range map[string]os.FileMode{dir: 0o700, store.path(first.Fingerprint()): 0o600, filepath.Join(dir, "default"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	if d, err := store.Default(); err != nil || d.Fingerprint() != first.Fingerprint() {
		t.Fatalf("default: %v", err)
	}
	must(t, store.SetDefault(strings.ToLower(second.Fingerprint()[24:])))
	if d, err := store.Default(); err != nil || d.Fingerprint() != second.Fingerprint() {
		t.Fatalf("default: %v", err)
	}
	if keys, err := store.List(); err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 3 {
		t.Errorf("litter: %v", entries)
	}
	if _, err := store.Get("ABCD"); fault.ClassOf(err) != fault.Usage {
		t.Errorf("got %v", err)
	}
	must(t, os.Chmod(store.path(first.Fingerprint()), 0o640))
	if _, err := store.Get(first.Fingerprint()); fault.ClassOf(err) != fault.Security || len(fault.Hints(err)) == 0 {
		t.Errorf("got %v", err)
	}
	must(t, os.Chmod(dir, 0o750))
	if _, err := OpenStore(dir); fault.ClassOf(err) != fault.Security {
		t.Errorf("got %v", err)
	}
}

func TestExportedKeyIsImported(t *testing.T) {
	from, err := OpenStore(filepath.Join(t.TempDir(), "keys"))
	must(t, err)
	key, err := from.Generate("One", "one@example.org", created)
	must(t, err)
	secret, err := from.Export(key.Fingerprint())
	must(t, err)
	to, err := OpenStore(filepath.Join(t.TempDir(), "keys"))
	must(t, err)
	if got, err := to.Import(secret); err != nil || got.Fingerprint() != key.Fingerprint() {
		t.Fatal(err)
	}
}

// One of many processes makes the development key, and all use it.
func TestEnsureDefaultMakesOneKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	var wg sync.WaitGroup
	fingerprints := make([]string, 8)
	mades := make([]bool, 8)
	for i := range fingerprints {
		wg.Go(func() {
			store, err := OpenStore(dir)
			if err != nil {
				t.Error(err)
				return
			}
			key, made, err := store.EnsureDefault()
			if err != nil {
				t.Error(err)
				return
			}
			fingerprints[i], mades[i] = key.Fingerprint(), made
		})
	}
	wg.Wait()
	count := 0
	for i := range fingerprints {
		if mades[i] {
			count++
		}
		if fingerprints[i] != fingerprints[0] {
			t.Errorf("%s and %s", fingerprints[i], fingerprints[0])
		}
	}
	store, err := OpenStore(dir)
	must(t, err)
	keys, err := store.List()
	if err != nil || len(keys) != 1 || count != 1 {
		t.Fatalf("%d keys, made by %d: %v", len(keys), count, err)
	}
	if age := time.Since(keys[0].Public().Created()); age < 0 || age > time.Minute {
		t.Errorf("made %v ago", age)
	}
}
