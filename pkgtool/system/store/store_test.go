package store_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"

	"ashlar/pkgtool/system/store"

	"golang.org/x/sys/unix"
)

func TestObjectBecomesNamesOfOneFile(t *testing.T) {
	w := newWorld(t, t.TempDir())
	o := object("hello\n", 0o644)
	if w.has(o) {
		t.Fatal("there before it was made")
	}
	if err := w.Link(o, w.dir, "early"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("linked before it was made: %v", err)
	}
	for range 2 { // the second is fine
		w.check(w.Put(o, epoch, []byte("hello\n")))
	}
	if !w.has(o) {
		t.Fatal("not there")
	}
	for _, name := range []string{"a", "b"} {
		w.check(w.Link(o, w.dir, name))
		w.expectFile(w.tree(name), "hello\n", o)
	}
	if st := w.stat(w.path(o)); st.Ino != w.stat(w.tree("a")).Ino || st.Nlink != 3 {
		t.Errorf("%d links", st.Nlink)
	}
	if err := w.Link(o, w.dir, "a"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("linked over a file: %v", err)
	}
	f, err := w.Open(o)
	w.check(err)
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || string(data) != "hello\n" {
		t.Errorf("opened: %q, %v", data, err)
	}
	w.check(w.Check(t.Context(), o))
}

// The key has everything but the time, so what differs in mode only does not
// share a file.
func TestKey(t *testing.T) {
	base := func() *store.Object { return object("x", 0o644) }
	seen := map[store.Key]string{base().Key(): "base"}
	for what, change := range map[string]func(*store.Object){
		"content":          func(o *store.Object) { o.SHA256 = object("y", 0).SHA256 },
		"mode":             func(o *store.Object) { o.Mode = 0o755 },
		"setuid":           func(o *store.Object) { o.Mode = 0o4644 },
		"uid":              func(o *store.Object) { o.UID++ },
		"gid":              func(o *store.Object) { o.GID++ },
		"attribute":        func(o *store.Object) { o.Xattrs = map[string][]byte{"user.a": []byte("bc")} },
		"attribute's name": func(o *store.Object) { o.Xattrs = map[string][]byte{"user.ab": []byte("c")} },
		"two attributes":   func(o *store.Object) { o.Xattrs = map[string][]byte{"user.a": []byte("bc"), "user.b": nil} },
		"wrong hash":       func(o *store.Object) { o.SHA256 = "zz" },
	} {
		o := base()
		change(o)
		if other, taken := seen[o.Key()]; taken {
			t.Errorf("%s has the key of %s", what, other)
		}
		seen[o.Key()] = what
	}
	later := base()
	later.Time++
	if later.Key() != base().Key() {
		t.Error("the time changes the key")
	}
	fixed := store.Object{SHA256: base().SHA256, Mode: 0o4755, UID: 1, GID: 2,
		Xattrs: map[string][]byte{"user.a": []byte("bc"), "security.capability": {1}}}
	const want = "0822cbb1a6558566c314033e33badf880155b16912286ed094037209952df50f" // by another program, from the description
	if got := fixed.Key().String(); got != want {
		t.Errorf("key %s, want %s: every store that exists would be lost", got, want)
	}
}

func TestEmptyFilesAreCreated(t *testing.T) {
	w := newWorld(t, t.TempDir())
	o := object("", 0o640)
	o.Time = epoch
	w.check(w.Put(o, epoch, nil))
	w.check(w.PutFrom(o, epoch, strings.NewReader("")))
	writer, err := w.Create(o, epoch)
	w.check(err)
	w.check(writer.Close())
	w.check(w.Check(t.Context(), o))
	if !w.has(o) {
		t.Error("not there")
	}
	w.check(w.Link(o, w.dir, "a"))
	w.check(w.Link(o, w.dir, "b"))
	w.expectFile(w.tree("a"), "", o)
	if w.stat(w.tree("a")).Ino == w.stat(w.tree("b")).Ino || len(w.files()) != 0 {
		t.Error("empty files share an inode")
	}
	if err := w.Link(o, w.dir, "a"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created over a file: %v", err)
	}
	f, err := w.Open(o)
	w.check(err)
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || len(data) != 0 {
		t.Errorf("opened: %q, %v", data, err)
	}
}

// Modes, owners and attributes come out right whatever new files get by the
// umask and the folder, and setuid bits and capabilities survive the chown.
func TestAttributes(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	dir := t.TempDir()
	w := newWorld(t, dir)
	capability := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // cap_net_raw+ep
	n := 0
	for _, mode := range []uint32{0o644, 0o755, 0o4755, 0o2711, 0o444, 0o600, 0o777, 0} {
		for _, owner := range [][2]uint32{{uint32(os.Geteuid()), uint32(os.Getegid())}, {12, 34}} {
			for _, attributes := range []map[string][]byte{nil, {"user.note": []byte("n")}, {"security.capability": capability, "user.b": {}}} {
				if os.Geteuid() != 0 && (owner[0] == 12 || len(attributes) == 2) {
					continue
				}
				content := fmt.Sprint("content ", n)
				o := object(content, mode)
				o.UID, o.GID, o.Xattrs = owner[0], owner[1], attributes
				w.check(w.Put(o, epoch, []byte(content)))
				name := fmt.Sprint(n)
				w.check(w.Link(o, w.dir, name))
				if os.Geteuid() == 0 || mode&0o400 != 0 {
					w.expectFile(w.tree(name), content, o)
					w.check(w.Check(t.Context(), o))
				}
				empty := object("", mode)
				empty.UID, empty.GID, empty.Xattrs, empty.Time = owner[0], owner[1], attributes, epoch
				w.check(w.Link(empty, w.dir, name+"-empty"))
				if os.Geteuid() == 0 || mode&0o400 != 0 {
					w.expectFile(w.tree(name+"-empty"), "", empty)
				}
				n++
			}
		}
	}
}

// A folder with the setgid bit hands its group to what is made in it.
func TestGroupOfFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs a second group")
	}
	dir := t.TempDir()
	for _, name := range []string{".ashlar", "tree"} {
		if err := errors.Join(os.Mkdir(dir+"/"+name, 0o755), os.Chown(dir+"/"+name, 0, 7), os.Chmod(dir+"/"+name, 0o755|fs.ModeSetgid)); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t, dir)
	o, empty := object("x", 0o644), object("", 0o644)
	empty.Time = epoch
	w.check(w.Put(o, epoch, []byte("x")))
	w.check(w.Link(o, w.dir, "x"))
	w.check(w.Link(empty, w.dir, "empty"))
	w.expectFile(w.tree("x"), "x", o)
	w.expectFile(w.tree("empty"), "", empty)
}

// In every way in which making an object can fail, nothing is left of it.
func TestFailureLeavesNothing(t *testing.T) {
	w := newWorld(t, t.TempDir())
	broken := errors.New("broken")
	content := strings.Repeat("content ", 1000)
	o := object(content, 0o644)
	create := func(pieces ...string) error {
		writer, err := w.Create(o, epoch)
		w.check(err)
		for _, piece := range pieces {
			io.WriteString(writer, piece)
		}
		return writer.Close()
	}
	wrongOwner := *o
	wrongOwner.Xattrs = map[string][]byte{"nonsense": nil}
	for what, test := range map[string]struct {
		err, want error
	}{
		"short data":       {w.Put(o, epoch, []byte(content[1:])), store.ErrDiffers},
		"failing stream":   {w.PutFrom(o, epoch, failing(content[:5000], broken)), broken},
		"short stream":     {w.PutFrom(o, epoch, strings.NewReader(content[1:])), store.ErrDiffers},
		"long stream":      {w.PutFrom(o, epoch, strings.NewReader(content+"x")), store.ErrDiffers},
		"nothing written":  {create(), store.ErrDiffers},
		"short":            {create(content[1:]), store.ErrDiffers},
		"other content":    {create(content[8:], "Content "), store.ErrDiffers},
		"too long":         {create(content, "x"), store.ErrDiffers},
		"replaced, short":  {w.Replace(o, epoch, strings.NewReader(content[1:])), store.ErrDiffers},
		"replaced, long":   {w.Replace(o, epoch, strings.NewReader(content+"x")), store.ErrDiffers},
		"replaced, fails":  {w.Replace(o, epoch, failing(content, broken)), broken},
		"attribute fails":  {w.Put(&wrongOwner, epoch, []byte(content)), unix.EOPNOTSUPP},
		"stream attribute": {w.PutFrom(&wrongOwner, epoch, strings.NewReader(content)), unix.EOPNOTSUPP},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v", what, test.err, test.want)
		}
	}
	if left := w.files(); len(left) != 0 {
		t.Fatalf("left: %q", left)
	}
	w.check(create(content[:4000], content[4000:]))
	w.check(create(content)) // there already: verified only
	w.check(w.Link(o, w.dir, "a"))
	w.expectFile(w.tree("a"), content, o)
}

// Callers that come while an object is being made must wait until it is whole.
func TestConcurrentPuts(t *testing.T) {
	w := newWorld(t, t.TempDir())
	content := strings.Repeat("0123456789abcdef", 4096)
	var group sync.WaitGroup
	for round := range 20 {
		content := fmt.Sprint(round, content)
		o := object(content, 0o644)
		for worker := range 8 {
			group.Go(func() {
				var err error
				switch worker % 3 {
				case 0:
					err = w.Put(o, epoch, []byte(content))
				case 1: // in small pieces, so that others come in between
					err = w.PutFrom(o, epoch, struct{ io.Reader }{io.MultiReader(strings.NewReader(content[:9]), strings.NewReader(content[9:]))})
				case 2:
					var writer *store.Writer
					if writer, err = w.Create(o, epoch); err == nil {
						for i := 0; i < len(content); i += 1000 {
							io.WriteString(writer, content[i:min(i+1000, len(content))])
						}
						err = writer.Close()
					}
				}
				name := fmt.Sprint(round, "-", worker)
				if err == nil {
					err = w.Link(o, w.dir, name)
				}
				var data []byte
				if err == nil {
					data, err = os.ReadFile(w.tree(name))
				}
				if err != nil || string(data) != content {
					t.Errorf("%s: %d bytes, %v", name, len(data), err)
				}
			})
		}
	}
	group.Wait()
	if n := len(w.files()); n != 20 {
		t.Errorf("%d objects", n)
	}
}

func TestAdopt(t *testing.T) {
	w := newWorld(t, t.TempDir())
	write := func(name, content string, mode fs.FileMode) {
		w.check(os.WriteFile(w.tree(name), []byte(content), mode))
		w.check(os.Chmod(w.tree(name), mode))
	}
	o := object("mine\n", 0o644)
	write("edited", "Mine\n", 0o644)
	write("longer", "mine\n\n", 0o644)
	write("mode", "mine\n", 0o755)
	write("attribute", "mine\n", 0o644)
	w.check(unix.Setxattr(w.tree("attribute"), "user.note", []byte("n"), 0))
	w.check(os.Symlink("good", w.tree("symlink")))
	w.check(unix.Mkfifo(w.tree("fifo"), 0o644))
	w.check(os.Mkdir(w.tree("folder"), 0o755))
	for name, want := range map[string]error{"edited": store.ErrDiffers, "longer": store.ErrDiffers, "mode": store.ErrDiffers, "attribute": store.ErrDiffers,
		"fifo": store.ErrDiffers, "folder": store.ErrDiffers, "symlink": unix.ELOOP, "missing": fs.ErrNotExist} {
		if err := w.Adopt(o, w.dir, name); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if left := w.files(); len(left) != 0 {
		t.Fatalf("left: %q", left)
	}
	write("good", "mine\n", 0o644)
	for range 2 {
		w.check(w.Adopt(o, w.dir, "good"))
	}
	if w.stat(w.path(o)).Ino != w.stat(w.tree("good")).Ino {
		t.Error("the object is another file")
	}
	w.check(w.Check(t.Context(), o))
	// In the place of something that does not fit.
	w.check(os.Remove(w.path(o)))
	w.check(os.WriteFile(w.path(o), []byte("trunc"[:3]), 0o644))
	w.check(w.Adopt(o, w.dir, "good"))
	w.check(w.Check(t.Context(), o))
}
