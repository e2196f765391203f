package seed

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/build/source/apt"
	"ashlar/pkgtool/fault"
)

func TestPlace(t *testing.T) {
	for _, c := range []struct{ layer, member, want string }{
		{"base", "./bin/bash", "usr/bin/bash"},
		{"base", "./sbin/ldconfig", "usr/bin/ldconfig"},
		{"base", "./usr/sbin/chroot", "usr/bin/chroot"},
		{"base", "./lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/libc.so.6"},
		{"base", "./lib64/ld-linux-x86-64.so.2", ""},
		{"libc-dev", "./lib64/ld-linux-x86-64.so.2", "usr/lib/ld-linux-x86-64.so.2"},
		{"base", "./usr/lib64/x", "usr/lib/x"},
		{"base", "./usr/library/x", "usr/library/x"},
		{"base", "./usr/share/man/man1/x.1.gz", ""},
		{"base", "./usr/share/manual", "usr/share/manual"},
		{"base", "./etc/init.d/x", ""},
		{"base", "./etc/perl/CPAN/x", "etc/perl/CPAN/x"},
		{"base", "./var/lib/x", ""},
		{"base", "./etc/debian_version", ""},
		{"extra", "./usr/include/zlib.h", ""},
		{"gcc", "./usr/include/c++/12/vector", "usr/include/c++/12/vector"},
		{"gcc", "./usr/include/x86_64-linux-gnu/c++/12/x", "usr/include/x86_64-linux-gnu/c++/12/x"},
		{"gcc", "./usr/lib/x86_64-linux-gnu/pkgconfig/x.pc", ""},
		{"libc-dev", "./usr/include/stdio.h", "usr/include/stdio.h"},
	} {
		if got := place(c.layer, c.member); got != c.want {
			t.Errorf("%s in %s: %q, want %q", c.member, c.layer, got, c.want)
		}
	}
}

func TestRetarget(t *testing.T) {
	for _, c := range []struct{ member, target, want string }{
		{"./usr/bin/x", "y", "y"},
		{"./bin/sh", "dash", "dash"},
		{"./usr/lib/x86_64-linux-gnu/libz.so", "/lib/x86_64-linux-gnu/libz.so.1", "libz.so.1"},
		{"./lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld.so", "x86_64-linux-gnu/ld.so"},
		{"./sbin/mkfs.x", "../usr/sbin/mkfs", "mkfs"},
		{"./usr/bin/x", "../share/x/x.py", "../share/x/x.py"},
		{"./usr/share/a", "/etc/perl/x", "../../etc/perl/x"},
		{"./usr/share/a", "../../../../../../etc/passwd", "../../etc/passwd"},
		{"./usr/lib/d", "/usr", ".."},
	} {
		at := merged(strings.TrimPrefix(c.member, "./"))
		if got := retarget(c.member, at, c.target); got != c.want {
			t.Errorf("%s -> %s: %q, want %q", c.member, c.target, got, c.want)
		}
	}
}

const index = `
Package: sh
Filename: pool/s/sh_1_amd64.deb
Depends: libc, awk, debconf
Pre-Depends: base | other

Package: libc
Filename: pool/l/libc_1_amd64.deb

Package: mawk
Filename: pool/m/mawk_1_amd64.deb
Provides: awk
Depends: libc

Package: gawk
Filename: pool/g/gawk_1_amd64.deb
Provides: awk
Depends: libc

Package: base
Filename: pool/b/base_1_amd64.deb

Package: gcc
Filename: pool/g/gcc_1_amd64.deb
Depends: libc-dev | libc-dev-x, libc, lib-x (>= 1)

Package: lib-x
Filename: pool/x/lib-x_1_amd64.deb
Depends: gcc

Package: libc-dev
Filename: pool/l/libc-dev_1_amd64.deb
Depends: linux-dev

Package: linux-dev
Filename: pool/l/linux-dev_1_amd64.deb

Package: broken
Filename: pool/b/broken_1_amd64.deb
Depends: nowhere
`

func testIndex(t *testing.T) map[string]*apt.Package {
	text := strings.ReplaceAll(index, "Filename:", "SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nSize: 1\nFilename:")
	all, err := apt.ReadPackages(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name   string
		wanted map[string][]string
		want   string
	}{
		{"first provider", map[string][]string{"base": {"sh"}}, "base: base gawk libc sh"},
		{"wanted provider", map[string][]string{"base": {"sh"}, "extra": {"mawk"}}, "base: base libc mawk sh"},
		{"no -dev outside libc-dev", map[string][]string{"base": {"libc"}, "gcc": {"gcc"}}, "base: libc; gcc: gcc lib-x"},
		{"-dev in libc-dev", map[string][]string{"base": {"libc"}, "gcc": {"gcc"}, "libc-dev": {"libc-dev"}},
			"base: libc; libc-dev: libc-dev linux-dev; gcc: gcc lib-x"},
		{"unknown", map[string][]string{"base": {"none"}}, `wanted package "none"`},
		{"unsatisfiable", map[string][]string{"base": {"broken"}}, "package broken: nothing in the index satisfies its dependency on nowhere"},
	} {
		layers, err := choose(testIndex(t), c.wanted, []string{"debconf"})
		var parts []string
		for _, layer := range order(layers) {
			var names []string
			for _, p := range layers[layer] {
				names = append(names, p.Name)
			}
			parts = append(parts, layer+": "+strings.Join(names, " "))
		}
		got := strings.Join(parts, "; ")
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestLockOfTheProject(t *testing.T) {
	path := "../../../recipes/seed.lock"
	l, err := ReadLock(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(l.Marshal(), text) {
		t.Error("the file is not in its canonical form; run pkgtool seed lock")
	}
	for name, want := range map[string]string{"base": "base", "bash": "base", "gcc": "gcc", "g++": "gcc", "bison": "extra",
		"libc6-dev": "libc-dev", "linux-libc-dev": "libc-dev", "golang.org/toolchain": "go"} {
		if layer, ok := l.LayerOf(name); !ok || layer != want {
			t.Errorf("%s is in %q, want %q", name, layer, want)
		}
	}
	if _, ok := l.LayerOf("no-such"); ok {
		t.Error("no-such is in a layer")
	}
	for layer, entries := range l.Layers {
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), "-dev") && layer != LibcDevLayer &&
				e.Name() != "libgcc-12-dev" && e.Name() != "libstdc++-12-dev" && e.Name() != "autotools-dev" {
				t.Errorf("%s in layer %s brings headers of the seed", e.Name(), layer)
			}
		}
	}
}

func TestLockMistakes(t *testing.T) {
	good := "schema: 1\ndistribution: debian\nrelease: '12'\nsuite: bookworm\narch: amd64\nwanted: {}\nwithout: []\nlayers:\n  base:\n" +
		"    - {path: pool/a/a_1_amd64.deb, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, size: 1}\n"
	for _, c := range []struct{ from, to, says string }{
		{"", "", ""},
		{"schema: 1", "schema: 2", "schema 2"},
		{"debian", "fedora", "distribution"},
		{"suite: bookworm", "suite: ../x", "suite"},
		{"pool/a/a_1_amd64.deb", "pool/../a.deb", "path"},
		{"pool/a/a_1_amd64.deb", "/etc/a.deb", "path"},
		{"e3b0", "E3B0", "sha256"},
		{", size: 1", "", "no size"},
		{"base:\n", "Base:\n", "layer name"},
		{"without: []", "witout: []", "did you mean"},
		{"    - {path", "    - {gomod: a@v1, h1: 'h1:8wlg68NqwW7eMnI1aABk/C2pDYXj8mrMY4TyRfiLeS0=', into: ../x}\n    - {path", "into"},
		{"  base:\n", "  extra:\n    - {path: pool/a/a_1_amd64.deb, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, size: 1}\n  base:\n", "layers base and extra"},
	} {
		path := filepath.Join(t.TempDir(), "seed.lock")
		if err := os.WriteFile(path, []byte(strings.Replace(good, c.from, c.to, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadLock(path)
		if c.says == "" && err != nil {
			t.Errorf("good lock: %v", err)
		}
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || fault.ClassOf(err) != fault.Usage) {
			t.Errorf("%q: %v, want %q", c.to, err, c.says)
		}
	}
}

// debPackage makes a Debian package with an uncompressed data.tar.
func debPackage(t testing.TB, members []*tar.Header) []byte {
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	for _, h := range members {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(w, zeros{}, h.Size); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar", nil}, {"data.tar", data.Bytes()}} {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		b.Write(m.data)
		if len(m.data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestLayerFromHostilePackages(t *testing.T) {
	for _, c := range []struct {
		name    string
		members []*tar.Header
		ok      bool
	}{
		{"good", []*tar.Header{{Name: "./", Typeflag: tar.TypeDir}, {Name: "./bin/x", Mode: 0o4755, Size: 3}, {Name: "./bin/y", Linkname: "./bin/x", Typeflag: tar.TypeLink}}, true},
		{"parent", []*tar.Header{{Name: "./usr/../../x"}}, false},
		{"absolute", []*tar.Header{{Name: "/usr/x"}}, false},
		{"device", []*tar.Header{{Name: "./usr/null", Typeflag: tar.TypeChar}}, false},
		{"twice", []*tar.Header{{Name: "./bin/x"}, {Name: "./usr/sbin/x"}}, false},
		{"through a link", []*tar.Header{{Name: "./usr/l", Typeflag: tar.TypeSymlink, Linkname: "/../../../../../../tmp"}, {Name: "./usr/l/x"}}, false},
		{"hard link to dropped", []*tar.Header{{Name: "./var/x"}, {Name: "./usr/x", Linkname: "./var/x", Typeflag: tar.TypeLink}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "tree")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			path := filepath.Join(t.TempDir(), "x.deb")
			if err := os.WriteFile(path, debPackage(t, c.members), 0o644); err != nil {
				t.Fatal(err)
			}
			tree := &tree{"base", root}
			err = tree.addPackage(t.Context(), path)
			if (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
			if info, e := os.Stat(filepath.Join(dir, "usr/bin/x")); c.name == "good" && (e != nil || info.Mode() != 0o755) {
				t.Errorf("mode %v, %v", info, e)
			}
			if names, _ := os.ReadDir(parent); len(names) != 1 {
				t.Errorf("wrote outside: %v", names)
			}
		})
	}
}

func FuzzDataMember(f *testing.F) {
	good := debPackage(f, []*tar.Header{{Name: "./usr/bin/x", Size: 3}})
	f.Add(good)
	f.Add(good[:70])
	f.Fuzz(func(t *testing.T, data []byte) {
		_, section, err := DebianMembers(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		plain, err := source.Decompress(io.LimitReader(section, 1<<16))
		if err != nil {
			return
		}
		defer plain.Close()
		io.Copy(io.Discard, io.LimitReader(plain, 1<<20))
	})
}
