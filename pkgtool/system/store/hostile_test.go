package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/store"
)

// packageOf is a package of three frames: small files, and a big one that has two.
func packageOf(t *testing.T) []byte {
	t.Helper()
	random := rand.NewChaCha8([32]byte{1})
	big := make([]byte, 5<<20)
	random.Read(big)
	input := func(path string, content []byte) pkgfile.Input {
		return pkgfile.Input{File: pkgfile.File{Path: path, Type: pkgfile.TypeFile, Mode: 0o644, Owner: "root", Group: "root"},
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
	}
	var out bytes.Buffer
	m := pkgfile.Manifest{Name: "demo", Version: "1.0.0", Release: 1, Arch: "x86_64", Provenance: pkgfile.Provenance{Origin: "source", Epoch: epoch}}
	inputs := []pkgfile.Input{input("usr/a", []byte("first")), input("usr/big", big), input("usr/c", []byte("third")), input("usr/empty", nil)}
	if _, err := pkgfile.Write(context.Background(), &out, m, inputs, pkgfile.Options{}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// fill unpacks everything into the store as a transaction does.
func (w *world) fill(p *pkgfile.Package) error {
	m := p.Manifest()
	wanted := pkgfile.Wanted{Package: p}
	for i := range m.Files {
		wanted.Files = append(wanted.Files, &m.Files[i])
	}
	return pkgfile.Unpack(w.Context(), 2, []pkgfile.Wanted{wanted}, func(p *pkgfile.Package, f *pkgfile.File, data []byte, stream io.Reader) error {
		o := objectOf(p, f)
		if stream != nil {
			return w.PutFrom(o, o.Time, stream)
		}
		return w.Put(o, o.Time, data)
	})
}

// Whatever happens to the bytes of a package, every object in the store is one
// that its manifest names, and whole.
func TestDamagedPackageLeavesNoBadObject(t *testing.T) {
	good := packageOf(t)
	p, err := pkgfile.Open(bytes.NewReader(good), int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	m := p.Manifest()
	if len(m.Frames) != 4 {
		t.Fatalf("%d frames", len(m.Frames))
	}
	whole := newWorld(t, t.TempDir())
	whole.check(whole.fill(p))
	if n := len(whole.files()); n != 3 {
		t.Fatalf("%d objects of a good package", n)
	}
	for i, frame := range m.Frames[:3] {
		for what, damage := range map[string]func(b []byte) []byte{
			"changed":   func(b []byte) []byte { b[p.MetaSize()+frame.Offset+frame.Size/2] ^= 1; return b },
			"zeros":     func(b []byte) []byte { clear(b[p.MetaSize()+frame.Offset:][:frame.Size]); return b },
			"truncated": func(b []byte) []byte { return b[:p.MetaSize()+frame.Offset+frame.Size/2] },
		} {
			w := newWorld(t, t.TempDir())
			reader := &switched{now: good}
			p, err := pkgfile.Open(reader, int64(len(good)))
			w.check(err)
			reader.now = damage(slices.Clone(good)) // after it was opened, as on a disk that decays
			if err := w.fill(p); !errors.Is(err, pkgfile.ErrInvalid) {
				t.Errorf("frame %d %s: %v", i, what, err)
			}
			if n := len(w.files()); n > 2 {
				t.Errorf("frame %d %s: %d objects", i, what, n)
			}
			for f := range slices.Values(m.Files) {
				o := objectOf(p, &f)
				if w.has(o) {
					w.check(w.Check(t.Context(), o))
				}
			}
		}
	}
}

type switched struct{ now []byte }

func (s *switched) ReadAt(b []byte, at int64) (int, error) {
	return bytes.NewReader(s.now).ReadAt(b, at)
}

// A manifest that says another hash than the content has is found before
// anything has the wrong name.
func TestStreamThatLies(t *testing.T) {
	w := newWorld(t, t.TempDir())
	o := object("what was promised", 0o644)
	lie := errors.New("its sha256 is not the manifest's")
	if err := w.PutFrom(o, epoch, failing("what was delivered", lie)); !errors.Is(err, lie) {
		t.Errorf("%v", err)
	}
	writer, err := w.Create(o, epoch)
	w.check(err)
	if _, err := io.WriteString(writer, "what was delivere"); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); !errors.Is(err, store.ErrDiffers) {
		t.Errorf("%v", err)
	}
	if left := w.files(); len(left) != 0 {
		t.Errorf("left: %q", strings.Join(left, " "))
	}
}
