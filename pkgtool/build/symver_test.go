package build

import (
	"bufio"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ashlar/pkgtool/abi/abitest"
)

// text is a file's content.
func text(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// versioned makes libz.so.1 with the given sets of symbols, each with one
// function of its name in small letters, and what links with all of them.
func versioned(t *testing.T, sets ...string) (library, user string) {
	t.Helper()
	var source, script, calls string
	for _, set := range sets {
		name := strings.ToLower(set)
		source += "int " + name + "(void) { return 1; }\n"
		script += set + " { global: " + name + "; };\n"
		calls += "int " + name + "(void); int use_" + name + "(void) { return " + name + "(); }\n"
	}
	library = abitest.Library(t, "libz.so.1", source, script)
	return library, abitest.Library(t, "libuser.so.2", calls, "", library)
}

// TestSymbolVersions builds libraries with sets of symbols, and users of them.
func TestSymbolVersions(t *testing.T) {
	old, _ := versioned(t, "Z_1", "Z_2")
	newer, user := versioned(t, "Z_1", "Z_3")
	b := newBench(t)
	b.write("zed/libz", text(t, newer))
	b.recipe("zed", "build: {strip: false}", "copy, libz, usr/lib/libz.so.1")
	b.write("app/libuser", text(t, user))
	const app = "build: {strip: false, libs: [zed]}"
	b.recipe("app", app, "copy, libuser, usr/lib/libuser.so.2")
	b.must()
	expect(t, "provides", strings.Join(b.pkg("zed-1.0.0-1.x86_64.ashlar").Manifest().Provides, " "),
		"soname(libz.so.1) symver(libz.so.1:Z_1) symver(libz.so.1:Z_3)")
	expect(t, "requires", strings.Join(b.pkg("app-1.0.0-1.x86_64.ashlar").Manifest().Requires, " "),
		"soname(libz.so.1) symver(libz.so.1:Z_1) symver(libz.so.1:Z_3)")

	b.write("zed/libz", text(t, old))
	b.fails("symver: /usr/lib/libuser.so.2 needs the symbols Z_3 of libz.so.1, which the package zed has not got")
	for _, except := range []string{
		"lint: {allow: [{id: symver, path: 'libz.so.1:Z_3', reason: r}]}",
		"packages: [{name: app, files: [/usr/lib/*], no-auto: [symver]}]\nlint: {allow: [{id: symver, reason: r}]}",
	} {
		b.recipe("app", app+"\n"+except, "copy, libuser, usr/lib/libuser.so.2")
		b.must()
	}
	expect(t, "with no-auto", strings.Join(b.pkg("app-1.0.0-1.x86_64.ashlar").Manifest().Requires, " "), "soname(libz.so.1)")
	b.recipe("app", app+"\npackages: [{name: app, files: ['/usr/lib/libuser*']}, {name: app-z, files: ['/usr/lib/libz*']}]",
		"copy, libuser, usr/lib/libuser.so.2", "copy, libz, usr/lib/libz.so.1")
	b.write("app/libz", text(t, old))
	b.fails("symver: /usr/lib/libuser.so.2 needs the symbols Z_3 of libz.so.1, which this recipe installs without them")
	b.write("app/libz", text(t, newer))
	b.must()
	expect(t, "of a sibling", strings.Join(b.pkg("app-1.0.0-1.x86_64.ashlar").Manifest().Requires, " "),
		"app-z =1.0.0-1 soname(libz.so.1) symver(libz.so.1:Z_1) symver(libz.so.1:Z_3)")
}

// TestSymbolVersionsAsReadelf compares what is read from programs and libraries
// of this host with what readelf says.
func TestSymbolVersionsAsReadelf(t *testing.T) {
	files, err := filepath.Glob("/usr/lib/x86_64-linux-gnu/lib*.so.?")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, "/usr/bin/ls", "/usr/bin/bash")
	root, err := os.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	sets := 0
	for _, file := range files {
		real, err := filepath.EvalSymlinks(file)
		if err != nil {
			t.Fatal(err)
		}
		facts, err := readELF(root, strings.TrimPrefix(real, "/"))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if facts == nil {
			continue // a script of the linker
		}
		defines, needs := readelfVersions(t, real)
		slices.Sort(facts.versions.defines)
		expect(t, file+" defines", strings.Join(facts.versions.defines, " "), strings.Join(defines, " "))
		var got []string
		for _, library := range slices.Sorted(maps.Keys(facts.versions.needs)) {
			for _, set := range slices.Sorted(slices.Values(facts.versions.needs[library])) {
				got = append(got, library+":"+set)
			}
		}
		expect(t, file+" needs", strings.Join(got, " "), strings.Join(needs, " "))
		sets += len(defines) + len(needs)
	}
	if sets < 50 {
		t.Errorf("only %d sets of symbols were compared", sets)
	}
}

var (
	readelfDefined = regexp.MustCompile(`Rev: \d+  Flags: (\S+).*Name: (\S+)`)
	readelfLibrary = regexp.MustCompile(`Version: \d+  File: (\S+)`)
	readelfNeeded  = regexp.MustCompile(`Name: (\S+)  Flags: (\S+)`)
)

// readelfVersions are the sets of symbols by readelf, sorted.
func readelfVersions(t *testing.T, file string) (defines, needs []string) {
	library := ""
	lines := bufio.NewScanner(strings.NewReader(abitest.Run(t, "readelf", "-W", "-V", file)))
	for lines.Scan() {
		line := lines.Text()
		if m := readelfDefined.FindStringSubmatch(line); m != nil {
			if m[1] != "BASE" {
				defines = append(defines, m[2])
			}
		} else if m := readelfLibrary.FindStringSubmatch(line); m != nil {
			library = m[1]
		} else if m := readelfNeeded.FindStringSubmatch(line); m != nil && !strings.Contains(line, "Rev:") && m[2] != "WEAK" {
			needs = append(needs, library+":"+m[1])
		}
	}
	slices.Sort(defines)
	slices.Sort(needs)
	return defines, needs
}

// TestInterpreters packs scripts.
func TestInterpreters(t *testing.T) {
	b := newBench(t)
	script := func(first string) string { return first + "\necho\n" }
	b.write("a/sh", script("#!/bin/sh -e"))
	b.write("a/python", script("#! /usr/bin/env -S PYTHONSAFEPATH=1 python3 -s"))
	b.write("a/own", script("#!/usr/bin/own-language"))
	b.write("a/private", script("#!/usr/lib/a/runner"))
	b.write("a/tool", "no script")
	b.recipe("a", "packages:\n  - {name: a, files: [/usr/bin/a-*, /usr/share/doc/**]}\n  - {name: a-language, files: [/usr/bin/own-language, /usr/lib/a/*]}\nbuild: {strip: false}",
		"copy, sh, usr/bin/a-sh", "copy, python, usr/bin/a-python", "copy, own, usr/bin/a-own", "copy, private, usr/bin/a-private",
		"copy, tool, usr/bin/own-language", "copy, tool, usr/lib/a/runner", "copy, own, usr/share/doc/a/example")
	b.must()
	expect(t, "requires", strings.Join(b.pkg("a-1.0.0-1.x86_64.ashlar").Manifest().Requires, ", "),
		"a-language =1.0.0-1, cmd(python3), cmd(sh)")
	b.write("a/private", script("#!/opt/language/runner"))
	b.fails("interpreter: /usr/bin/a-private is run by /opt/language/runner, which no package has there; name a program in /usr/bin on its first line")
	b.recipe("a", "lint: {allow: [{id: interpreter, path: /usr/bin/a-private, reason: r}]}\nbuild: {strip: false}", "copy, private, usr/bin/a-private")
	b.must()
}

func TestInterpreterOfAScript(t *testing.T) {
	for head, want := range map[string]string{
		"#!/bin/sh\nexit":                       "/bin/sh",
		"#!  /usr/bin/perl -w\n":                "/usr/bin/perl",
		"#!/usr/bin/env python3":                "python3",
		"#!/usr/bin/env -S -i A=b python3 -u\n": "python3",
		"#!/usr/bin/env\n":                      "/usr/bin/env",
		"#!\n":                                  "",
		"\x7fELF":                               "",
		"":                                      "",
	} {
		expect(t, head, scriptInterpreter([]byte(head)), want)
	}
}
