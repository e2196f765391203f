package build

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/abi/abitest"
)

const zSource = `int table[4] = {1}; int zed(int n) { return n + 1; }`

// TestInterfaceDigest changes one thing of a package at a time and looks
// whether what is linked with it is to be built again.
func TestInterfaceDigest(t *testing.T) {
	var digests []string
	digest := func(library, program, static, header, manual, pc string) string {
		b := newBench(t)
		b.write("z/lib", text(t, library))
		b.write("z/program", text(t, program))
		b.write("z/static", text(t, static))
		b.write("z/header", header)
		b.write("z/manual", manual)
		b.write("z/pc", pc)
		b.recipe("z", "build: {strip: false}", "copy, lib, usr/lib/libz.so.1.2", "link, libz.so.1.2, usr/lib/libz.so.1", "copy, program, usr/bin/zed",
			"copy, static, usr/lib/libz.a", "copy, header, usr/include/z.h", "copy, manual, usr/share/man/man3/z.3", "copy, pc, usr/lib/pkgconfig/z.pc")
		b.must()
		p := b.pkg("z-1.0.0-1.x86_64.ashlar")
		dir := filepath.Join(t.TempDir(), "tree")
		if err := p.Extract(context.Background(), dir); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		sum, err := interfaceDigest(root, p.Manifest())
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, sum)
		return sum
	}
	library := func(source string) string { return abitest.Library(t, "libz.so.1", source, "Z_1 { global: *; };") }
	first, program, static := library(zSource), abitest.Compile(t, "void _start(void) {}", "-fPIE", "-pie"), abitest.Compile(t, zSource, "-c")
	const header, manual, pc = "int zed(int);\n", "zed adds\n", "Name: z\nVersion: 1\n"
	want := digest(first, program, static, header, manual, pc)
	for _, c := range []struct {
		what string
		same bool
		got  string
	}{
		{"nothing", true, digest(first, program, static, header, manual, pc)},
		{"code of the library", true, digest(library(strings.Replace(zSource, "n + 1", "n * 3 + table[n & 3]", 1)), program, static, header, manual, pc)},
		{"code of a program", true, digest(first, abitest.Compile(t, "int x; void _start(void) { x = 3; }", "-fPIE", "-pie"), static, header, manual, pc)},
		{"a manual page", true, digest(first, program, static, header, "zed subtracts\n", pc)},
		{"one more function", false, digest(library(zSource+"int more(void) { return 1; }"), program, static, header, manual, pc)},
		{"a longer table", false, digest(library(strings.Replace(zSource, "table[4]", "table[8]", 1)), program, static, header, manual, pc)},
		{"code of the static library", false, digest(first, program, abitest.Compile(t, strings.Replace(zSource, "n + 1", "n + 2", 1), "-c"), header, manual, pc)},
		{"a header", false, digest(first, program, static, header+"\n", manual, pc)},
		{"flags for linking", false, digest(first, program, static, header, manual, pc+"Libs: -lz\n")},
	} {
		if same := c.got == want; same != c.same {
			t.Errorf("%s: the digest is the same: %v", c.what, same)
		}
	}
	if len(want) != 64 || len(digests) != 10 {
		t.Error(want, len(digests))
	}
}
