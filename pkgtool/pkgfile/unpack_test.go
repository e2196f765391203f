package pkgfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// wantAll wants all regular files of a package.
func wantAll(p *Package) Wanted {
	w := Wanted{Package: p}
	for i := range p.manifest.Files {
		if f := &p.manifest.Files[i]; f.Type == TypeFile {
			w.Files = append(w.Files, f)
		}
	}
	return w
}

// unpackAll returns the contents that Unpack delivers.
func unpackAll(jobs int, wanted ...Wanted) (map[*File]string, error) {
	var mu sync.Mutex
	got := map[*File]string{}
	err := Unpack(context.Background(), jobs, wanted, func(p *Package, f *File, data []byte, stream io.Reader) error {
		content := string(data)
		if stream != nil {
			b, err := io.ReadAll(stream)
			if err != nil {
				return err
			}
			content = string(b)
		}
		mu.Lock()
		defer mu.Unlock()
		if _, twice := got[f]; twice {
			return errors.New("called twice for " + f.Path)
		}
		got[f] = content
		return nil
	})
	return got, err
}

func TestUnpackDeliversEveryFileOnce(t *testing.T) {
	inputs := zoo()
	p, again := open(t, write(t, manifest(), inputs, Options{})), open(t, write(t, manifest(), inputs, Options{}))
	for _, jobs := range []int{0, 1, 2, 7} {
		got, err := unpackAll(jobs, wantAll(p), wantAll(again), Wanted{Package: p})
		if err != nil {
			t.Fatal(err)
		}
		if want := 2 * len(wantAll(p).Files); len(got) != want {
			t.Errorf("%d jobs: %d files, want %d", jobs, len(got), want)
		}
		for f, content := range got {
			if int64(len(content)) != f.Size || hexSum([]byte(content)) != f.SHA256 {
				t.Errorf("%d jobs: %s: %d bytes", jobs, f.Path, len(content))
			}
		}
	}
}

// countingReader notes which bytes are read.
type countingReader struct {
	*bytes.Reader
	mu   sync.Mutex
	read [][2]int64
}

func (r *countingReader) ReadAt(b []byte, at int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = append(r.read, [2]int64{at, at + int64(len(b))})
	return r.Reader.ReadAt(b, at)
}

func TestUnpackReadsOnlyWhatIsWanted(t *testing.T) {
	raw := write(t, manifest(), zoo(), Options{})
	r := &countingReader{Reader: bytes.NewReader(raw)}
	p, err := Open(r, int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	r.read = nil
	var files []*File
	wantFrames := map[int]bool{}
	for _, path := range []string{"usr/small/" + "b" + strings.Repeat("s", 3), "usr/huge", "usr/half"} { // in no order
		f := p.manifest.File(path)
		files = append(files, f)
		for first, end := p.manifest.FramesOf(f); first < end; first++ {
			wantFrames[first] = true
		}
	}
	got, err := unpackAll(2, Wanted{p, files})
	if err != nil || len(got) != 3 {
		t.Fatalf("%d files, %v", len(got), err)
	}
	var want [][2]int64
	for i, frame := range p.manifest.Frames {
		if at := p.metaSize + frame.Offset; wantFrames[i] {
			want = append(want, [2]int64{at, at + frame.Size})
		}
	}
	slices.SortFunc(r.read, func(a, b [2]int64) int { return int(a[0] - b[0]) })
	if !slices.Equal(r.read, want) {
		t.Errorf("read %v, want %v", r.read, want)
	}
}

func TestUnpackRefusesWhatIsNoWantedFile(t *testing.T) {
	p := open(t, write(t, manifest(), zoo(), Options{}))
	m := p.manifest
	small := m.File("etc/demo.conf")
	clone := *small
	huge := *m.File("usr/huge")
	beyond := *small
	beyond.Frame = 1 << 20
	for what, files := range map[string][]*File{
		"folder":          {m.File("usr")},
		"symlink":         {m.File("usr/bin/d")},
		"hard link":       {m.File("usr/bin/demo")},
		"twice":           {small, m.File("usr/bin/again"), small},
		"twice, in parts": {m.File("usr/huge"), m.File("usr/huge")},
		"twice, empty":    {m.File("usr/empty"), m.File("usr/empty")},
		"a copy":          {&clone},
		"a copy behind":   {m.File("usr/bin/again"), &clone},
		"a copy in parts": {&huge},
		"no such frame":   {&beyond},
	} {
		if _, err := unpackAll(2, Wanted{p, files}); err == nil {
			t.Errorf("%s: unpacked", what)
		}
	}
}

// What is wrong in a package ends the work with ErrInvalid, and no content
// whose hash is wrong is taken for good.
func TestUnpackOfDamage(t *testing.T) {
	bad := map[string][]byte{
		"content":   spoilData(t, func(b []byte) []byte { b[bytes.Index(b, []byte("hello"))] ^= 1; return b }),
		"header":    spoilData(t, func(b []byte) []byte { b[bytes.Index(b, []byte("ustar"))] ^= 1; return b }),
		"trailer":   spoilData(t, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
		"too short": spoilFrame(t, func(b []byte) []byte { return compress(t, zstdCodec{}, b[:len(b)-512]) }),
	}
	for what, raw := range bad {
		p := open(t, raw)
		got, err := unpackAll(2, wantAll(p))
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
		for f, content := range got {
			if f.Size > 0 {
				t.Errorf("%s: %s was delivered: %q", what, f.Path, content)
			}
		}
	}
}

// lyingHuge is a package of one file in three frames, whose hash is another.
func lyingHuge(t *testing.T) *Package {
	t.Helper()
	p := open(t, write(t, manifest(), []Input{file("usr/huge", noise(3, 9<<20))}, Options{}))
	p.manifest.Files[0].SHA256 = hexSum([]byte("something else"))
	raw, err := p.manifest.encode()
	if err != nil {
		t.Fatal(err)
	}
	return open(t, assemble(t, raw, readData(t, p)))
}

func TestUnpackOfLyingStream(t *testing.T) {
	for what, use := range map[string]func(io.Reader) error{
		"read":    func(r io.Reader) error { _, err := io.ReadAll(r); return err },
		"copied":  func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err },
		"ignored": func(io.Reader) error { return nil },
		"partly":  func(r io.Reader) error { _, err := io.ReadFull(r, make([]byte, 5<<20)); return err },
	} {
		p := lyingHuge(t)
		err := Unpack(context.Background(), 2, []Wanted{wantAll(p)}, func(_ *Package, _ *File, _ []byte, stream io.Reader) error { return use(stream) })
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestUnpackEnds(t *testing.T) {
	p := open(t, write(t, manifest(), zoo(), Options{}))
	mine := errors.New("mine")
	for name, fail := range map[string]func(f *File, stream io.Reader) bool{
		"small":  func(f *File, _ io.Reader) bool { return f.Path == "usr/half" },
		"stream": func(_ *File, stream io.Reader) bool { return stream != nil },
		"empty":  func(f *File, _ io.Reader) bool { return f.Size == 0 },
	} {
		for _, jobs := range []int{1, 3} {
			err := Unpack(context.Background(), jobs, []Wanted{wantAll(p)}, func(_ *Package, f *File, _ []byte, stream io.Reader) error {
				if fail(f, stream) {
					return mine
				}
				return nil
			})
			if !errors.Is(err, mine) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var calls atomic.Int64
	err := Unpack(ctx, 2, []Wanted{wantAll(p), wantAll(p)}, func(*Package, *File, []byte, io.Reader) error {
		calls.Add(1)
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || calls.Load() > 310 {
		t.Errorf("cancelled: %v after %d calls", err, calls.Load())
	}
}
