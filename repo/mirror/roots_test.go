package mirror_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ashlar/repo"
	"ashlar/repo/mirror"
	"ashlar/repo/repotest"
	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/trust"
	"ashlar/repo/tuf"
)

// TestRootsFollow: whoever pinned any root of the origin gets to its state by
// the mirror, also by one that was made after the keys had changed.
func TestRootsFollow(t *testing.T) {
	o := newOrigin(t)
	o.publish(100, "a-1.0.0-1")
	dir := filepath.Join(t.TempDir(), "mirror")
	o.sync(dir, nil)
	first, err := mirror.OwnRoot(o.dir)
	check(t, err)
	for _, role := range []string{"timestamp", "root", "snapshot", "targets"} {
		_, err := o.RotateKey(t.Context(), role, "", nil)
		check(t, err)
		o.publish(100)
		if role != "root" {
			o.sync(dir, nil)
			o.good(dir)
		}
	}
	newest := repotest.Root(t, o.dir)
	late := filepath.Join(t.TempDir(), "late")
	o.sync(late, func(m *mirror.Options) { m.Root = newest })
	for _, place := range []string{dir, late} {
		o.good(place)
		for _, pin := range [][]byte{first, newest} {
			w := &trust.Walk{Limits: quick.OrDefault(), Source: transport.Folder{Dir: place}, Now: o.now, Got: trust.State{Format: 1, Root: pin}}
			if err := w.Run(t.Context()); err != nil {
				t.Errorf("%s: %v", place, err)
			}
		}
	}
	// Of roots before the pinned one it is proven that each leads to the next.
	evil := filepath.Join(t.TempDir(), "evil")
	check(t, os.CopyFS(evil, os.DirFS(o.dir)))
	flip(t, filepath.Join(evil, "metadata/2.root.json"))
	if _, err := o.try(filepath.Join(t.TempDir(), "x"), func(m *mirror.Options) { m.Root = newest }, transport.Folder{Dir: evil}); tuf.KindOf(err) == "" {
		t.Errorf("a flipped root: %v", err)
	}
}

// TestKeyChangeInBetween: whoever reads a mirror at any moment of a run that
// brings a change of keys gets to a state, whatever root he has.
func TestKeyChangeInBetween(t *testing.T) {
	o := newOrigin(t)
	o.publish(100, "a-1.0.0-1")
	dir := filepath.Join(t.TempDir(), "mirror")
	o.sync(dir, nil)
	first, err := mirror.OwnRoot(o.dir)
	check(t, err)
	for _, role := range []string{"timestamp", "snapshot", "targets", "root"} {
		_, err := o.RotateKey(t.Context(), role, "", nil)
		check(t, err)
		o.publish(100, "b-1.0.0-1")
		inner, err := store.OpenDir(dir)
		check(t, err)
		looks := 0
		look := func() {
			looks++
			w := &trust.Walk{Limits: quick.OrDefault(), Source: transport.Folder{Dir: dir}, Now: o.now, Got: trust.State{Format: 1, Root: first}}
			if err := w.Run(t.Context()); err != nil {
				t.Errorf("%s key changed: %s: %v", role, w.File, err)
			}
		}
		_, err = o.into(&watched{Store: inner, after: look}, func(m *mirror.Options) { m.Scratch = t.TempDir() })
		check(t, err)
		inner.Close()
		if looks < 4 {
			t.Errorf("looked %d times", looks)
		}
	}
}

// watched calls after behind every change of what readers see.
type watched struct {
	store.Store
	after func()
}

func (w *watched) PutBytes(ctx context.Context, path string, data []byte) error {
	err := w.Store.PutBytes(ctx, path, data)
	w.after()
	return err
}

func (w *watched) Switch(ctx context.Context, path string, data []byte) error {
	err := w.Store.Switch(ctx, path, data)
	w.after()
	return err
}

// TestPlaceWithoutFolder: a store that is no folder, such as object storage, has
// what is arriving on this machine, goes on after an interruption and is not
// asked for what is known.
func TestPlaceWithoutFolder(t *testing.T) {
	o := newOrigin(t)
	o.publish(5000, "a-1.0.0-1", "b-1.0.0-1", "c-1.0.0-1")
	dir, scratch := filepath.Join(t.TempDir(), "mirror"), filepath.Join(t.TempDir(), "scratch")
	inner, err := store.OpenDir(dir)
	check(t, err)
	defer inner.Close()
	far := &faraway{Store: inner}
	with := func(m *mirror.Options) { m.Scratch, m.Jobs = scratch, 1 }
	w := newWeb(t, o.dir)
	left := &atomic.Int64{}
	left.Store(12_000)
	if _, err := o.into(far, with, breaking{w.source(t), left}); err == nil {
		t.Fatal("the line was not cut")
	}
	part, _ := filepath.Glob(filepath.Join(scratch, ".ashlar/incoming/*.part"))
	if len(part) == 0 {
		t.Errorf("what arrived in part: %q", part)
	}
	r, err := o.into(far, with, w.source(t))
	check(t, err)
	o.same(dir)
	if r.FetchedBytes > 12_000 {
		t.Errorf("%d bytes came again: %+v", r.FetchedBytes, r)
	}
	far.asked.Store(0)
	_, err = o.into(far, with, w.source(t))
	check(t, err)
	if n := far.asked.Load(); n > 8 {
		t.Errorf("nothing new: the store was asked %d times", n)
	}
	rest, _ := filepath.Glob(filepath.Join(scratch, ".ashlar/incoming/*"))
	if len(rest) != 0 {
		t.Errorf("left behind: %q", rest)
	}
}

// faraway hides that a store is a folder, and counts questions.
type faraway struct {
	store.Store
	asked    atomic.Int64
	noSwitch bool
}

func (f *faraway) Switch(ctx context.Context, path string, data []byte) error {
	if f.noSwitch {
		return errBroken
	}
	return f.Store.Switch(ctx, path, data)
}

func (f *faraway) Stat(ctx context.Context, path string) (int64, error) {
	f.asked.Add(1)
	return f.Store.Stat(ctx, path)
}

func (f *faraway) Get(ctx context.Context, path string, offset int64) (*transport.Answer, error) {
	f.asked.Add(1)
	return f.Store.Get(ctx, path, offset)
}

// TestNothingIsForgotten: what a run that never ended has brought for a state
// that nobody wants any more goes after the grace period.
func TestNothingIsForgotten(t *testing.T) {
	o := newOrigin(t)
	o.publish(500, "a-1.0.0-1")
	dir := filepath.Join(t.TempDir(), "mirror")
	o.sync(dir, nil)
	inner, err := store.OpenDir(dir)
	check(t, err)
	defer inner.Close()
	for range 3 {
		o.publish(500, "b-1.0.0-1") // in the place of the one before
		broken := &faraway{Store: inner}
		broken.noSwitch = true
		if _, err := o.into(broken, func(m *mirror.Options) { m.Scratch = t.TempDir() }); err == nil {
			t.Fatal("it switched")
		}
	}
	o.publish(500, "c-1.0.0-1")
	o.sync(dir, nil)
	o.now = o.now.Add(mirror.DefaultGrace + time.Hour)
	o.publish(10)
	if r := o.sync(dir, nil); len(r.Strangers) != 0 {
		t.Errorf("%+v", r)
	}
	o.now = o.now.Add(time.Hour)
	o.sync(dir, func(m *mirror.Options) { m.Grace = time.Second })
	fresh := filepath.Join(t.TempDir(), "fresh")
	o.sync(fresh, nil)
	if got, want := tree(t, dir), tree(t, fresh); !slices.Equal(got, want) {
		t.Errorf("the mirror:\n%s\na new one:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestTogether: two runs into one folder at once both end well.
func TestTogether(t *testing.T) {
	o := newOrigin(t)
	o.publish(500, "a-1.0.0-1", "b-1.0.0-1")
	dir := filepath.Join(t.TempDir(), "mirror")
	done := make(chan error)
	for range 3 {
		go func() {
			_, err := o.try(dir, nil)
			done <- err
		}()
	}
	for range 3 {
		check(t, <-done)
	}
	o.same(dir)
}

// TestInspect: what monitoring is told, and in which words.
func TestInspect(t *testing.T) {
	o := newOrigin(t)
	o.publish(500, "a-1.0.0-1")
	dir := filepath.Join(t.TempDir(), "mirror")
	o.sync(dir, nil)
	at := o.now
	inspect := func(s transport.Source, verify bool) *mirror.Report {
		t.Helper()
		options := o.options()
		options.Verify, options.Now = verify, func() time.Time { return at }
		r, err := mirror.Inspect(t.Context(), s, []transport.Source{o.folder()}, mirror.DefaultMaxAge, options)
		check(t, err)
		return r
	}
	kinds := func(r *mirror.Report) string {
		var all []string
		for _, p := range r.Problems {
			all = append(all, string(p.Kind))
		}
		return fmt.Sprint(strings.Join(all, ","), " ", r.Class())
	}
	here := transport.Folder{Dir: dir}
	for _, s := range []transport.Source{here, newWeb(t, dir).source(t)} {
		if r := inspect(s, true); !r.Healthy || r.Objects != 3 || r.Version == 0 {
			t.Errorf("%+v", r)
		}
	}
	expect := func(want string, verify bool) {
		t.Helper()
		for _, s := range []transport.Source{here, newWeb(t, dir).source(t)} {
			if got := kinds(inspect(s, verify)); got != want {
				t.Errorf("%s: %s; want %s", s, got, want)
			}
		}
	}
	expect(" 1", false)
	at = o.now.Add(37 * time.Hour)
	expect("old 1", false)
	o.publish(500, "b-1.0.0-1")
	expect("old 1", false)
	at = o.now.Add(38 * time.Hour)
	expect("old,behind 1", false)
	at = o.now
	pool := find(t, dir, "pool/a/a/*")
	flip(t, pool)
	expect(" 1", false)
	expect("tampered 4", true)
	check(t, os.Truncate(pool, 5))
	expect("missing 1", false)
	check(t, os.Remove(pool))
	expect("missing 1", false)
	flip(t, find(t, dir, "index/*"))
	expect("tampered 4", false)
	o.now = o.now.Add(20 * 24 * time.Hour)
	o.publish(500)
	at = o.now
	expect("stale 8", false)
	check(t, os.RemoveAll(filepath.Join(dir, "metadata")))
	expect("missing 1", false)
	check(t, os.MkdirAll(filepath.Join(dir, "metadata"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, repo.TimestampPath), []byte("<html>"), 0o644))
	expect("tampered 4", false)
}
