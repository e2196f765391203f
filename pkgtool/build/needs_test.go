package build

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
	"testing"
)

// library describes an ELF file for these tests.
type library struct {
	soname, runPath, interpreter string
	needed                       []string
	execStack                    bool
	writable                     bool // without read-only relocations
	textRelocations              bool
}

// bytes makes the smallest file that says so: program headers, a dynamic
// section with its strings, and the section headers to find them.
func (l library) bytes() string {
	names := "\x00"
	text := func(s string) uint64 {
		at := len(names)
		names += s + "\x00"
		return uint64(at)
	}
	var dynamic []elf.Dyn64
	add := func(tag elf.DynTag, s string) { dynamic = append(dynamic, elf.Dyn64{Tag: int64(tag), Val: text(s)}) }
	if l.soname != "" {
		add(elf.DT_SONAME, l.soname)
	}
	for _, n := range l.needed {
		add(elf.DT_NEEDED, n)
	}
	if l.runPath != "" {
		add(elf.DT_RUNPATH, l.runPath)
	}
	if l.textRelocations {
		dynamic = append(dynamic, elf.Dyn64{Tag: int64(elf.DT_TEXTREL)})
	}
	dynamic = append(dynamic, elf.Dyn64{})
	const headers = 64 + 3*56
	interp := l.interpreter + "\x00"
	stack := uint32(elf.PF_R | elf.PF_W)
	if l.execStack {
		stack |= uint32(elf.PF_X)
	}
	programs := []elf.Prog64{{Type: uint32(elf.PT_GNU_STACK), Flags: stack}, {Type: uint32(elf.PT_NULL)}, {Type: uint32(elf.PT_GNU_RELRO)}}
	if l.writable {
		programs[2].Type = uint32(elf.PT_NULL)
	}
	if l.interpreter != "" {
		programs[1] = elf.Prog64{Type: uint32(elf.PT_INTERP), Off: headers, Filesz: uint64(len(interp))}
	}
	sectionNames := "\x00.dynamic\x00.dynstr\x00.shstrtab\x00"
	at := uint64(headers + len(interp))
	section := func(name string, kind elf.SectionType, link uint32, size int) elf.Section64 {
		s := elf.Section64{Name: uint32(strings.Index(sectionNames, name)), Type: uint32(kind), Link: link, Off: at, Size: uint64(size)}
		at += uint64(size)
		return s
	}
	sections := []elf.Section64{
		{},
		section(".dynamic", elf.SHT_DYNAMIC, 2, 16*len(dynamic)),
		section(".dynstr", elf.SHT_STRTAB, 0, len(names)),
		section(".shstrtab", elf.SHT_STRTAB, 0, len(sectionNames)),
	}
	head := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Shoff: at,
		Ehsize: 64, Phentsize: 56, Phnum: uint16(len(programs)), Shentsize: 64, Shnum: uint16(len(sections)), Shstrndx: 3,
	}
	copy(head.Ident[:], "\x7fELF\x02\x01\x01")
	var out bytes.Buffer
	for _, part := range []any{head, programs, []byte(interp), dynamic, []byte(names), []byte(sectionNames), sections} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			panic(err)
		}
	}
	return out.String()
}

func TestRequiresAndProvidesOfLibraries(t *testing.T) {
	b := newBench(t)
	b.write("zed/libz", library{soname: "libz.so.1"}.bytes())
	b.write("zed/zed.pc", "Name: zed\nVersion: 1.2\n")
	b.recipe("zed", "build: {strip: false}\npackages: [{name: zed, files: ['/usr/lib/*.so.*']}, {name: zed-dev, split: dev}]",
		"copy, libz, usr/lib/libz.so.1.2", "link, libz.so.1.2, usr/lib/libz.so.1", "link, libz.so.1, usr/lib/libz.so", "copy, zed.pc, usr/lib/pkgconfig/zed.pc")
	b.write("app/tool", library{needed: []string{"libz.so.1", "libapp.so.2", "libplug.so"}, interpreter: "/lib64/ld-linux-x86-64.so.2", runPath: "$ORIGIN/../lib/app"}.bytes())
	b.write("app/libapp", library{soname: "libapp.so.2", needed: []string{"libz.so.1"}}.bytes())
	b.write("app/libplug", library{soname: "libplug.so"}.bytes())
	b.write("app/app.pc", "Name: app\nVersion: ${v}\nRequires: zed >= 1.0, nowhere\n")
	b.recipe("app", `build: {strip: false, libs: [zed-dev]}
packages:
  - {name: app, files: [/usr/bin/*, '/usr/lib/app/**']}
  - {name: app-libs, files: ['/usr/lib/*.so.*']}
  - {name: app-dev, split: dev}`,
		"copy, tool, usr/bin/tool", "copy, libapp, usr/lib/libapp.so.2", "copy, libplug, usr/lib/app/libplug.so",
		"link, libapp.so.2, usr/lib/libapp.so", "copy, app.pc, usr/lib/pkgconfig/app.pc")
	b.must()
	for _, c := range []struct{ file, requires, provides string }{
		{"zed", "", "soname(libz.so.1)"},
		{"zed-dev", "zed =1.0.0-1", "pkgconfig(zed) = 1.2.0"},
		{"app", "app-libs =1.0.0-1, soname(libapp.so.2), soname(libz.so.1)", "cmd(tool)"},
		{"app-libs", "soname(libz.so.1)", "soname(libapp.so.2)"},
		{"app-dev", "app-libs =1.0.0-1, pkgconfig(zed)", "pkgconfig(app)"},
	} {
		m := b.pkg(c.file + "-1.0.0-1.x86_64.ashlar").Manifest()
		expect(t, c.file+" requires", strings.Join(m.Requires, ", "), c.requires)
		expect(t, c.file+" provides", strings.Join(m.Provides, ", "), c.provides)
	}
}

func TestRefusesProgramsThatWouldNotRun(t *testing.T) {
	for _, c := range []struct {
		library library
		allow   string
		want    string
	}{
		{library{needed: []string{"libseed.so.6"}}, "{id: soname, path: libseed.so.6, reason: r}", "needs libseed.so.6, which no package in its build root provides"},
		{library{runPath: "/build/lib"}, "{id: rpath, path: /usr/bin/*, reason: r}", "rpath: /usr/bin/tool looks for libraries in /build/lib"},
		{library{interpreter: "/lib64/ld-seed.so.2"}, "{id: interpreter, reason: r}", "is started by /lib64/ld-seed.so.2 instead of"},
		{library{execStack: true}, "{id: executable-stack, reason: r}", "wants to execute its stack"},
		{library{writable: true}, "{id: hardening, reason: r}", "hardening: /usr/bin/tool lacks read-only relocations (-Wl,-z,relro); pass CFLAGS and LDFLAGS on to the compiler, or say under lint why not"},
		{library{textRelocations: true}, "{id: text-relocation, path: /usr/bin/tool, reason: r}", "text-relocation: /usr/bin/tool is changed in memory before it runs"},
	} {
		b := newBench(t)
		b.write("a/tool", c.library.bytes())
		b.recipe("a", "build: {strip: false}", "copy, tool, usr/bin/tool")
		b.fails(c.want)
		b.recipe("a", "build: {strip: false}\nlint: {allow: ["+c.allow+"]}", "copy, tool, usr/bin/tool")
		built, packed := b.must()
		expect(t, "an exception is enough", built+"/"+packed, "/a")
	}
}
