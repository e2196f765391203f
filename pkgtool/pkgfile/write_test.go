package pkgfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
)

func sized(in Input, size int64) Input {
	in.Size = size
	return in
}

func TestWriterRefuses(t *testing.T) {
	broken := errors.New("disk broken")
	noContent := file("z", "")
	noContent.Open = nil
	unreadable := file("z", "")
	unreadable.Open = func() (io.ReadCloser, error) { return nil, broken }
	failing := file("z", "")
	failing.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("x"), failingReader{broken})), nil
	}
	for _, row := range []struct {
		name   string
		inputs []Input
		change func(*Manifest)
		want   string
		class  fault.Class
	}{
		{"path twice", []Input{file("a", ""), file("a", "")}, nil, "given twice", fault.Usage},
		{"bad path", []Input{file("../a", "")}, nil, "not clean", fault.Usage},
		{"below a symlink", []Input{symlink("lib", "usr/lib"), file("lib/x", "")}, nil, "its folder", fault.Usage},
		{"link to nothing", []Input{hardlink("a", "b")}, nil, "not a file of this package", fault.Usage},
		{"link to a link", []Input{file("a", ""), hardlink("b", "a"), hardlink("c", "b")}, nil, "not a file of this package", fault.Usage},
		{"no content", []Input{noContent}, nil, "no content given", fault.Usage},
		{"too short", []Input{sized(file("a", "abc"), 4)}, nil, "shrank", fault.Failed},
		{"too long", []Input{sized(file("a", "abc"), 2)}, nil, "grew", fault.Failed},
		{"cannot be opened", []Input{unreadable}, nil, "disk broken", fault.Failed},
		{"fails while read", []Input{failing}, nil, "disk broken", fault.Failed},
		{"no version", nil, func(m *Manifest) { m.Version = "" }, "version", fault.Usage},
		{"not semver", nil, func(m *Manifest) { m.Version = "9.2p1" }, "9.2p1", fault.Usage},
		{"no origin", nil, func(m *Manifest) { m.Provenance.Origin = "" }, "origin", fault.Usage},
		{"bad dependency", nil, func(m *Manifest) { m.Requires = []string{"a >= b"} }, "requires", fault.Usage},
		{"escape sequence", nil, func(m *Manifest) { m.Summary = "\x1b[2J" }, "summary", fault.Usage},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := manifest()
			if row.change != nil {
				row.change(&m)
			}
			var out bytes.Buffer
			_, err := Write(context.Background(), &out, m, row.inputs, Options{})
			if err == nil || !strings.Contains(err.Error(), row.want) || fault.ClassOf(err) != row.class {
				t.Fatalf("class %d: %v", fault.ClassOf(err), err)
			}
			if out.Len() > 0 {
				t.Error("something was written")
			}
		})
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

func TestWriteAndWalkStopWhenTold(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Write(ctx, io.Discard, manifest(), zoo(), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v", err)
	}
	p := open(t, write(t, manifest(), zoo(), Options{}))
	if err := p.Verify(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("verify: %v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	seen := 0
	err := p.Walk(ctx, func(*File, io.Reader) error {
		seen++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || seen > 1 {
		t.Errorf("walk: %v after %d files", err, seen)
	}
	stop := errors.New("enough")
	if err := p.Walk(context.Background(), func(*File, io.Reader) error { return stop }); err != stop {
		t.Errorf("walk: %v", err)
	}
}

// A package without files is a package: a group, or a transition.
func TestEmptyPackage(t *testing.T) {
	p := open(t, write(t, manifest(), nil, Options{}))
	if err := p.Verify(context.Background()); err != nil || len(p.manifest.Frames) != 1 {
		t.Fatalf("%d frames, %v", len(p.manifest.Frames), err)
	}
}

func TestHardLinksGoToTheFirstName(t *testing.T) {
	shared := file("m/second", "content")
	shared.Mode, shared.Group = 0o4755, "wheel"
	p := open(t, write(t, manifest(), []Input{hardlink("z", "m/second"), shared, hardlink("a", "m/second"), file("b", "")}, Options{}))
	got := ""
	for _, f := range p.manifest.Files {
		got += f.Path + ":" + f.Type + ":" + f.Target + " "
	}
	if want := "a:file: b:file: m/second:hardlink:a z:hardlink:a "; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if f := p.manifest.Files[0]; f.Mode != 0o4755 || f.Group != "wheel" || f.Size != 7 {
		t.Fatalf("%+v", f)
	}
}

func TestExtractGivesTheFiles(t *testing.T) {
	locked := dir("locked")
	locked.Mode = 0o555
	secret := file("locked/secret", "s")
	secret.Mode = 0o4600
	p := open(t, write(t, manifest(), append(zoo(), locked, secret, file("opt/without/folders", "o")), Options{}))
	out := filepath.Join(t.TempDir(), "new", "out")
	t.Cleanup(func() { removeTree(out) }) // it has a folder that may not be written
	if err := p.Extract(context.Background(), out); err != nil {
		t.Fatal(err)
	}
	for i := range p.manifest.Files {
		f := &p.manifest.Files[i]
		info, err := os.Lstat(filepath.Join(out, f.Path))
		if err != nil {
			t.Error(err)
			continue
		}
		if f.Type == TypeFile || f.Type == TypeDir {
			if info.Mode().Perm() != os.FileMode(f.Mode&0o777) || info.ModTime().Unix() != p.manifest.Provenance.Epoch ||
				info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
				t.Errorf("%s: %v %v", f.Path, info.Mode(), info.ModTime())
			}
		}
	}
	a, _ := os.Stat(filepath.Join(out, "usr/bin/again"))
	b, _ := os.Stat(filepath.Join(out, "usr/bin/demo"))
	if !os.SameFile(a, b) {
		t.Error("the hard link became a copy")
	}
	if err := p.Extract(context.Background(), out); fault.ClassOf(err) != fault.Usage {
		t.Errorf("into a full folder: %v", err)
	}
	empty := t.TempDir()
	t.Cleanup(func() { removeTree(empty) })
	if err := p.Extract(context.Background(), empty); err != nil {
		t.Errorf("into an empty folder: %v", err)
	}
}

func TestScanDoesNotTrustTheDisk(t *testing.T) {
	root := t.TempDir()
	mk := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	mk(os.MkdirAll(filepath.Join(root, "usr/bin"), 0o700))
	mk(os.WriteFile(filepath.Join(root, "usr/bin/tool"), []byte("x"), 0o700))
	mk(os.Link(filepath.Join(root, "usr/bin/tool"), filepath.Join(root, "usr/bin/zlink")))
	mk(os.Mkdir(filepath.Join(root, "etc"), 0o777))
	mk(os.WriteFile(filepath.Join(root, "etc/conf"), []byte("y"), 0o666))
	mk(os.Symlink("tool", filepath.Join(root, "usr/bin/sl")))
	inputs, err := Scan(root, []Rule{{Path: "etc/**", Mode: "0640", Group: "adm", Config: true}, {Path: "etc", Mode: "0750"}})
	mk(err)
	p := open(t, write(t, manifest(), inputs, Options{}))
	for path, want := range map[string]File{
		"etc":           {Type: TypeDir, Mode: 0o750, Group: "adm"},
		"etc/conf":      {Type: TypeFile, Mode: 0o640, Group: "adm", Config: true},
		"usr/bin":       {Type: TypeDir, Mode: 0o755, Group: "root"},
		"usr/bin/tool":  {Type: TypeFile, Mode: 0o755, Group: "root"},
		"usr/bin/zlink": {Type: TypeHardlink},
		"usr/bin/sl":    {Type: TypeSymlink, Mode: 0o777, Group: "root"},
	} {
		f := p.manifest.File(path)
		if f == nil || f.Type != want.Type || f.Mode != want.Mode || f.Group != want.Group || f.Config != want.Config {
			t.Errorf("%s: %+v", path, f)
		}
	}
	if _, err := Scan(root, []Rule{{Path: "nothing"}}); fault.ClassOf(err) != fault.Usage {
		t.Errorf("rule without a file: %v", err)
	}
	if _, err := Scan(root, []Rule{{Path: "etc", Mode: "9"}}); err == nil {
		t.Error("mode 9 accepted")
	}
}

func TestOpenFileWantsARegularFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenFile(dir); err == nil {
		t.Error("folder opened")
	}
	if _, err := OpenFile(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	path := filepath.Join(dir, "p")
	if err := os.WriteFile(path, write(t, manifest(), zoo(), Options{}), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(context.Background()); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
