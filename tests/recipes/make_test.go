package recipes

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// makers make the files that do not fit into a text, by the kind that a
// `make: FILE KIND ARGUMENT...` line names.
var makers = map[string]func(t *testing.T, path string, args []string){
	"tar": func(t *testing.T, path string, _ []string) {
		writeTar(t, path, tar.Header{Name: "x-1/README", Size: 5})
	},
	"tar-parent": func(t *testing.T, path string, _ []string) {
		writeTar(t, path, tar.Header{Name: "x-1/../../../etc/cron.d/own", Size: 5})
	},
	"tar-absolute": func(t *testing.T, path string, _ []string) {
		writeTar(t, path, tar.Header{Name: "/etc/passwd", Size: 5})
	},
	"tar-device": func(t *testing.T, path string, _ []string) {
		writeTar(t, path, tar.Header{Name: "x-1/disk", Typeflag: tar.TypeBlock, Devmajor: 8})
	},
	"tar-through-link": func(t *testing.T, path string, _ []string) {
		writeTar(t, path, tar.Header{Name: "x-1/out", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, tar.Header{Name: "x-1/out/owned", Size: 5})
	},
	"tar-cut": func(t *testing.T, path string, _ []string) {
		writeTar(t, path, tar.Header{Name: "x-1/README", Size: 5})
		cut(t, path, 60)
	},
	"zip-parent": func(t *testing.T, path string, _ []string) {
		var out bytes.Buffer
		w := zip.NewWriter(&out)
		f, err := w.Create("x-1/../../own")
		if err == nil {
			_, err = f.Write([]byte("hello"))
		}
		if err == nil {
			err = w.Close()
		}
		write(t, path, out.Bytes(), err)
	},
	"text": func(t *testing.T, path string, args []string) {
		write(t, path, []byte(strings.Join(args, " ")), nil)
	},
	"long": func(t *testing.T, path string, _ []string) {
		write(t, path, bytes.Repeat([]byte("# long\n"), 1<<20), nil)
	},
	"deep": func(t *testing.T, path string, _ []string) {
		write(t, path, []byte("schema: "+strings.Repeat("[", 5000)), nil)
	},
	"binary": func(t *testing.T, path string, _ []string) {
		write(t, path, []byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0xff, 0xfe}, nil)
	},
	"link": func(t *testing.T, path string, args []string) {
		if err := os.Symlink(args[0], path); err != nil {
			t.Fatal(err)
		}
	},
	"library": func(t *testing.T, path string, args []string) { // NEEDED, and further flags of the linker
		object(t, path, append([]string{"-shared", "-Wl,-soname,libx.so.1"}, args...))
	},
}

// object links a library that needs lib<name>.so.1 for every -l<name>, which
// is made for the purpose and thrown away.
func object(t *testing.T, path string, flags []string) {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Fatal("this machine has no gcc, which makes the library of this case")
	}
	dir := t.TempDir()
	gcc := func(args ...string) {
		if out, err := exec.Command("gcc", append([]string{"-nostdlib", "-Wl,--build-id=none", "-L" + dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("gcc %q: %v\n%s", args, err, out)
		}
	}
	for _, flag := range flags {
		if name, ok := strings.CutPrefix(flag, "-l"); ok {
			gcc("-shared", "-x", "c", "/dev/null", "-Wl,-soname,lib"+name+".so.1", "-o", filepath.Join(dir, "lib"+name+".so"))
		}
	}
	gcc(append([]string{"-Wl,--no-as-needed", "-o", path, "-x", "c", "/dev/null", "-x", "none"}, flags...)...)
}

func write(t *testing.T, path string, data []byte, err error) {
	t.Helper()
	if err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// writeTar writes a tar.gz with members full of letters.
func writeTar(t *testing.T, path string, members ...tar.Header) {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	var err error
	for _, h := range members {
		h.Mode = int64(fs.FileMode(0o644))
		if err == nil {
			err = w.WriteHeader(&h)
		}
		if err == nil {
			_, err = fmt.Fprint(w, strings.Repeat("x", int(h.Size)))
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = z.Close()
	}
	write(t, path, out.Bytes(), err)
}

// cut leaves only the beginning of a file.
func cut(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}
