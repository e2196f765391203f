package hostile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// spelledAs is a good package whose manifest has other text in one place.
func spelledAs(old, new string) *pkg { return good().spelled(old, new) }

// listing is a good package with this field.
func listing(field string, value any) *pkg { return good().with(field, value) }

func hundredThousand() []string {
	list := make([]string, 100_000)
	for i := range list {
		list[i] = fmt.Sprintf("p%06d", i)
	}
	return list
}

func metadataFixtures() []fixture {
	return []fixture{
		{68, "nesting of 10^6", spelledAs(`"name":"hostile"`, `"name":`+strings.Repeat("[", 1_000_000)), "manifest", nil},
		{68, "nesting of 10^6 in an unknown key", spelledAs(`"name":"hostile"`, `"a":`+strings.Repeat("[", 1_000_000)+strings.Repeat("]", 1_000_000)+`,"name":"hostile"`), "manifest", nil},
		{68, "key twice", spelledAs(`"name":"hostile"`, `"name":"base","name":"hostile"`), "canonical", nil},
		{68, "key in capitals", spelledAs(`"name":"hostile"`, `"Name":"hostile"`), "canonical", nil},
		{68, "text of 30 MiB", spelledAs(`"name":"hostile"`, `"name":"`+strings.Repeat("x", 30<<20)+`"`), "name", nil},
		{68, "text of 100 MiB", spelledAs(`"name":"hostile"`, `"name":"`+strings.Repeat("x", 100<<20)+`"`), "more than the", nil},
		{68, "1e999", spelledAs(`"release":1`, `"release":1e999`), "manifest", nil},
		{68, "1.0", spelledAs(`"release":1`, `"release":1.0`), "manifest", nil},
		{68, "byte order mark", spelledAs(`{"arch"`, "\ufeff"+`{"arch"`), "manifest", nil},
		{68, "comment", spelledAs(`{"arch"`, `/**/{"arch"`), "manifest", nil},
		{68, "tab", spelledAs(`{"arch"`, "{\t"+`"arch"`), "canonical", nil},
		{68, "second document", spelledAs(`"version":"1.0.0"}`, `"version":"1.0.0"}{}`), "after top-level value", nil},
		{68, "second document on a line of its own", spelledAs(`"version":"1.0.0"}`, `"version":"1.0.0"}`+"\n---\n{}"), "after top-level value", nil},
		{68, "YAML with an alias bomb for a description", nil, "", func(w *world) {
			bomb := "schema: 1\nname: &a [x, x]\nversion: [*a, *a]\nsummary: {<<: *a}\n"
			w.must(os.WriteFile(filepath.Join(w.dir, "d.yaml"), []byte(bomb), 0o600))
			w.must(os.Mkdir(filepath.Join(w.dir, "empty"), 0o755))
			w.refused(w.pkgtool("pkg", "create", "empty", "-d", "d.yaml", "--unsigned"), 2, "")
		}},
		{68, "YAML nested 10^5 deep for a description", nil, "", func(w *world) {
			w.must(os.WriteFile(filepath.Join(w.dir, "d.yaml"), []byte("name: "+strings.Repeat("[", 100_000)), 0o600))
			w.must(os.Mkdir(filepath.Join(w.dir, "empty"), 0o755))
			w.refused(w.pkgtool("pkg", "create", "empty", "-d", "d.yaml", "--unsigned"), 2, "")
		}},
		{69, "10^5 dependencies", listing("requires", hundredThousand()), "more than the", nil},
		{69, "empty dependency", listing("requires", []string{""}), "requires", nil},
		{69, "dependency that is an option", listing("requires", []string{"--root=/"}), "requires", nil},
		{69, "version of 10^6 digits", &pkg{name: "hostile", version: "1.0." + strings.Repeat("1", 1_000_000), members: good().members}, "version", nil},
		{69, "constraint of 10^6 digits", listing("requires", []string{"a >=" + strings.Repeat("1", 1_000_000)}), "requires", nil},
		{69, "constraint that nests alternatives", listing("requires", []string{"a " + strings.Repeat(">=1 || ", 70)}), "requires", nil},
		{69, "epoch overflows", listing("epoch", 1<<32), "manifest", nil},
		{69, "negative release", listing("release", -1), "manifest", nil},
		{69, "depends on itself and is satisfied", nil, "", func(w *world) {
			p := good(file("z", "x")).with("requires", []string{"hostile"})
			w.install(p)
		}},
		{69, "depends on what conflicts with it", nil, "", func(w *world) {
			p := good()
			p.fields = says{"requires": []string{"base"}, "conflicts": []string{"base"}}
			w.untouched([]string{w.root, w.outside}, func() { w.refused(w.try(p), 3, "") })
		}},
		{70, "colours in the summary", listing("summary", "x\x1b[31m"), "U+001B", nil},
		{70, "window title in the license", listing("license", "\x1b]0;pwned\a"), "U+001B", nil},
		{70, "carriage return hides text", listing("description", "evil\rgood"), "U+000D", nil},
		{70, "bidirectional text in the vendor", listing("vendor", "\u202eevil"), "U+202E", nil},
		{70, "line of a mebibyte", listing("summary", strings.Repeat("x", 1<<20)), "summary", nil},
		{70, "name with an escape sequence", spelledAs(`"name":"hostile"`, `"name":"\u001b[2J"`), "name", nil},
		{70, "arguments and files that are named so", nil, "", func(w *world) { w.shownSafely() }},
		{71, "our records", good(file(".ashlar/current", "9")), "not for packages", nil},
		{71, "its own manifest", good(file(".pkg/manifest.json", "{}")), "not for packages", nil},
		{71, "the root", good(dir("/")), "absolute", nil},
		{71, "into /proc", good(file("proc/x", "x")), "below /proc", nil},
		{71, "into /run", good(file("run/x", "x")), "below /run", nil},
		{71, "file of another package", nil, "", func(w *world) { w.taken(file("usr/bin/base", "evil")) }},
		{71, "/etc as a file", nil, "", func(w *world) { w.taken(file("etc", "evil")) }},
		{71, "/usr as a symlink", nil, "", func(w *world) {
			w.taken(symlink("usr", "../../outside").claims("target", "opt").archived(header{name: "usr", kind: '2', mode: octal(8, 0o777), link: "opt"}.bytes()))
		}},
		{71, "folder in place of another package's file", nil, "", func(w *world) { w.taken(file("usr/bin/base/x", "evil")) }},
		{71, "identity of the tree", nil, "", func(w *world) {
			w.untouched([]string{w.root, w.outside}, func() {
				if r := w.try(&pkg{name: "thief", version: "1.0.0", members: []member{file("usr/lib/ashlar/tree", "evil")}}); r.code == 0 {
					w.t.Error("taken")
				}
			})
		}},
	}
}

// pairFixtures are two entries of one path, in all nine orders of kinds.
func pairFixtures() []fixture {
	kinds := map[string]member{"file": file("z", "x"), "folder": dir("z"), "symlink": symlink("z", "a")}
	var list []fixture
	for _, first := range []string{"file", "folder", "symlink"} {
		for _, second := range []string{"file", "folder", "symlink"} {
			list = append(list, fixture{72, first + " and " + second, good(kinds[first], kinds[second]), "twice", nil})
		}
	}
	return list
}

// taken asks that a package whose file is in the way of another's is refused
// with nothing changed.
func (w *world) taken(m member) {
	w.t.Helper()
	w.untouched([]string{w.root, w.outside}, func() {
		r := w.try(&pkg{name: "thief", version: "1.0.0", members: []member{m}})
		w.bounded(r)
		if r.code == 0 || !strings.Contains(r.stderr, strings.Split(m.says["path"].(string), "/")[0]) {
			w.t.Errorf("exit code %d: %s", r.code, r.stderr)
		}
	})
}

// shownSafely gives commands names with escape sequences, in arguments and in
// the system; whatever they print must be fit for a terminal, also as JSON.
func (w *world) shownSafely() {
	evil := "x\x1b[2J\x1b]0;pwned\a\r\u009b2J\u202e"
	w.must(os.WriteFile(filepath.Join(w.dir, evil), []byte("no package"), 0o600))
	w.must(os.WriteFile(filepath.Join(w.root, "usr/bin", evil), []byte("foreign"), 0o755))
	for _, args := range [][]string{
		{"pkg", "inspect", evil}, {"pkg", "list", "./" + evil}, {"pkg", "verify", evil}, {"pkg", "extract", evil}, {"pkg", "diff", evil, evil}, {"pkg", "sign", evil},
		{"pkg", "create", evil, "-d", evil}, {"install", "--yes", evil}, {"install", "--yes", "./" + evil}, {"remove", "--yes", evil}, {"upgrade", "--yes", evil},
		{"owns", "/usr/bin/" + evil}, {"info", evil}, {"files", evil}, {"search", evil}, {"verify"}, {"verify", evil}, {"list"}, {evil},
		{"install", "--yes", "--trust", evil, "./p.ashlar"},
	} {
		w.bounded(w.pkgtool(args...))
		w.bounded(w.pkgtool(append([]string{"--json"}, args...)...))
	}
}
