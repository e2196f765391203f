package inside

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestPackedFolderIsTheSame packs a folder with one of each kind, and unpacks it.
func TestPackedFolderIsTheSame(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	when := time.Unix(1234567890, 987654321)
	check(t, errors.Join(
		os.MkdirAll(from+"/usr/bin", 0o755), os.Mkdir(from+"/usr/sticky", 0o700),
		os.WriteFile(from+"/usr/bin/program", []byte("program"), 0o755), os.WriteFile(from+"/empty", nil, 0o600),
		unix.Chmod(from+"/usr/bin/program", 0o6755), unix.Chmod(from+"/usr/sticky", 0o1777),
		os.Link(from+"/usr/bin/program", from+"/another"), os.Symlink("../../..", from+"/usr/up"),
		unix.Mkfifo(from+"/pipe", 0o644), unix.Mknod(from+"/socket", unix.S_IFSOCK|0o600, 0),
		os.WriteFile(from+"/line\nfeed\xff", []byte("x"), 0o644),
		os.Chtimes(from+"/usr/bin/program", when, when), os.Chtimes(from+"/usr", when, when), unix.Chmod(from, 0o750),
	))
	var packed bytes.Buffer
	check(t, Pack(from, &packed, Exact))
	check(t, Unpack(bytes.NewReader(packed.Bytes()), to, Bounds{}))
	names := func(dir string) (all []string) {
		check(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(dir, name)
			all = append(all, rel)
			return err
		}))
		return all
	}
	for _, name := range names(from) {
		var a, b unix.Stat_t
		check(t, unix.Lstat(filepath.Join(from, name), &a))
		if err := unix.Lstat(filepath.Join(to, name), &b); err != nil {
			t.Error(err)
			continue
		}
		if a.Mode != b.Mode || a.Size != b.Size && a.Mode&unix.S_IFMT != unix.S_IFDIR || a.Nlink != b.Nlink {
			t.Errorf("%q: mode %o size %d links %d became %o %d %d", name, a.Mode, a.Size, a.Nlink, b.Mode, b.Size, b.Nlink)
		}
		if a.Mode&unix.S_IFMT <= unix.S_IFREG && a.Mode&unix.S_IFMT != unix.S_IFIFO && a.Mtim != b.Mtim {
			t.Errorf("%q: time %v became %v", name, a.Mtim, b.Mtim)
		}
	}
	if a, b := names(from), names(to); len(a) != len(b) {
		t.Errorf("%q became %q", a, b)
	}
}

// TestSameFolderSameBytes packs equal folders that were made in another order at
// another time.
func TestSameFolderSameBytes(t *testing.T) {
	var packed [2]bytes.Buffer
	for i, names := range [][]string{{"a", "b", "c/d"}, {"c/d", "b", "a"}} {
		dir := t.TempDir()
		for _, name := range names {
			check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
			check(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644))
		}
		check(t, Pack(dir, &packed[i], func(fs.FileMode, time.Time) time.Time { return time.Unix(1, 0) }))
	}
	if !bytes.Equal(packed[0].Bytes(), packed[1].Bytes()) {
		t.Error("packed differently")
	}
}

// TestHostileFolders unpacks what only a broken or malicious machine sends.
func TestHostileFolders(t *testing.T) {
	file := func(name string) *tar.Header {
		return &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 1}
	}
	for name, c := range map[string]struct {
		bounds  Bounds
		headers []*tar.Header
		want    string
	}{
		"up":               {Bounds{}, []*tar.Header{file("../outside")}, "not a path below"},
		"up in the middle": {Bounds{}, []*tar.Header{file("a/../../outside")}, "not a path below"},
		"absolute":         {Bounds{}, []*tar.Header{file("/tmp/outside")}, "not a path below"},
		"through a link": {Bounds{}, []*tar.Header{
			{Name: "link", Typeflag: tar.TypeSymlink, Linkname: ".."}, file("link/outside")}, "escapes"},
		"through an absolute link": {Bounds{}, []*tar.Header{
			{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, file("link/outside")}, "escapes"},
		"pipe through a link": {Bounds{}, []*tar.Header{
			{Name: "link", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "link/outside", Typeflag: tar.TypeFifo}}, "escapes"},
		"folder over a link": {Bounds{}, []*tar.Header{
			{Name: "link", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "link/", Typeflag: tar.TypeDir, Mode: 0o777}}, "exists"},
		"link to the outside": {Bounds{}, []*tar.Header{{Name: "a", Typeflag: tar.TypeLink, Linkname: "../victim"}}, "no file before it"},
		"link to a link": {Bounds{}, []*tar.Header{
			{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../victim"}, {Name: "a", Typeflag: tar.TypeLink, Linkname: "l"}}, "no file before it"},
		"twice":      {Bounds{}, []*tar.Header{file("a"), file("a")}, "exists"},
		"a device":   {Bounds{}, []*tar.Header{{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}}, "type"},
		"many files": {Bounds{Entries: 2}, []*tar.Header{file("a"), file("b"), file("c")}, "more than 2 files"},
		"many bytes": {Bounds{Bytes: 2}, []*tar.Header{file("a"), file("b"), file("c")}, "more than 2 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			var packed bytes.Buffer
			z, err := zstd.NewWriter(&packed)
			check(t, err)
			w := tar.NewWriter(z)
			for _, h := range c.headers {
				check(t, w.WriteHeader(h))
				if h.Typeflag == tar.TypeReg {
					_, err := w.Write([]byte("x"))
					check(t, err)
				}
			}
			check(t, errors.Join(w.Close(), z.Close()))
			outer := t.TempDir()
			check(t, os.WriteFile(outer+"/victim", []byte("v"), 0o600))
			check(t, os.Mkdir(outer+"/in", 0o755))
			err = Unpack(&packed, outer+"/in", c.bounds)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
			list, err := os.ReadDir(outer)
			check(t, err)
			if len(list) != 2 {
				t.Errorf("outside: %v", list)
			}
		})
	}
}

// TestCutOff unpacks a folder whose end is missing.
func TestCutOff(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(dir+"/a", bytes.Repeat([]byte("0123456789"), 10000), 0o644))
	var packed bytes.Buffer
	check(t, Pack(dir, &packed, Exact))
	for n := range packed.Len() {
		if Unpack(bytes.NewReader(packed.Bytes()[:n]), t.TempDir(), Bounds{}) == nil {
			t.Errorf("%d of %d bytes unpack", n, packed.Len())
		}
	}
}

func FuzzUnpack(f *testing.F) {
	dir := f.TempDir()
	check(f, errors.Join(os.WriteFile(dir+"/a", []byte("x"), 0o644), os.Symlink("..", dir+"/l")))
	var packed bytes.Buffer
	check(f, Tar(dir, &packed, Exact, true))
	f.Add(packed.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<16))
		check(t, err)
		outer := t.TempDir()
		check(t, os.Mkdir(outer+"/in", 0o755))
		_ = Unpack(bytes.NewReader(z.EncodeAll(data, nil)), outer+"/in", Bounds{Bytes: 1 << 20, Entries: 100})
		list, err := os.ReadDir(outer)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		_ = filepath.WalkDir(outer, func(name string, d fs.DirEntry, err error) error { return os.Chmod(name, 0o755) })
	})
}

func TestFrames(t *testing.T) {
	a, b := net.Pipe()
	go func() {
		conn := NewConn(a)
		conn.Send(AliveFrame, nil)
		fmt.Fprint(writer{conn, LogFrame}, strings.Repeat("x", 100_000))
		conn.Send(LogFrame, nil)
		a.Write([]byte{'l', 0xff, 0xff, 0xff, 0xff})
		a.Close()
	}()
	conn := NewConn(b)
	if kind, payload, err := conn.Receive(); kind != AliveFrame || len(payload) != 0 || err != nil {
		t.Error(kind, payload, err)
	}
	total := 0
	for {
		kind, payload, err := conn.Receive()
		if kind != LogFrame || err != nil {
			t.Fatal(kind, err)
		}
		if total += len(payload); len(payload) == 0 {
			break
		}
	}
	if total != 100_000 {
		t.Error(total)
	}
	if _, _, err := conn.Receive(); err == nil || !strings.Contains(err.Error(), "4294967295") {
		t.Error(err)
	}
	half := NewConn(&struct {
		io.Reader
		io.Writer
	}{strings.NewReader("l\x00\x00\x00\x05abc"), io.Discard})
	if _, _, err := half.Receive(); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
}
