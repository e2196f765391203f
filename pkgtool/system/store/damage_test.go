package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"ashlar/pkgtool/system/store"

	"golang.org/x/sys/unix"
)

func TestCheckFindsDamage(t *testing.T) {
	w := newWorld(t, t.TempDir())
	content := strings.Repeat("good ", 50000)
	for what, test := range map[string]struct {
		damage func(path string) error
		want   error
		seen   bool // by Has too
	}{
		"one bit": {func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte{'g' ^ 1}, 200000)
			return err
		}, store.ErrDiffers, false},
		"truncated": {func(path string) error { return os.Truncate(path, 1000) }, store.ErrDiffers, true},
		"mode":      {func(path string) error { return os.Chmod(path, 0o755) }, store.ErrDiffers, true},
		"attribute": {func(path string) error { return unix.Setxattr(path, "user.x", []byte("x"), 0) }, store.ErrDiffers, false},
		"removed":   {os.Remove, fs.ErrNotExist, true},
		"symlink": {func(path string) error {
			return errors.Join(os.Rename(path, path+"x"), os.Symlink(path+"x", path))
		}, unix.ELOOP, true},
	} {
		t.Run(what, func(t *testing.T) {
			content := what + content
			o := object(content, 0o644)
			w.check(w.Put(o, epoch, []byte(content)))
			w.check(w.Check(t.Context(), o))
			w.check(test.damage(w.path(o)))
			if err := w.Check(t.Context(), o); !errors.Is(err, test.want) {
				t.Errorf("Check: %v, want %v", err, test.want)
			}
			if w.has(o) == test.seen {
				t.Errorf("Has: %v", !test.seen)
			}
			w.check(w.Replace(o, epoch, strings.NewReader(content)))
			w.check(w.Check(t.Context(), o))
			if test.seen { // Put does it as well
				w.check(test.damage(w.path(o)))
				w.check(w.Put(o, epoch, []byte(content)))
				w.check(w.Check(t.Context(), o))
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := object(content, 0o644)
	w.check(w.Put(o, epoch, []byte(content)))
	if err := w.Check(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A replaced object is another file: trees keep what they have.
func TestReplaceLeavesTreesAlone(t *testing.T) {
	w := newWorld(t, t.TempDir())
	o := object("content", 0o644)
	w.check(w.Put(o, epoch, []byte("content")))
	w.check(w.Link(o, w.dir, "old"))
	w.check(w.Replace(o, epoch, strings.NewReader("content")))
	w.check(w.Link(o, w.dir, "new"))
	if w.stat(w.tree("old")).Ino == w.stat(w.tree("new")).Ino {
		t.Error("the same inode")
	}
	w.expectFile(w.tree("old"), "content", o)
	w.expectFile(w.tree("new"), "content", o)
}

func TestPrune(t *testing.T) {
	w := newWorld(t, t.TempDir())
	used := map[store.Key]bool{}
	var kept []*store.Object
	for i := range 600 {
		content := fmt.Sprintf("content %03d", i)
		o := object(content, 0o644)
		w.check(w.Put(o, epoch, []byte(content)))
		if i%3 == 0 {
			used[o.Key()] = true
			kept = append(kept, o)
		}
		if i == 1 {
			w.check(w.Link(o, w.dir, "in-use"))
		}
	}
	w.check(w.Seal())
	// Of sealed objects nobody reads the content.
	w.check(os.WriteFile(w.path(kept[0]), []byte("CONTENT 000"), 0))
	removed, bytes, err := w.Prune(t.Context(), func(k store.Key) bool { return used[k] })
	w.check(err)
	if removed != 400 || bytes != 399*11 || len(w.files()) != 200 {
		t.Errorf("%d removed, %d bytes, %d left", removed, bytes, len(w.files()))
	}
	w.expectFile(w.tree("in-use"), "content 001", object("content 001", 0o644))
	for _, o := range kept {
		if !w.has(o) {
			t.Errorf("%s is gone", o.Key())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := w.Prune(ctx, func(store.Key) bool { return false }); !errors.Is(err, context.Canceled) || len(w.files()) != 200 {
		t.Errorf("cancelled: %v, %d left", err, len(w.files()))
	}
}

// Objects of an interrupted run that somebody needs stay if they prove
// themselves. What a crash can leave of others does not.
func TestPruneAfterCrash(t *testing.T) {
	w := newWorld(t, t.TempDir())
	attributed := object("attributed", 0o755)
	attributed.Xattrs = map[string][]byte{"user.note": []byte("n")}
	good, short, zeros, mode := object("good", 0o600), object("short", 0o644), object("zeros", 0o644), object("mode", 0o644)
	for o, content := range map[*store.Object]string{attributed: "attributed", good: "good", short: "short", zeros: "zeros", mode: "mode"} {
		w.check(w.Put(o, epoch, []byte(content)))
	}
	w.check(os.Truncate(w.path(short), 2))
	w.check(os.WriteFile(w.path(zeros), make([]byte, 5), 0))
	w.check(os.Chmod(w.path(mode), 0o600))
	w.check(os.WriteFile(w.path(good)+".new", []byte("half"), 0o600))
	w.check(os.WriteFile(w.path(good)[:len(w.path(good))-1], []byte("a name too short"), 0o600))
	w.reopen()
	if interrupted, err := w.Interrupted(); err != nil || !interrupted {
		t.Fatal(interrupted, err)
	}
	removed, _, err := w.Prune(t.Context(), func(store.Key) bool { return true })
	w.check(err)
	if removed != 5 || len(w.files()) != 2 || !w.has(good) || !w.has(attributed) {
		t.Errorf("%d removed, left: %q", removed, w.files())
	}
	w.check(w.Seal())
	if interrupted, err := w.Interrupted(); err != nil || interrupted {
		t.Fatal(interrupted, err)
	}
}

// crash is the panic that stands for a process that is killed.
type crash struct{}

// Killed before every single change that a run makes, a store recovers: what a
// committed run had is whole, and the next run comes to the same end.
func TestKilledAtEveryChange(t *testing.T) {
	t.Cleanup(func() { store.BeforeMutation = nil })
	old := object("old", 0o644)
	contents := []string{"old", "new", strings.Repeat("big", 5000), "damaged", "mine"}
	objects := make([]*store.Object, len(contents))
	for i, content := range contents {
		objects[i] = object(content, 0o755)
	}
	objects[0] = old
	run := func(w *world) {
		w.check(w.Begin())
		w.check(w.Put(objects[1], epoch, []byte(contents[1])))
		w.check(w.PutFrom(objects[2], epoch, strings.NewReader(contents[2])))
		w.check(w.Replace(objects[3], epoch, strings.NewReader(contents[3])))
		w.check(w.Adopt(objects[4], w.dir, "mine"))
		for i, o := range objects {
			os.Remove(w.tree(fmt.Sprint(i)))
			w.check(w.Link(o, w.dir, fmt.Sprint(i)))
		}
		w.check(w.Seal())
	}
	points := 0
	for killed := true; killed; points++ {
		store.BeforeMutation = nil
		w := newWorld(t, t.TempDir())
		w.check(w.Put(old, epoch, []byte("old")))
		w.check(os.WriteFile(w.tree("mine"), []byte("mine"), 0o755))
		w.check(w.Seal())
		w.reopen()
		n := 0
		store.BeforeMutation = func(string) {
			if n++; n > points {
				panic(crash{})
			}
		}
		func() {
			defer func() {
				reason := recover()
				if _, killed = reason.(crash); !killed && reason != nil {
					panic(reason)
				}
			}()
			run(w)
		}()
		store.BeforeMutation = nil
		w.reopen()
		if interrupted, err := w.Interrupted(); err != nil {
			t.Fatal(err)
		} else if interrupted {
			_, _, err := w.Prune(t.Context(), func(k store.Key) bool { return k == old.Key() })
			w.check(err)
			w.check(w.Seal())
			if left := w.files(); len(left) != 1 {
				t.Fatalf("point %d: left %q", points, left)
			}
		}
		w.check(w.Check(t.Context(), old))
		run(w)
		for _, o := range objects {
			w.check(w.Check(t.Context(), o))
		}
	}
	if points < 20 {
		t.Errorf("only %d points", points)
	}
}
