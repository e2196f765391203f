package source

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"ashlar/pkgtool/fault"
)

var when = time.Unix(1_500_000_000, 0)

// member is one tar member in a table: a file unless kind says otherwise.
type testMember struct {
	name, text, target string
	kind               byte
	mode               int64
}

func makeTar(t testing.TB, members []testMember) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Linkname: m.target, Typeflag: m.kind, Mode: m.mode, Size: int64(len(m.text)), ModTime: when, Uid: 1234, Uname: "somebody"}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var goodTree = []testMember{
	{name: "x-1/", kind: tar.TypeDir, mode: 0o700},
	{name: "x-1/configure", text: "#!/bin/sh\n", mode: 0o4711},
	{name: "x-1/README", text: "read\n", mode: 0o600},
	{name: "./x-1/a/b/deep", text: "deep\n", mode: 0o666},
	{name: "x-1/link", target: "a/b/deep", kind: tar.TypeSymlink},
	{name: "x-1/a/up", target: "../README", kind: tar.TypeSymlink},
	{name: "x-1/hard", target: "x-1/README", kind: tar.TypeLink},
	{name: "x-1/README", text: "read again\n", mode: 0o644},
}

const goodListing = `. drwxr-xr-x
README -rw-r--r-- "read again\n"
a drwxr-xr-x
a/b drwxr-xr-x
a/b/deep -rw-r--r-- "deep\n"
a/up -> ../README
configure -rwxr-xr-x "#!/bin/sh\n"
hard -rw-r--r-- "read\n"
link -> a/b/deep
`

func listing(t testing.TB, dir string) string {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !d.IsDir() && !info.ModTime().Equal(when) {
			t.Errorf("%s has time %v", name, info.ModTime())
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			fmt.Fprintf(&b, "%s -> %s\n", name, target)
		case d.IsDir():
			fmt.Fprintf(&b, "%s %v\n", name, info.Mode())
		default:
			data, _ := os.ReadFile(path)
			fmt.Fprintf(&b, "%s %v %q\n", name, info.Mode(), data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func save(t testing.TB, data []byte) string {
	path := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func compress(t testing.TB, data []byte, open func(io.Writer) (io.WriteCloser, error)) []byte {
	var b bytes.Buffer
	w, err := open(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUnpackNormalises(t *testing.T) {
	plain := makeTar(t, goodTree)
	archives := map[string][]byte{
		"tar":  plain,
		"gzip": compress(t, plain, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }),
		"xz":   compress(t, plain, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }),
		"zstd": compress(t, plain, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }),
	}
	for _, program := range []string{"bzip2", "xz"} {
		cmd := exec.Command(program, "-c")
		cmd.Stdin = bytes.NewReader(plain)
		if out, err := cmd.Output(); err == nil {
			archives["real "+program] = out
		} else if !errors.Is(err, exec.ErrNotFound) {
			t.Error(err)
		}
	}
	defer syscall.Umask(syscall.Umask(0o077))
	for name, data := range archives {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "src")
			if err := Unpack(t.Context(), save(t, data), dir, 1); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if got := listing(t, dir); got != goodListing {
				t.Errorf("got\n%s\nwant\n%s", got, goodListing)
			}
			if info, _ := os.Stat(filepath.Join(dir, "a")); info.ModTime().Equal(time.Unix(0, 0)) {
				t.Error("a folder without a member of its own got a time")
			}
		})
	}
}

func TestUnpackZip(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	add := func(name, text string, mode fs.FileMode) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: when}
		h.SetMode(mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, text)
	}
	add("x-1/", "", fs.ModeDir|0o700)
	add("x-1/run", "run\n", 0o711)
	add("x-1/a/text", "text\n", 0o600)
	add("x-1/link", "a/text", fs.ModeSymlink|0o777)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Unpack(t.Context(), save(t, b.Bytes()), dir, 1); err != nil {
		t.Fatal(err)
	}
	want := ". drwxr-xr-x\na drwxr-xr-x\na/text -rw-r--r-- \"text\\n\"\nlink -> a/text\nrun -rwxr-xr-x \"run\\n\"\n"
	if got := listing(t, dir); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	archive, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	at, err := archive.File[1].DataOffset()
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(b.Bytes())
	damaged[at+2] ^= 0x10
	if err := Unpack(t.Context(), save(t, damaged), t.TempDir(), 1); err == nil {
		t.Error("a damaged zip was accepted")
	}
}

func TestUnpackRefusesHostileArchives(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	for _, c := range []struct {
		name    string
		members []testMember
	}{
		{"parent", []testMember{{name: "../evil", text: "x"}}},
		{"parent inside", []testMember{{name: "a/../../evil", text: "x"}}},
		{"absolute", []testMember{{name: "/evil", text: "x"}}},
		{"symlink out, relative", []testMember{{name: "l", target: "../x", kind: tar.TypeSymlink}}},
		{"symlink out, absolute", []testMember{{name: "l", target: outside, kind: tar.TypeSymlink}}},
		{"symlink, deep", []testMember{{name: "a/b/l", target: "../../../x", kind: tar.TypeSymlink}}},
		{"symlink up after down", []testMember{{name: "s", target: ".", kind: tar.TypeSymlink}, {name: "l", target: "s/../x", kind: tar.TypeSymlink}}},
		{"write through a link", []testMember{{name: "l", target: "d", kind: tar.TypeSymlink}, {name: "l/evil", text: "x"}}},
		{"hard link out", []testMember{{name: "h", target: "../passwd", kind: tar.TypeLink}}},
		{"hard link to nothing", []testMember{{name: "h", target: "gone", kind: tar.TypeLink}}},
		{"hard link to a link", []testMember{{name: "s", target: "x", kind: tar.TypeSymlink}, {name: "h", target: "s", kind: tar.TypeLink}}},
		{"device", []testMember{{name: "null", kind: tar.TypeChar}}},
		{"pipe", []testMember{{name: "fifo", kind: tar.TypeFifo}}},
		{"file where a folder is", []testMember{{name: "a/b", text: "x"}, {name: "a", text: "y"}}},
		{"empty target", []testMember{{name: "l", kind: tar.TypeSymlink}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "d")
			err := Unpack(t.Context(), save(t, makeTar(t, c.members)), dir, 0)
			if fault.ClassOf(err) != fault.Security {
				t.Errorf("got %v", err)
			}
			names, _ := os.ReadDir(parent)
			if len(names) != 1 {
				t.Errorf("wrote outside: %v", names)
			}
		})
	}
}

// Sparse members, as the real tar writes them in each format that has them.
func TestUnpackRefusesSparseFiles(t *testing.T) {
	dir := t.TempDir()
	hole, err := os.Create(filepath.Join(dir, "hole"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(hole.Truncate(1<<30), hole.Close()); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"gnu", "posix"} {
		archive := filepath.Join(dir, format+".tar")
		out, err := exec.Command("tar", "-C", dir, "-cSf", archive, "--format="+format, "hole").CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) {
			t.Fatal("tar is not installed; pkgtool/bootstrap.sh test installs it")
		} else if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := Unpack(t.Context(), archive, t.TempDir(), 0); fault.ClassOf(err) != fault.Security {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestUnpackReportsTruncationAndCancel(t *testing.T) {
	plain := makeTar(t, goodTree)
	packed := compress(t, plain, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) })
	if err := Unpack(t.Context(), save(t, packed[:len(packed)/2]), t.TempDir(), 0); err == nil {
		t.Error("half an archive was accepted")
	}
	if err := Unpack(t.Context(), save(t, packed[:len(packed)-8]), t.TempDir(), 0); err == nil {
		t.Error("an archive without its end was accepted")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Unpack(ctx, save(t, plain), t.TempDir(), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(makeTar(f, goodTree), 1)
	f.Add([]byte("PK\x03\x04"), 0)
	f.Add([]byte("\xfd7zXZ\x00"), 0)
	f.Fuzz(func(t *testing.T, data []byte, strip int) {
		if len(data) > 1<<16 {
			return
		}
		parent := t.TempDir()
		Unpack(t.Context(), save(t, data), filepath.Join(parent, "d"), strip)
		names, _ := os.ReadDir(parent)
		if len(names) > 1 {
			t.Errorf("wrote outside: %v", names)
		}
		filepath.WalkDir(parent, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type()&fs.ModeSymlink != 0 {
				if to, err := filepath.EvalSymlinks(path); err == nil && !strings.HasPrefix(to, parent) {
					t.Errorf("%s leads to %s", path, to)
				}
			}
			return nil
		})
	})
}
