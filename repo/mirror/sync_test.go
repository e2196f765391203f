package mirror_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/mirror"
	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"
)

func hashOf(t testing.TB, r io.Reader) string {
	t.Helper()
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func TestFullThenIncremental(t *testing.T) {
	o := newOrigin(t)
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("p%02d-1.0.0-1", i))
	}
	o.publish(20_000, names...)
	w := newWeb(t, o.dir)
	dir := filepath.Join(t.TempDir(), "mirror")
	r := o.sync(dir, nil, w.source(t))
	o.same(dir)
	if !r.Changed || r.Fetched != 42 || r.Objects != 42 || len(r.Strangers) != 0 {
		t.Errorf("%+v", r)
	}
	if sent := w.bytes.Load(); sent < r.FetchedBytes || sent > r.Bytes+20_000 {
		t.Errorf("%d bytes were sent for %d bytes; the result says %d", sent, r.Bytes, r.FetchedBytes)
	}
	// Nothing new costs the timestamp and one question for a new root.
	w.bytes.Store(0)
	w.requests.Store(0)
	r = o.sync(dir, nil, w.source(t))
	if r.Changed || w.requests.Load() != 2 || w.bytes.Load() > 2000 {
		t.Errorf("nothing new: %d requests, %d bytes, %+v", w.requests.Load(), w.bytes.Load(), r)
	}
	// One package costs itself, the index and metadata.
	o.publish(20_000, "q-1.0.0-1")
	w.bytes.Store(0)
	r = o.sync(dir, nil, w.source(t))
	o.good(dir)
	if !r.Changed || r.Fetched != 2 || w.bytes.Load() > 45_000 {
		t.Errorf("one package: %d bytes, %+v", w.bytes.Load(), r)
	}
	if version(t, dir) != version(t, o.dir) {
		t.Error("the mirror does not show the new state")
	}
}

// TestTrustMustBeGiven: no trust on first use, and none but the first given.
func TestTrustMustBeGiven(t *testing.T) {
	o, other := newOrigin(t), newOrigin(t)
	o.publish(10, "a-1.0.0-1")
	other.publish(10, "a-1.0.0-1")
	otherRoot, err := mirror.OwnRoot(other.dir)
	check(t, err)
	dir := filepath.Join(t.TempDir(), "mirror")
	for name, edit := range map[string]func(*mirror.Options){
		"nothing":           func(m *mirror.Options) { m.Root = nil },
		"another root":      func(m *mirror.Options) { m.Root = otherRoot },
		"wrong fingerprint": func(m *mirror.Options) { m.Root, m.Fingerprint = nil, strings.Repeat("0", 64) },
	} {
		if _, err := o.try(dir, edit); fault.ClassOf(err) != fault.Security {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "metadata")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
	root, err := mirror.OwnRoot(o.dir)
	check(t, err)
	sum := sha256.Sum256(root)
	print := hex.EncodeToString(sum[:])
	o.sync(dir, func(m *mirror.Options) { m.Root, m.Fingerprint = nil, strings.ToUpper(print[:32])+" "+print[32:] })
	o.same(dir)
	o.sync(dir, func(m *mirror.Options) { m.Root = nil }) // it is known now
	o.sync(dir, func(m *mirror.Options) { m.Root, m.Fingerprint = nil, print })
	for name, edit := range map[string]func(*mirror.Options){
		"another root":        func(m *mirror.Options) { m.Root = otherRoot },
		"another fingerprint": func(m *mirror.Options) { m.Root, m.Fingerprint = nil, strings.Repeat("0", 64) },
	} {
		if _, err := o.try(dir, edit); fault.ClassOf(err) != fault.Security {
			t.Errorf("%s after the first run: %v", name, err)
		}
	}
}

// TestResumeAfterAnyByte cuts the line after ever more bytes. Whatever has
// arrived is not asked for again, and readers see nothing of it.
func TestResumeAfterAnyByte(t *testing.T) {
	o := newOrigin(t)
	o.publish(3000, "a-1.0.0-1", "b-1.0.0-1", "c-1.0.0-1")
	w := newWeb(t, o.dir)
	whole := o.sync(filepath.Join(t.TempDir(), "whole"), nil, w.source(t)).FetchedBytes
	for cut := int64(0); cut < whole; cut += 997 {
		dir := filepath.Join(t.TempDir(), "mirror")
		left := &atomic.Int64{}
		left.Store(cut)
		w.bytes.Store(0)
		one := func(m *mirror.Options) { m.Jobs = 1 }
		if _, err := o.try(dir, one, breaking{w.source(t), left}); err == nil {
			t.Fatalf("cut after %d of %d bytes: no error", cut, whole)
		}
		if version(t, dir) != "" {
			t.Fatalf("cut after %d bytes: a state is shown", cut)
		}
		r := o.sync(dir, nil, w.source(t))
		o.same(dir)
		// Metadata up to the cut comes again; packages and indexes do not.
		if r.FetchedBytes > whole-cut+metadataBytes(t, o.dir) {
			t.Errorf("cut after %d of %d bytes: %d more", cut, whole, r.FetchedBytes)
		}
	}
}

func metadataBytes(t testing.TB, dir string) (sum int64) {
	files, err := os.ReadDir(filepath.Join(dir, "metadata"))
	check(t, err)
	for _, f := range files {
		info, err := f.Info()
		check(t, err)
		sum += info.Size()
	}
	return sum
}

// TestOriginPublishesMeanwhile: the origin shows a new state, and removes the
// old one without any grace, while it is copied.
func TestOriginPublishesMeanwhile(t *testing.T) {
	o := newOrigin(t)
	o.publish(1000, "a-1.0.0-1", "b-1.0.0-1", "c-1.0.0-1")
	w := newWeb(t, o.dir)
	var once sync.Once
	w.before = func(_ http.ResponseWriter, path string) bool {
		if strings.HasPrefix(path, "index/") {
			once.Do(func() {
				old := served(t, o.dir)
				o.publish(1000, "b-1.0.0-1", "d-1.0.0-1") // another build of b
				keep := o.keep()
				for _, path := range old {
					if !keep[path] {
						os.Remove(filepath.Join(o.dir, path))
					}
				}
			})
		}
		return false
	}
	dir := filepath.Join(t.TempDir(), "mirror")
	o.sync(dir, func(m *mirror.Options) { m.Jobs = 1 }, w.source(t))
	o.good(dir)
	if version(t, dir) != version(t, o.dir) {
		t.Error("the mirror does not show the new state")
	}
}

// keep lists what the state that the origin shows needs.
func (o *origin) keep() map[string]bool {
	fresh := filepath.Join(o.TempDir(), "fresh")
	o.sync(fresh, nil)
	keep := map[string]bool{}
	for _, path := range served(o.T, fresh) {
		keep[path] = true
	}
	return keep
}

func served(t testing.TB, dir string) []string {
	var paths []string
	for _, line := range tree(t, dir) {
		path, _, _ := strings.Cut(line, " ")
		paths = append(paths, path)
	}
	return paths
}

func find(t testing.TB, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	check(t, err)
	if len(found) != 1 {
		t.Fatalf("%s: %d files", pattern, len(found))
	}
	return found[0]
}

func flip(t testing.TB, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	check(t, err)
	data[len(data)/2] ^= 1
	check(t, os.WriteFile(file, data, 0o644))
}

func TestDamageIsFoundAndFetchedAgain(t *testing.T) {
	o := newOrigin(t)
	o.publish(1000, "a-1.0.0-1", "b-1.0.0-1")
	dir := filepath.Join(t.TempDir(), "mirror")
	o.sync(dir, nil)
	verify := func(m *mirror.Options) { m.Verify = true }
	for _, pattern := range []string{"pool/a/a/*", "index/*", "keyring/*", "metadata/*.snapshot.json", "metadata/1.root.json"} {
		flip(t, find(t, dir, pattern))
		r := o.sync(dir, verify)
		o.same(dir)
		if strings.HasPrefix(pattern, "metadata") {
			continue // compared with what was just verified
		}
		if len(r.Damaged) != 1 || r.Fetched != 1 || r.Changed {
			t.Errorf("%s flipped: %+v", pattern, r)
		}
	}
	for name, spoil := range map[string]func(path string) error{
		"cut":     func(path string) error { return os.Truncate(path, 10) },
		"removed": os.Remove,
		"grown":   func(path string) error { return os.WriteFile(path, make([]byte, 9000), 0o644) },
	} {
		for _, pattern := range []string{"pool/a/a/*", "index/*"} {
			check(t, spoil(find(t, dir, pattern)))
			if r := o.sync(dir, nil); r.Fetched != 1 {
				t.Errorf("%s %s: %+v", pattern, name, r)
			}
			o.same(dir)
		}
	}
	if r := o.sync(dir, verify); len(r.Damaged) != 0 || r.Fetched != 0 {
		t.Errorf("nothing was damaged: %+v", r)
	}
}

// TestGrace: what is not shown any more stays for the grace period, is taken
// back where a state names it again, and strangers are never touched.
func TestGrace(t *testing.T) {
	o := newOrigin(t)
	o.publish(1000, "a-1.0.0-1", "b-1.0.0-1")
	dir := filepath.Join(t.TempDir(), "mirror")
	o.sync(dir, nil)
	first := served(t, dir)
	stranger := filepath.Join(dir, "pool/a/a/mine")
	check(t, os.WriteFile(stranger, []byte("mine"), 0o644))
	o.publish(1000, "a-1.0.0-1") // another build of a takes its place
	r := o.sync(dir, nil)
	if !slices.Equal(r.Strangers, []string{"pool/a/a/mine"}) || r.Removed != 0 {
		t.Errorf("%+v", r)
	}
	have := func() []string { return served(t, dir) }
	for _, path := range first {
		if !slices.Contains(have(), path) {
			t.Errorf("%s went before its time", path)
		}
	}
	o.now = o.now.Add(mirror.DefaultGrace - 3*time.Hour)
	o.publish(1000, "c-1.0.0-1")
	if r := o.sync(dir, nil); r.Removed != 0 {
		t.Errorf("removed within the grace period: %+v", r)
	}
	o.now = o.now.Add(3 * time.Hour)
	o.publish(1000)
	r = o.sync(dir, nil)
	// The first index, targets and snapshot. The first build of a stays: the
	// publisher offers it to lock files.
	if r.Removed != 3 {
		t.Errorf("%d removed: %+v", r.Removed, r)
	}
	o.good(dir)
	if _, err := os.Stat(stranger); err != nil {
		t.Error(err)
	}
	o.now = o.now.Add(3 * mirror.DefaultGrace)
	o.publish(10, "d-1.0.0-1")
	o.sync(dir, nil)
	check(t, os.Remove(stranger))
	o.now = o.now.Add(mirror.DefaultGrace)
	o.publish(10)
	o.sync(dir, nil)
	fresh := filepath.Join(t.TempDir(), "fresh")
	o.sync(fresh, nil)
	if got, want := tree(t, dir), tree(t, fresh); !slices.Equal(got, want) {
		t.Errorf("after the grace period:\n%s\na new mirror:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestEvilOrigin: whatever a source does, the mirror shows what it showed, and
// the refusal says what was wrong.
func TestEvilOrigin(t *testing.T) {
	o := newOrigin(t)
	o.publish(1000, "a-1.0.0-1")
	old := filepath.Join(t.TempDir(), "old")
	o.sync(old, nil)
	o.publish(1000, "b-1.0.0-1")
	good := filepath.Join(t.TempDir(), "mirror")
	o.sync(good, nil)
	before := tree(t, good)
	o.publish(3000, "c-1.0.0-1")
	for name, c := range map[string]struct {
		kind  tuf.Kind
		spoil func(dir string)
	}{
		"goes back":          {tuf.RolledBack, func(d string) { replace(t, d, old) }},
		"package flipped":    {tuf.Tampered, func(d string) { flip(t, find(t, d, "pool/c/c/*")) }},
		"package cut":        {tuf.Tampered, func(d string) { check(t, os.Truncate(find(t, d, "pool/c/c/*"), 100)) }},
		"package grown":      {tuf.Tampered, func(d string) { check(t, os.Truncate(find(t, d, "pool/c/c/*"), 1<<30)) }},
		"timestamp flipped":  {tuf.Unsigned, func(d string) { edit(t, filepath.Join(d, repo.TimestampPath), `"version":1`, `"version":2`) }},
		"timestamp endless":  {tuf.Unbounded, func(d string) { check(t, os.Truncate(filepath.Join(d, repo.TimestampPath), 1<<30)) }},
		"timestamp is a web": {tuf.Tampered, func(d string) { check(t, os.WriteFile(filepath.Join(d, repo.TimestampPath), []byte("<html>"), 0o644)) }},
		"index of others":    {tuf.Tampered, func(d string) { spoilNewest(t, d, "index") }},
		"snapshot of others": {tuf.Tampered, func(d string) { spoilNewest(t, d, "metadata", "snapshot") }},
		"nothing there":      {"", func(d string) { check(t, os.RemoveAll(filepath.Join(d, "metadata"))) }},
		"package absent":     {"", func(d string) { check(t, os.Remove(find(t, d, "pool/c/c/*"))) }},
	} {
		t.Run(name, func(t *testing.T) {
			evil := filepath.Join(t.TempDir(), "evil")
			check(t, os.CopyFS(evil, os.DirFS(o.dir)))
			c.spoil(evil)
			dir := filepath.Join(t.TempDir(), "mirror")
			check(t, os.CopyFS(dir, os.DirFS(good)))
			for _, source := range []transport.Source{transport.Folder{Dir: evil}, newWeb(t, evil).source(t)} {
				_, err := o.try(dir, nil, source)
				if err == nil || tuf.KindOf(err) != c.kind {
					t.Errorf("%s: %q: %v", source, tuf.KindOf(err), err)
				}
				if want := fault.Network; c.kind == "" && fault.ClassOf(err) != want {
					t.Errorf("%s: class %d: %v", source, fault.ClassOf(err), err)
				}
				o.good(dir)
				if got := tree(t, dir); version(t, dir) == version(t, o.dir) || !containsAll(got, before) {
					t.Errorf("%s: what the mirror shows changed", source)
				}
			}
			// A good source beside the evil one makes up for it.
			warned := 0
			copied := filepath.Join(t.TempDir(), "copied")
			check(t, os.CopyFS(copied, os.DirFS(dir)))
			o.sync(copied, func(m *mirror.Options) { m.Warn = func(error) { warned++ } }, transport.Folder{Dir: evil}, o.folder())
			o.good(copied)
			if version(t, copied) != version(t, o.dir) || warned == 0 {
				t.Errorf("with a good source: %d warnings", warned)
			}
		})
	}
	dir := filepath.Join(t.TempDir(), "mirror")
	o.sync(dir, nil)
	o.now = o.now.Add(20 * 24 * time.Hour)
	if _, err := o.try(dir, nil); tuf.KindOf(err) != tuf.Stale {
		t.Errorf("expired: %v", err)
	}
}

func containsAll(all, some []string) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}

func replace(t testing.TB, dir, with string) {
	check(t, os.RemoveAll(dir))
	check(t, os.CopyFS(dir, os.DirFS(with)))
}

func edit(t testing.TB, file, old, new string) {
	data, err := os.ReadFile(file)
	check(t, err)
	check(t, os.WriteFile(file, []byte(strings.Replace(string(data), old, new, 1)), 0o644))
}

func spoilNewest(t testing.TB, dir, folder string, has ...string) {
	files, err := os.ReadDir(filepath.Join(dir, folder))
	check(t, err)
	for _, f := range files {
		if len(has) == 0 || strings.Contains(f.Name(), has[0]) {
			flip(t, filepath.Join(dir, folder, f.Name()))
		}
	}
}

func TestParts(t *testing.T) {
	o := newOrigin(t)
	o.publish(500, "a-1.0.0-1", "doc-1.0.0-1.noarch")
	o.publishTo("testing", 500, "a-2.0.0-1")
	part := filepath.Join(t.TempDir(), "part")
	stable := func(m *mirror.Options) { m.Channels, m.Arches = []string{"stable"}, []string{"x86_64"} }
	r := o.sync(part, stable)
	if r.Objects != 5 { // two indexes, the keyring, two packages
		t.Errorf("%+v", r)
	}
	has := func(dir, pattern string) bool {
		found, _ := filepath.Glob(filepath.Join(dir, pattern))
		return len(found) > 0
	}
	if has(part, "index/*.testing.*") || has(part, "pool/a/a/*a-2.0.0*") || !has(part, "pool/d/doc/*") {
		t.Errorf("%v", served(t, part))
	}
	// The choice is kept, and so it is with a mirror of the part.
	o.publishTo("testing", 500, "b-2.0.0-1")
	o.publish(500, "b-1.0.0-1")
	o.sync(part, nil)
	if has(part, "pool/b/b/*b-2.0.0*") || !has(part, "pool/b/b/*b-1.0.0*") {
		t.Errorf("%v", served(t, part))
	}
	second := filepath.Join(t.TempDir(), "second")
	o.sync(second, stable, transport.Folder{Dir: part})
	if _, err := o.try(filepath.Join(t.TempDir(), "too-much"), nil, transport.Folder{Dir: part}); fault.ClassOf(err) != fault.Network {
		t.Errorf("a whole mirror of a part: %v", err)
	}
	if _, err := o.try(filepath.Join(t.TempDir(), "none"), func(m *mirror.Options) { m.Channels = []string{"none"} }); fault.ClassOf(err) != fault.Usage {
		t.Errorf("a channel that is not there: %v", err)
	}
	// A part becomes the whole, and a mirror of a mirror is one.
	r = o.sync(part, func(m *mirror.Options) { m.Channels, m.Arches = []string{mirror.All}, []string{mirror.All} })
	o.good(part)
	if r.Fetched != 3 || r.Changed {
		t.Errorf("%+v", r)
	}
	third := filepath.Join(t.TempDir(), "third")
	o.sync(third, nil, newWeb(t, part).source(t))
	o.good(third)
	// Less is chosen: what is left out goes after the grace period.
	o.sync(third, stable)
	o.now = o.now.Add(mirror.DefaultGrace)
	o.publish(10)
	if r := o.sync(third, nil); r.Removed == 0 || has(third, "index/*.testing.*") || has(third, "pool/a/a/*a-2.0.0*") {
		t.Errorf("%+v", r)
	}
}

// TestSharedPackage: a package of two channels stays while one of them has it.
func TestSharedPackage(t *testing.T) {
	o := newOrigin(t)
	file := func(name string) string {
		return find(t, o.in, name+".x86_64.ashlar")
	}
	o.publishTo("testing", 500, "a-1.0.0-1")
	_, err := o.Add(t.Context(), "stable", file("a-1.0.0-1"))
	check(t, err)
	o.publish(500)
	dir := filepath.Join(t.TempDir(), "mirror")
	o.sync(dir, nil)
	o.publishTo("testing", 500, "a-1.0.0-1") // another build, in testing alone
	o.sync(dir, nil)
	o.now = o.now.Add(2 * mirror.DefaultGrace)
	o.publish(500)
	o.sync(dir, nil)
	o.good(dir)
}

func TestDryRunChangesNothing(t *testing.T) {
	o := newOrigin(t)
	o.publish(500, "a-1.0.0-1")
	dir := filepath.Join(t.TempDir(), "mirror")
	dry := func(m *mirror.Options) { m.DryRun = true }
	r := o.sync(dir, dry)
	if got := tree(t, dir); r.Needed != 3 || !r.Changed || len(got) != 0 {
		t.Errorf("%+v, %v", r, got)
	}
	if _, err := os.Stat(filepath.Join(dir, ".ashlar")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dry run wrote: %v", err)
	}
	o.sync(dir, nil)
	if r := o.sync(dir, dry); r.Needed != 0 || r.Changed {
		t.Errorf("%+v", r)
	}
}

// TestAdoptsACopy: files that came by another way are proven and not fetched.
func TestAdoptsACopy(t *testing.T) {
	o := newOrigin(t)
	o.publish(500, "a-1.0.0-1", "b-1.0.0-1")
	dir := filepath.Join(t.TempDir(), "mirror")
	check(t, os.CopyFS(dir, os.DirFS(o.dir)))
	check(t, os.RemoveAll(filepath.Join(dir, ".ashlar")))
	flip(t, find(t, dir, "pool/a/a/*"))
	r := o.sync(dir, nil)
	o.same(dir)
	if r.Fetched != 1 || r.Changed {
		t.Errorf("%+v", r)
	}
}

func TestPush(t *testing.T) {
	o := newOrigin(t)
	o.publish(500, "a-1.0.0-1")
	dir := filepath.Join(t.TempDir(), "mirror")
	s, err := store.OpenDir(dir)
	check(t, err)
	defer s.Close()
	options := mirror.Options{Now: func() time.Time { return o.now }}
	_, err = mirror.Push(t.Context(), o.dir, s, options)
	check(t, err)
	o.same(dir)
	private, err := os.ReadDir(filepath.Join(dir, ".ashlar"))
	check(t, err)
	for _, f := range private {
		if !strings.HasPrefix(f.Name(), "mirror") && f.Name() != "incoming" {
			t.Errorf(".ashlar/%s was copied", f.Name())
		}
	}
	own, err := store.OpenDir(o.dir)
	check(t, err)
	defer own.Close()
	if _, err := mirror.Push(t.Context(), o.dir, own, options); fault.ClassOf(err) != fault.Usage {
		t.Errorf("a repository was made a mirror of itself: %v", err)
	}
}
