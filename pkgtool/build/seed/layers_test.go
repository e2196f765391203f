package seed

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ashlar/pkgtool/build/source"
)

// The tests below unpack the project's own seed, 136 MiB from the host's
// mirror into the user's cache, and need user namespaces.
func needSeed(t *testing.T) (*Lock, *source.Fetcher) {
	if os.Getenv("ASHLAR_TEST_NETWORK") == "" {
		t.Skip("needs the network: set ASHLAR_TEST_NETWORK=1")
	}
	l, err := ReadLock("../../../recipes/seed.lock")
	if err != nil {
		t.Fatal(err)
	}
	fetcher, err := source.Host()
	if err != nil {
		t.Fatal(err)
	}
	return l, fetcher
}

func layerDirs(t *testing.T, l *Lock, fetcher *source.Fetcher, layers ...string) []string {
	var dirs []string
	for _, layer := range layers {
		dir, err := Materialize(t.Context(), l, layer, fetcher, fetcher.CacheDir, nil)
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

// inRoot runs a script in an overlay of the layers, the last one lowest.
func inRoot(t *testing.T, dirs []string, script string) (string, error) {
	work := t.TempDir()
	for _, name := range []string{"up", "work", "root"} {
		if err := os.Mkdir(filepath.Join(work, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	setup := fmt.Sprintf(`cd %q && mount -t overlay overlay -o lowerdir=%s,upperdir=up,workdir=work root &&
		mount --rbind /dev root/dev && mount --rbind /proc root/proc && mount -t tmpfs tmpfs root/tmp &&
		exec env -i PATH=/usr/bin LANG=C.UTF-8 HOME=/tmp "$0" root /usr/bin/bash -euc "cd /tmp; $1"`, work, strings.Join(dirs, ":"))
	chroot, err := exec.LookPath("chroot")
	if err != nil {
		chroot = "/usr/sbin/chroot"
	}
	out, err := exec.CommandContext(t.Context(), "unshare", "-Urm", "sh", "-c", setup, chroot, script).CombinedOutput()
	return string(out), err
}

func TestLayersBuildPrograms(t *testing.T) {
	l, fetcher := needSeed(t)
	all := layerDirs(t, l, fetcher, "go", "extra", "libc-dev", "gcc", "base")
	for _, c := range []struct{ name, script, want string }{
		{"c", `printf '#include <stdio.h>\nint main(void){puts("hello c");}' > a.c; cc a.c; ./a.out`, "hello c\n"},
		{"c++", `printf '#include <iostream>\nint main(){std::cout<<"hello c++\\n";}' > a.cc; c++ a.cc; ./a.out`, "hello c++\n"},
		{"loader", `printf 'int main(void){}' > a.c; gcc a.c; readelf -l a.out /usr/bin/bash | grep -o '/lib64/ld[^]]*'`, "/lib64/ld-linux-x86-64.so.2\n/lib64/ld-seed.so.2\n"},
		{"perl", `perl -MPOSIX -e 'print POSIX::floor(5.36), "\n"'`, "5\n"},
		{"python", `python3 -c 'import hashlib, zlib, subprocess, jinja2; print(1 + 1)'`, "2\n"},
		{"make", `printf 'all:\n\t@echo made\n' > Makefile; make`, "made\n"},
		{"bison", `printf '%%%%\ns: "a";\n' > p.y; bison p.y; test -s p.tab.c; yacc --version | grep -c GNU`, "1\n"},
		{"links", `readlink /usr/bin/{awk,sh,cc,c++,pkg-config,automake,aclocal,lex} /bin /sbin /lib /lib64 /usr/sbin`,
			"gawk\nbash\ngcc\ng++\npkgconf\nautomake-1.16\naclocal-1.16\nflex\nusr/bin\nusr/bin\nusr/lib\nusr/lib\nbin\n"},
		{"autoconf", `printf 'AC_INIT([x],[1])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\nLT_INIT\nAC_OUTPUT([Makefile])\n' > configure.ac; echo 'bin_PROGRAMS = x' > Makefile.am; echo 'int main(void){}' > x.c; autoreconf -fi >/dev/null 2>&1; ./configure >/dev/null; make >/dev/null; ./x; echo built`, "built\n"},
		{"go", `printf 'package main\nfunc main(){println("hello go")}\n' > m.go; CGO_ENABLED=0 GOTOOLCHAIN=local GOTELEMETRY=off go run m.go`, "hello go\n"},
		{"no traces", `ls /etc/debian_version /etc/ld.so.cache /usr/lib/os-release 2>/dev/null || echo none; find /usr -xdev -perm /6000`, "none\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if out, err := inRoot(t, all, c.script); err != nil || out != c.want {
				t.Errorf("got %q, %v; want %q", out, err, c.want)
			}
		})
	}
}

// Without layer libc-dev the seed must offer no header and no library to a
// build: they are the target's.
func TestSeedOffersNothingToLink(t *testing.T) {
	l, fetcher := needSeed(t)
	dirs := layerDirs(t, l, fetcher, "extra", "gcc", "base")
	for _, c := range []struct{ name, script, want string }{
		{"start files", `echo 'int main(void){}' > a.c; gcc a.c 2>&1 || true`, "cannot find Scrt1.o"},
		{"libz", `echo 'int main(void){}' > a.c; gcc -c a.c; ld a.o -lz 2>&1 || true`, "cannot find -lz"},
		{"libc", `echo 'int main(void){}' > a.c; gcc -c a.c; ld a.o -lc 2>&1 || true`, "cannot find -lc"},
		{"headers", `echo '#include <stdio.h>' > a.c; gcc -c a.c 2>&1 || true`, "stdio.h: No such file"},
		{"pkg-config", `pkg-config --list-all | wc -l`, "0\n"},
		{"loader", `ls /lib64/ld-linux-x86-64.so.2 2>&1 || true`, "No such file"},
	} {
		if out, err := inRoot(t, dirs, c.script); err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: got %q, %v; want %q", c.name, out, err, c.want)
		}
	}
	for _, dir := range dirs {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			if program, err := elf.Open(path); err == nil {
				for _, p := range program.Progs {
					if p.Type == elf.PT_INTERP {
						text, _ := io.ReadAll(p.Open())
						if got := string(bytes.TrimRight(text, "\x00")); got != seedLoader {
							t.Errorf("%s asks for %s", path, got)
						}
					}
				}
				program.Close()
			}
			return nil
		})
	}
}

// treeDigest covers everything of a tree that a build can see.
func treeDigest(t *testing.T, dir string) string {
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		fmt.Fprintf(sum, "%s %v %d %d", name, info.Mode(), info.ModTime().UnixNano(), info.Sys().(*syscall.Stat_t).Nlink*b2u(!d.IsDir()))
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if filepath.IsAbs(target) {
				t.Errorf("%s leads to %s, out of the tree", name, target)
			}
			fmt.Fprintf(sum, " -> %s", target)
		case d.Type().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(sum, " %x", sha256.Sum256(data))
		}
		fmt.Fprintln(sum)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func TestLayersAreTheSameEverywhere(t *testing.T) {
	l, fetcher := needSeed(t)
	for _, layer := range []string{"base", "libc-dev"} {
		first := layerDirs(t, l, fetcher, layer)[0]
		old := syscall.Umask(0o077)
		again, err := Materialize(t.Context(), l, layer, fetcher, t.TempDir(), nil)
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := treeDigest(t, first), treeDigest(t, again); a != b {
			t.Errorf("layer %s differs: %s %s", layer, a, b)
		}
	}
}

// Debian's own tool is the judge of what a pinned file holds.
func TestPinnedFilesAreWhatTheirNamesSay(t *testing.T) {
	l, fetcher := needSeed(t)
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("no dpkg-deb on this host")
	}
	for _, layer := range l.LayerNames() {
		for _, e := range l.Layers[layer] {
			if e.GoMod != "" {
				continue
			}
			path, err := fetcher.Fetch(t.Context(), e.Source(), nil)
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--field", path, "Package").Output()
			if err != nil || strings.TrimSpace(string(out)) != e.Name() {
				t.Errorf("%s is package %q (%v)", e.Path, out, err)
			}
		}
	}
}
