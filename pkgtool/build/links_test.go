package build

import (
	"strings"
	"testing"

	"ashlar/pkgtool/abi/abitest"
)

// TestInterfaceDigestsStopRebuilds changes one thing of a library at a time and
// looks who is built again.
func TestInterfaceDigestsStopRebuilds(t *testing.T) {
	b := newBench(t)
	b.setUp = func(e *Engine) { e.Interfaces = true }
	lib := func(source, header string) {
		b.write("lib/lib", text(t, abitest.Library(t, "libz.so.1", source, "Z_1 { global: *; };")))
		b.write("lib/header", header)
		b.recipe("lib", "build: {strip: false}\npackages: [{name: lib, files: ['/usr/lib/**']}, {name: lib-dev, files: ['/usr/include/**'], depends: [lib]}]",
			"copy, lib, usr/lib/libz.so.1", "copy, header, usr/include/z.h")
	}
	b.recipe("app", "build: {libs: [lib-dev]}", "put, usr/share/app, x")
	b.recipe("tool", "build: {tools: [lib]}", "put, usr/share/tool, x")
	b.recipe("both", "build: {tools: [lib], libs: [lib-dev]}", "put, usr/share/both, x")
	other := strings.Replace(zSource, "n + 1", "n * 3 + table[n & 3]", 1)
	const header = "int zed(int);\n"
	lib(zSource, header)
	built, _ := b.must()
	expect(t, "first", built, "app both lib tool")
	first := b.pkg("app-1.0.0-1.x86_64.ashlar").Manifest().Provenance.Action

	lib(other, header)
	built, _ = b.must()
	expect(t, "other code", built, "both lib tool")
	expect(t, "action of what was kept", b.pkg("app-1.0.0-1.x86_64.ashlar").Manifest().Provenance.Action, first)
	built, _ = b.must()
	expect(t, "again", built, "")
	if x := b.why("app"); !x.Cached {
		t.Errorf("why: %+v", x)
	}

	lib(zSource+"int more(void) { return 1; }", header)
	built, _ = b.must()
	expect(t, "one more symbol", built, "app both lib tool")
	lib(zSource+"int more(void) { return 1; }", header+"#define ZED 2\n")
	built, _ = b.must()
	// The tools see no headers.
	expect(t, "another header", built, "app both lib")

	// Strictly, what was built with other code is not the same.
	lib(other+"int more(void) { return 1; }", header+"#define ZED 2\n")
	built, _ = b.must()
	expect(t, "other code", built, "both lib tool")
	b.setUp = func(*Engine) {}
	built, _ = b.must()
	expect(t, "strictly", built, "app")
	built, _ = b.must()
	expect(t, "strictly again", built, "")
}

// TestInterfaceDigestsAreSwitchedOnWithoutBuilding: results that were made
// strictly count at once.
func TestInterfaceDigestsAreSwitchedOnWithoutBuilding(t *testing.T) {
	b := newBench(t)
	b.recipe("lib", "packages: [{name: lib-dev, split: dev}]", "put, usr/include/lib.h, one")
	b.recipe("app", "build: {libs: [lib-dev]}", "append, /usr/include/lib.h, usr/share/app")
	b.must()
	b.setUp = func(e *Engine) { e.Interfaces = true }
	built, packed := b.must()
	expect(t, "built", built+packed, "")
}
