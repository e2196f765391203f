package build

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/build/remote"
	"ashlar/signing"
)

// builder is a bench with a cache of its own that shares results.
type builder struct {
	*bench
	key    *signing.PrivateKey
	shared *Shared // of the last build
}

// newBuilder makes a builder that trusts its own key and those of others.
func newBuilder(t *testing.T, place string, push bool, others ...*builder) *builder {
	t.Helper()
	b := &builder{bench: newBench(t)}
	var err error
	if b.key, err = signing.Generate("builder", "", time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	keys := []*signing.PublicKey{b.key.Public()}
	for _, o := range others {
		keys = append(keys, o.key.Public())
	}
	allowed, err := signing.NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	b.setUp = func(e *Engine) {
		store, err := remote.Open(place)
		if err != nil {
			t.Fatal(err)
		}
		b.shared = &Shared{Store: store, Keys: allowed}
		if push {
			b.shared.Push = b.key
		}
		e.Shared = b.shared
	}
	return b
}

// world writes the recipes that all builders build.
func (b *builder) world() {
	b.recipe("lib", "packages: [{name: lib-dev, split: dev}]", "put, usr/include/lib.h, one")
	b.recipe("app", "build: {libs: [lib-dev]}", "append, /usr/include/lib.h, usr/share/app")
}

// sums are the packages of a build.
func (b *builder) sums() string {
	b.t.Helper()
	built, err := b.build()
	if err != nil {
		b.t.Fatal(err)
	}
	var texts []string
	for _, p := range built {
		texts = append(texts, p.SHA256)
	}
	return strings.Join(texts, " ")
}

func (b *builder) warnings() string {
	var texts []string
	for _, ev := range b.events {
		if ev.Kind == Warning {
			texts = append(texts, ev.Text)
		}
	}
	return strings.Join(texts, "\n")
}

func TestSharedCache(t *testing.T) {
	place := t.TempDir()
	one := newBuilder(t, place, true)
	one.world()
	want := one.sums()
	expect(t, "pushed", one.told(Pushed), "app lib")

	two := newBuilder(t, place, true, one)
	two.world()
	expect(t, "packages", two.sums(), want)
	expect(t, "built", two.told(Started), "")
	expect(t, "received", two.told(Received), "app lib")
	if s := two.shared.Stats(); s.Hits != 2 || s.Misses != 0 || s.Bytes == 0 {
		t.Errorf("%+v", s)
	}
	expect(t, "signed what it did not build", two.told(Pushed), "")
	// Whoever asks for two builders gets nothing until another one has built.
	three := newBuilder(t, place, false, one, two)
	setUp := three.setUp
	three.setUp = func(e *Engine) { setUp(e); e.Shared.Threshold = 2 }
	three.world()
	three.sums()
	expect(t, "built for want of a second signature", three.told(Started), "app lib")

	two.cache = t.TempDir()
	own := two.setUp
	two.setUp = func(*Engine) {}
	expect(t, "packages of the second builder", two.sums(), want)
	two.setUp = own
	two.must()
	expect(t, "signed by the second builder", two.told(Pushed), "app lib")
	three.cache = t.TempDir()
	expect(t, "packages by two builders", three.sums(), want)
	expect(t, "built after two signatures", three.told(Started), "")
	// Nothing is asked for twice.
	three.must()
	expect(t, "received again", three.told(Received), "")
}

func TestSharedCacheIsNotTrusted(t *testing.T) {
	place := t.TempDir()
	stranger := newBuilder(t, place, true)
	stranger.world()
	stranger.sums()
	own := newBuilder(t, place, true)
	own.world()
	own.sums()
	expect(t, "built in spite of a stranger's entries", own.told(Started), "app lib")
	if text := own.warnings(); !strings.Contains(text, "not signed by enough trusted keys") {
		t.Errorf("warnings: %s", text)
	}
	expect(t, "replaced", own.told(Pushed), "app lib")

	for _, c := range []struct {
		name, want string
		spoil      func(path string) error
	}{
		{"ac", "", os.Remove},
		{"ac", "entry of the build cache", func(path string) error { return os.WriteFile(path, []byte("<html>"), 0o644) }},
		{"blobs/sha256", "", os.Remove},
		{"blobs/sha256", "bytes, ", func(path string) error { return os.Truncate(path, 10) }},
		{"blobs/sha256", "has the sha256", func(path string) error {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			data[len(data)/2] ^= 1
			return os.WriteFile(path, data, 0o644)
		}},
	} {
		files, err := filepath.Glob(filepath.Join(place, c.name, "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			if err := c.spoil(f); err != nil {
				t.Fatal(err)
			}
		}
		victim := newBuilder(t, place, true, own)
		victim.world()
		victim.sums()
		expect(t, c.name+" spoilt: built", victim.told(Started), "app lib")
		if text := victim.warnings(); c.want != "" && !strings.Contains(text, c.want) {
			t.Errorf("%s: want %q in warnings: %s", c.name, c.want, text)
		}
		// What was spoilt is whole again for the next one.
		next := newBuilder(t, place, true, own, victim)
		next.world()
		next.sums()
		expect(t, c.name+" repaired: built", next.told(Started), "")
		own = victim
	}
}

// TestEntriesOfOthersBuilds: a signed entry counts only under its own key.
func TestEntriesOfOthersBuilds(t *testing.T) {
	place := t.TempDir()
	one := newBuilder(t, place, true)
	one.world()
	one.sums()
	entries, err := filepath.Glob(filepath.Join(place, "ac/*"))
	if err != nil || len(entries) != 2 {
		t.Fatal(entries, err)
	}
	a, errA := os.ReadFile(entries[0])
	b, errB := os.ReadFile(entries[1])
	if err := errors.Join(errA, errB, os.WriteFile(entries[0], b, 0o644), os.WriteFile(entries[1], a, 0o644)); err != nil {
		t.Fatal(err)
	}
	two := newBuilder(t, place, false, one)
	two.world()
	two.sums()
	expect(t, "built", two.told(Started), "app lib")
	if text := two.warnings(); !strings.Contains(text, "the entry of another build stands under") {
		t.Errorf("warnings: %s", text)
	}
}

func TestSharedCacheThatIsDown(t *testing.T) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	b := newBuilder(t, server.URL, true)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		b.recipe(name, "", "put, usr/share/"+name+", x")
	}
	b.must()
	expect(t, "built", b.told(Done), "a b c d e")
	if text := b.warnings(); !strings.Contains(text, "it is not asked any more") {
		t.Errorf("warnings: %s", text)
	}
	if requests > 2*maxFailures {
		t.Errorf("%d requests to a server that says no", requests)
	}
}

// TestConflict: a builder that gets other packages from the same inputs says so
// and leaves the entry alone.
func TestConflict(t *testing.T) {
	place := t.TempDir()
	recipes := func(b *builder) { b.recipe("jobs", "", "jobs, usr/share/jobs") }
	one := newBuilder(t, place, true)
	recipes(one)
	one.sums()
	two := newBuilder(t, filepath.Join(place, "none"), false, one)
	recipes(two)
	setUp := two.setUp
	two.setUp = func(e *Engine) { setUp(e); e.Jobs = 9 }
	two.sums()
	both := newBuilder(t, place, true, one)
	both.bench.recipes, both.cache = two.recipes, two.cache
	both.sums()
	if text := both.warnings(); !strings.Contains(text, "another builder got other packages of jobs") {
		t.Errorf("warnings: %s", text)
	}
	expect(t, "pushed", both.told(Pushed), "")
}
