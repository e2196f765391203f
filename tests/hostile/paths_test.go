package hostile

import (
	"os"
	"path/filepath"
	"strings"
)

// inPath is a package with a file of this path in manifest and archive.
func inPath(path string) *pkg { return good(file(path, "evil")) }

// inArchive is a package whose manifest is good and whose archive says another
// path.
func inArchive(path string) *pkg {
	return good(file("z", "evil").archived(named(path, header{size: octal(12, 4)})))
}

func pathFixtures() []fixture {
	return []fixture{
		{1, "parent", inPath("../escape"), "../escape", nil},
		{1, "parent in the archive", inArchive("../escape"), "header differs", nil},
		{2, "parent inside", inPath("z/../../escape"), "not clean", nil},
		{2, "parent inside in the archive", inArchive("z/../../escape"), "header differs", nil},
		{3, "absolute", inPath("/abs/escape"), "absolute", nil},
		{3, "absolute in the archive", inArchive("/abs/escape"), "header differs", nil},
		{4, "two slashes", inPath("//abs"), "absolute", nil},
		{5, "dots", inPath("./z/./b"), "not clean", nil},
		{6, "empty", inPath("").noPath(), "empty path", nil},
		{7, "dot", inPath("."), "not clean", nil},
		{7, "dot dot", inPath(".."), "not clean", nil},
		{8, "slash behind a file", inPath("z/"), "not clean", nil},
		{9, "NUL in the manifest", inPath("z\x00y"), "U+0000", nil},
		{9, "NUL in the ustar name", good(file("z", "evil").archived(header{name: "z\x00y", size: octal(12, 4)}.bytes())), "header differs", nil},
		{9, "NUL in a pax path", good(file("z", "evil").archived(pax("path=z\x00y"), header{name: "z", size: octal(12, 4)}.bytes())), misplaced, nil},
		{10, "newline", inPath("z\ny"), "U+000A", nil},
		{11, "escape sequence", inPath("z\x1b[2J"), "U+001B", nil},
		{11, "clipboard", inPath("z\x1b]52;c;AAAA\a"), "U+001B", nil},
		{11, "bell", inPath("z\a"), "U+0007", nil},
		{11, "C1 control", inPath("z\u009b2J"), "U+009B", nil},
		{12, "no UTF-8 in the manifest", inPath("z@").spelled(`"z@"`, "\"z\xff\""), "canonical", nil},
		{12, "no UTF-8 in the archive", inArchive("z\xff"), misplaced, nil},
		{13, "bidirectional override", inPath("z\u202efdp"), "U+202E", nil},
		{13, "zero width", inPath("z\u200bz"), "U+200B", nil},
		{13, "byte order mark", inPath("z\ufeff"), "U+FEFF", nil},
		{14, "name of 256 bytes", inPath("z" + strings.Repeat("x", 255)), "longer than 255", nil},
		{15, "path of 4097 bytes", inPath("z" + strings.Repeat("/x", 2048)), "4097 bytes", nil},
		{15, "path of a mebibyte", inPath("z" + strings.Repeat("/x", 1<<19)), "more than the 4095", nil},
		{15, "path of a mebibyte in the archive", inArchive("z" + strings.Repeat("/x", 1<<19)), misplaced, nil},
		{16, "5000 deep", inPath("z" + strings.Repeat("/x", 2046)), "folders deep", nil},
		{16, "5000 deep in the archive", inArchive("z" + strings.Repeat("/x", 5000)), misplaced, nil},
		{17, "composed and decomposed", good(file("ve\u0301", "a"), file("v\u00e9", "b")), "looks the same", nil},
		{17, "ligature and letters", good(file("file", "a"), file("\ufb01le", "b")), "looks the same", nil},
		{17, "full width", good(file("v", "a"), file("\uff56", "b")), "looks the same", nil},
		// Names that differ in case only are common (kernel headers, terminfo) and
		// no danger on the file systems of a Linux root.
		{17, "case alone is allowed", nil, "", func(w *world) {
			w.arrives(map[string]string{"README": "big", "readme": "small", "stra\u00dfe": "s", "strasse": "ss"})
		}},
		{18, "backslashes and drives are ordinary letters", nil, "", func(w *world) {
			w.arrives(map[string]string{`C:\Windows\x`: "c", `a\..\..\escape`: "b", "D:": "d"})
		}},
		{19, "names like our temporary ones are ordinary", nil, "", func(w *world) {
			w.arrives(map[string]string{"etc/a.conf": "1", "etc/a.conf.new": "2", "etc/a.conf.pkg-new": "3", "usr/.extract-1": "4",
				"usr/bin/base.tmp-123456": "5", "usr/ashlar-spool-1": "6", "usr/lib/.staging": "7"})
		}},
	}
}

// noPath makes the last member say an empty path.
func (p *pkg) noPath() *pkg {
	last := &p.members[len(p.members)-1]
	*last = last.claims("path", nil)
	return p
}

// spelled replaces text of the manifest.
func (p *pkg) spelled(old, new string) *pkg {
	p.json = func(b []byte) []byte { return []byte(strings.Replace(string(b), old, new, 1)) }
	return p
}

// arrives installs files with these contents, which must come exactly so, and go
// again.
func (w *world) arrives(contents map[string]string) {
	w.t.Helper()
	p := good()
	for _, path := range sorted(contents) {
		p.members = append(p.members, file(path, contents[path]))
	}
	p.sort()
	w.untouched([]string{w.outside}, func() {
		before := names(w.t, w.root)
		w.install(p)
		for path, want := range contents {
			if got, err := os.ReadFile(filepath.Join(w.root, path)); err != nil || string(got) != want {
				w.t.Errorf("%s: %q %v", path, got, err)
			}
		}
		if r := w.pkgtool("remove", "--yes", p.name); r.code != 0 {
			w.t.Errorf("remove: %s", r.stderr)
		}
		if after := names(w.t, w.root); after != before {
			w.t.Errorf("after install and remove:\n%s\nbefore:\n%s", after, before)
		}
	})
}
