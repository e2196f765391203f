package bundle_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/mirror"
	"ashlar/repo/mirror/bundle"
	"ashlar/repo/repotest"
	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"
)

type world struct {
	*testing.T
	repository *repo.Repository
	dir        string
	now        time.Time
	add        func(names ...string)
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, now: repotest.Now}
	key := repotest.Key(t)
	w.repository, w.dir = repotest.Repository(t, repo.Settings{}, &w.now, key)
	in := t.TempDir()
	w.add = func(names ...string) {
		w.now = w.now.Add(time.Hour)
		var files []string
		for _, name := range names {
			files = append(files, repotest.Package(t, in, name, strings.Repeat(name, 100), nil, key))
		}
		repotest.Publish(t, w.repository, files...)
	}
	return w
}

func (w *world) options() mirror.Options {
	root, err := mirror.OwnRoot(w.dir)
	w.check(err)
	return mirror.Options{Root: root, Now: func() time.Time { return w.now }}
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// export writes the state of the repository to a file.
func (w *world) export(have bundle.Have, sources ...transport.Source) string {
	w.Helper()
	if len(sources) == 0 {
		sources = []transport.Source{transport.Folder{Dir: w.dir}}
	}
	files, err := mirror.Current(w.Context(), sources, w.options())
	w.check(err)
	defer files.Close()
	var out bytes.Buffer
	_, err = bundle.Export(w.Context(), &out, files, have, nil)
	w.check(err)
	path := filepath.Join(w.TempDir(), "bundle")
	w.check(os.WriteFile(path, out.Bytes(), 0o644))
	return path
}

func (w *world) importTo(dir, path string) (*mirror.Result, error) {
	w.Helper()
	b, err := bundle.Open(path)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	to, err := store.OpenDir(dir)
	w.check(err)
	defer to.Close()
	return bundle.Import(w.Context(), to, b, w.options())
}

func (w *world) good(dir string) {
	w.Helper()
	report, err := repo.Check(w.Context(), dir, w.now)
	if err != nil || len(report.Problems) > 0 {
		w.Errorf("%s: %v, %v", dir, report, err)
	}
}

func TestThereAndBack(t *testing.T) {
	w := newWorld(t)
	w.add("a-1.0.0-1", "b-1.0.0-1.noarch")
	first := w.export(nil)
	dir := filepath.Join(t.TempDir(), "mirror")
	r, err := w.importTo(dir, first)
	w.check(err)
	w.good(dir)
	if !r.Changed || r.Fetched != 5 {
		t.Errorf("%+v", r)
	}
	m, err := store.OpenDir(dir)
	w.check(err)
	defer m.Close()
	have, err := bundle.HaveOf(t.Context(), m, transport.Limits{})
	w.check(err)
	data, err := have.Encode()
	w.check(err)
	if have, err = bundle.DecodeHave(data); err != nil || len(have) < 5 {
		t.Fatalf("%v, %v", have, err)
	}
	w.add("c-1.0.0-1")
	second := w.export(have)
	whole, _ := os.Stat(w.export(nil))
	part, _ := os.Stat(second)
	if part.Size() >= whole.Size() {
		t.Errorf("%d bytes with what is there, %d without", part.Size(), whole.Size())
	}
	if r, err = w.importTo(dir, second); err != nil || r.Fetched != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	w.good(dir)
	// The mirror is a source like any other: a bundle of it is the same.
	direct, _ := os.ReadFile(w.export(nil))
	of, _ := os.ReadFile(w.export(nil, transport.Folder{Dir: dir}))
	if !bytes.Equal(direct, of) {
		t.Error("a bundle of the mirror differs from one of the origin")
	}
	if _, err := w.importTo(dir, first); tuf.KindOf(err) != tuf.RolledBack {
		t.Errorf("going back: %v", err)
	}
	if _, err := w.importTo(filepath.Join(t.TempDir(), "empty"), second); err == nil || fault.ClassOf(err) != fault.Failed {
		t.Errorf("what the bundle leaves out: %v", err)
	}
}

// TestExportProves: a damaged source gives no bundle.
func TestExportProves(t *testing.T) {
	w := newWorld(t)
	w.add("a-1.0.0-1")
	found, err := filepath.Glob(filepath.Join(w.dir, "pool/a/a/*"))
	w.check(err)
	for _, spoil := range []func() error{
		func() error { return flip(found[0]) },
		func() error { return os.Truncate(found[0], 100) },
		func() error { return os.Truncate(found[0], 1<<20) },
		func() error { return os.Remove(found[0]) },
	} {
		w.check(spoil())
		files, err := mirror.Current(t.Context(), []transport.Source{transport.Folder{Dir: w.dir}}, w.options())
		w.check(err)
		if _, err := bundle.Export(t.Context(), io.Discard, files, nil, nil); err == nil {
			t.Error("exported")
		}
		files.Close()
	}
}

func flip(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[len(data)/2] ^= 1
	return os.WriteFile(path, data, 0o644)
}

// entry is a file of a hand-made bundle.
type entry struct {
	header  tar.Header
	content string
}

func handMade(t testing.TB, files int, size int64, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	a := tar.NewWriter(&out)
	head := fmt.Sprintf(`{"ashlar_bundle":1,"version":1,"files":%d,"bytes":%d}`, files, size)
	for _, e := range append([]entry{{tar.Header{Name: "ashlar-bundle.json"}, head}}, entries...) {
		e.header.Size = int64(len(e.content))
		if err := a.WriteHeader(&e.header); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func named(name string) entry { return entry{tar.Header{Name: name}, "content"} }

func TestHostileBundles(t *testing.T) {
	good := handMade(t, 1, 7, named("pool/a/x"))
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"empty":            {nil, "no bundle"},
		"text":             {[]byte(strings.Repeat("hello ", 500)), "no bundle"},
		"absolute":         {handMade(t, 1, 7, named("/etc/passwd")), "no file of a repository"},
		"upwards":          {handMade(t, 1, 7, named("pool/../../x")), "no file of a repository"},
		"private":          {handMade(t, 1, 7, named(".ashlar/mirror.json")), "no file of a repository"},
		"hidden":           {handMade(t, 1, 7, named("pool/.x")), "no file of a repository"},
		"at the top":       {handMade(t, 1, 7, named("x")), "no file of a repository"},
		"twice":            {handMade(t, 2, 14, named("pool/a/x"), named("pool/a/x")), "twice"},
		"link":             {handMade(t, 1, 0, entry{tar.Header{Name: "pool/a/x", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""}), "no regular file"},
		"folder":           {handMade(t, 1, 0, entry{tar.Header{Name: "pool/", Typeflag: tar.TypeDir}, ""}), "no regular file"},
		"device":           {handMade(t, 1, 0, entry{tar.Header{Name: "pool/x", Typeflag: tar.TypeChar}, ""}), "no regular file"},
		"attributes":       {handMade(t, 1, 7, entry{tar.Header{Name: "pool/a/x", PAXRecords: map[string]string{"SCHILY.xattr.user.x": "1"}}, "content"}), "attribute"},
		"fewer than said":  {handMade(t, 2, 14, named("pool/a/x")), "cut off"},
		"more than said":   {handMade(t, 1, 7, named("pool/a/x"), named("pool/a/y")), "cut off"},
		"cut in a file":    {good[:len(good)-1024-510], "ends before"},
		"cut in a header":  {good[:1024+100], "unexpected EOF"},
		"cut at a file":    {good[:1024], "cut off"},
		"of another time":  {bytes.Replace(good, []byte(`{"ashlar_bundle":1`), []byte(`{"ashlar_bundle":2`), 1), "newer pkgtool"},
		"a header of lies": {bytes.Replace(good, []byte(`"files":1`), []byte(`"files":{`), 1), "ashlar-bundle.json"},
	} {
		path := filepath.Join(t.TempDir(), "bundle")
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		b, err := bundle.Open(path)
		if err == nil {
			b.Close()
			t.Errorf("%s: taken", name)
			continue
		}
		if text := fmt.Sprint(err, fault.Hints(err)); !strings.Contains(text, c.says) {
			t.Errorf("%s: %s; want %q", name, text, c.says)
		}
	}
}

// TestSparseBundle: what GNU tar makes of a file with holes is refused; nothing
// may be longer than the bundle itself.
func TestSparseBundle(t *testing.T) {
	dir := t.TempDir()
	for path, content := range map[string]string{"ashlar-bundle.json": `{"ashlar_bundle":1,"version":1,"files":1,"bytes":1073741824}`, "pool/x": "x"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755), os.WriteFile(filepath.Join(dir, path), []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(dir, "pool/x"), 1<<30); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"posix", "gnu"} {
		path := filepath.Join(dir, format)
		if out, err := exec.Command("tar", "-C", dir, "-S", "--format="+format, "-cf", path, "ashlar-bundle.json", "pool/x").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if b, err := bundle.Open(path); err == nil {
			b.Close()
			t.Errorf("%s: taken", format)
		}
	}
}

// TestLies: a bundle that is well-formed and holds something else is refused by
// the checks of a mirror, and the mirror shows what it showed.
func TestLies(t *testing.T) {
	w := newWorld(t)
	w.add("a-1.0.0-1")
	dir := filepath.Join(t.TempDir(), "mirror")
	_, err := w.importTo(dir, w.export(nil))
	w.check(err)
	before, err := os.ReadFile(filepath.Join(dir, repo.TimestampPath))
	w.check(err)
	w.add("b-1.0.0-1")
	honest, err := os.ReadFile(w.export(nil))
	w.check(err)
	for _, where := range []string{"metadata/timestamp.json", ".targets.json", "index/", "keyring/", "pool/b/b/"} {
		lie := bytes.Clone(honest)
		at := contentOf(t, lie, where)
		lie[at+20] ^= 1
		path := filepath.Join(t.TempDir(), "lie")
		w.check(os.WriteFile(path, lie, 0o644))
		scratch := filepath.Join(t.TempDir(), "mirror")
		w.check(os.CopyFS(scratch, os.DirFS(dir)))
		_, err := w.importTo(scratch, path)
		if where != "keyring/" && fault.ClassOf(err) != fault.Security { // the keyring is there already
			t.Errorf("%s: %v", where, err)
		}
		shown, _ := os.ReadFile(filepath.Join(scratch, repo.TimestampPath))
		if err != nil && !bytes.Equal(shown, before) {
			t.Errorf("%s: the mirror shows another state", where)
		}
		w.good(scratch)
	}
}

// contentOf is where the content of the first file begins whose name has part.
func contentOf(t *testing.T, data []byte, part string) int64 {
	r := bytes.NewReader(data)
	a := tar.NewReader(r)
	for {
		h, err := a.Next()
		if err != nil {
			t.Fatalf("%s: %v", part, err)
		}
		if strings.Contains(h.Name, part) {
			at, _ := r.Seek(0, io.SeekCurrent)
			return at
		}
	}
}

// TestImportGoesOn: an import that was interrupted at any object goes on.
func TestImportGoesOn(t *testing.T) {
	w := newWorld(t)
	w.add("a-1.0.0-1", "b-1.0.0-1", "c-1.0.0-1")
	path := w.export(nil)
	for n := range 5 {
		dir := filepath.Join(t.TempDir(), "mirror")
		to, err := store.OpenDir(dir)
		w.check(err)
		b, err := bundle.Open(path)
		w.check(err)
		o := w.options()
		o.Jobs = 1
		if _, err := bundle.Import(t.Context(), &failing{Store: to, Locker: to, Scratcher: to, left: n}, b, o); !errors.Is(err, errFull) {
			t.Errorf("%v", err)
		}
		b.Close()
		to.Close()
		r, err := w.importTo(dir, path)
		if err != nil || !r.Changed {
			t.Errorf("%+v, %v", r, err)
		}
		w.good(dir)
	}
}

// failing is a store that is full after so many files.
type failing struct {
	store.Store
	store.Locker
	store.Scratcher
	left int
}

var errFull = errors.New("no space left")

func (f *failing) PutFile(ctx context.Context, path, local string, o store.PutOptions) error {
	if f.left--; f.left < 0 {
		return errFull
	}
	return f.Store.PutFile(ctx, path, local, o)
}

func FuzzOpen(f *testing.F) {
	f.Add(handMade(f, 1, 7, named("pool/a/x")))
	f.Add(handMade(f, 2, 14, named("pool/a/x"), named("metadata/timestamp.json")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := bundle.Read(data)
		if err != nil {
			return
		}
		for _, name := range []string{"pool/a/x", "metadata/timestamp.json"} {
			a, err := b.Get(t.Context(), name, 1)
			if err != nil {
				continue
			}
			sum := sha256.New()
			n, err := io.Copy(sum, a.Body)
			if err != nil || n != a.Length {
				t.Errorf("%s: %d of %d bytes, %v", name, n, a.Length, err)
			}
		}
	})
}

func FuzzDecodeHave(f *testing.F) {
	data, err := bundle.Have{"pool/a/x": 7}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		have, err := bundle.DecodeHave(data)
		if err != nil {
			return
		}
		again, err := have.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if second, err := bundle.DecodeHave(again); err != nil || len(second) != len(have) {
			t.Errorf("%d files, then %d, %v", len(have), len(second), err)
		}
	})
}
