package build

import (
	"strings"
	"testing"

	"ashlar/pkgtool/abi/abitest"
	"ashlar/pkgtool/build/recipe"
)

// TestLint packs recipes with one thing wrong each, then accepts it.
func TestLint(t *testing.T) {
	program := text(t, abitest.Compile(t, "void _start(void) {}", "-fPIE", "-pie"))
	for _, c := range []struct {
		id, packages string // "" for one package
		steps        []string
		file         string // of the recipe's folder, as "f"
		want         string
	}{
		{id: "broken-symlink", steps: []string{"link, libgone.so.1, usr/lib/libx.so"},
			want: "/usr/lib/libx.so leads to libgone.so.1, which neither this recipe nor a package of its build root has; install what it leads to, or remove the link, or say"},
		{id: "broken-symlink", steps: []string{"link, /bin/nothing, usr/bin/x"}, want: "/usr/bin/x leads to /bin/nothing"},
		{id: "build-path", steps: []string{"link, /dest/usr/bin/y, usr/bin/x"}, want: "/usr/bin/x leads to /dest/usr/bin/y, which exists only while it is built"},
		{id: "build-path", steps: []string{"copy, f, usr/lib/pkgconfig/x.pc"}, file: "prefix=/build/a-1.0.0/out\n", want: "/usr/lib/pkgconfig/x.pc names /build/a-1.0.0, which"},
		{id: "build-path", steps: []string{"copy, f, usr/bin/x"}, file: strings.Repeat("-", 256<<10-5) + "/build/objects", want: "/usr/bin/x names /build/objects"},
		{id: "world-writable", packages: "[{name: a, dirs: [{path: /var/a, mode: '0777'}]}]", want: "/var/a has mode 0777; give it a mode without write permission for others"},
		{id: "world-writable", packages: "[{name: a, files: ['/**'], modes: [{path: /usr/share/a, mode: '0666'}]}]", steps: []string{"put, usr/share/a, x"}, want: "/usr/share/a has mode 0666"},
		{id: "hardlink", packages: "[{name: a, files: [/usr/bin/x]}, {name: a-b, files: [/usr/bin/y]}]",
			steps: []string{"put, usr/bin/x, x", "hardlink, usr/bin/x, usr/bin/y"}, want: "/usr/bin/y is the same file as /usr/bin/x of the package a"},
		{id: "empty", packages: "[{name: a, files: ['/**']}, {name: a-b}]", steps: []string{"put, usr/bin/x, x"}, want: "the package a-b has no files and needs nothing"},
		{id: "lto", steps: []string{"copy, f, usr/lib/libx.a"}, file: "!<arch>\n....gnu.lto_.decls.1", want: "/usr/lib/libx.a holds the compiler's own bytecode"},
		{id: "hardening", steps: []string{"copy, f, usr/bin/x"}, want: "/usr/bin/x lacks a position-independent program (-fPIE -pie)",
			file: text(t, abitest.Compile(t, "void _start(void) {}", "-no-pie", "-static"))},
		{id: "hardening", steps: []string{"copy, f, usr/lib/libx.so.1"}, want: "/usr/lib/libx.so.1 lacks binding at the start (-Wl,-z,now)",
			file: text(t, abitest.Library(t, "libx.so.1", "int y(void); int x(void) { return y(); }", "", "-Wl,-z,lazy"))},
	} {
		b := newBench(t)
		more := "build: {strip: false}\n"
		if c.packages != "" {
			more += "packages: " + c.packages + "\n"
		}
		b.write("a/f", c.file)
		b.recipe("a", more, c.steps...)
		b.fails(c.id + ": ")
		b.fails(c.want)
		b.recipe("a", more+"lint: {allow: [{id: "+c.id+", reason: r}]}", c.steps...)
		b.must()
		if recipe.FindingOf(c.id) == nil {
			t.Errorf("%s is in no table", c.id)
		}
	}
	b := newBench(t)
	b.recipe("a", "", "link, ../../../etc/passwd, usr/bin/x")
	b.fails("escaping symlink: /usr/bin/x leads to ../../../etc/passwd, above the root")
	b.write("a/program", program)
	b.write("a/doc", "such as /build/objects\n")
	b.recipe("a", "build: {strip: false}\npackages: [{name: a, files: ['/**'], dirs: [{path: /var/a, mode: '1777'}]}, {name: a-all, depends: [a]}]",
		"copy, program, usr/bin/x", "link, x, usr/bin/y", "link, ../../bin/y, usr/lib/a/z", "link, /run/a, usr/lib/a/run", "link, /usr/lib/a, usr/share/a",
		"hardlink, usr/bin/x, usr/bin/xx", "copy, doc, usr/share/doc/a/x")
	b.must()
}

// TestSearchAcrossReads finds a pattern wherever the pieces of a file end.
func TestSearchAcrossReads(t *testing.T) {
	for _, before := range []int{0, 1, 256<<10 - 7, 256<<10 - 1, 256 << 10, 300 << 10} {
		text := strings.Repeat("x", before) + "/build/"
		found, err := search(strings.NewReader(text), []string{"/build/", "/builds"})
		if err != nil || !found[0] || found[1] {
			t.Errorf("after %d bytes: %v %v", before, found, err)
		}
	}
}
