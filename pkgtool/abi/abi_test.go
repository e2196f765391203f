package abi_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ashlar/pkgtool/abi"
	"ashlar/pkgtool/abi/abitest"
)

func read(t testing.TB, file string) *abi.Library {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	library, err := abi.Read(f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return library
}

var nmLine = regexp.MustCompile(`(?m)^(?:[0-9a-f]+ (?:[0-9a-f]+ )?)?([A-Za-z]) (\S+)$`)

// TestSymbolsAsNm compares the exports of this host's libraries with what nm
// says, data with their sizes.
func TestSymbolsAsNm(t *testing.T) {
	files, err := filepath.Glob("/usr/lib/x86_64-linux-gnu/lib[cmz]*.so.?")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		library := read(t, file)
		var got, want []string
		for _, s := range library.Symbols {
			got = append(got, s.String())
		}
		for _, m := range nmLine.FindAllStringSubmatch(abitest.Run(t, "nm", "-D", "--defined-only", "--with-symbol-versions", file), -1) {
			if m[1] == "A" && slices.Contains(library.Sets, m[2]) {
				continue // the linker's mark of a set
			}
			want = append(want, m[2])
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			i := 0
			for i < min(len(got), len(want)) && got[i] == want[i] {
				i++
			}
			t.Errorf("%s: %d symbols, nm has %d; from number %d on %.200s, nm: %.200s", file, len(got), len(want), i, got[i:], want[i:])
		}
	}
}

const v1 = `int table[4]; int count(void) { return 1; } int gone(void) { return 2; } __thread int own;`

// TestChangesAsAbidiff compares builds of a library, and asks abidiff whether
// programs linked with the first one go on working. Its status has 4 for a
// change and 8 for one that breaks.
func TestChangesAsAbidiff(t *testing.T) {
	first := abitest.Library(t, "libt.so.1", v1, "", "-g")
	for _, c := range []struct {
		name, source, soname    string
		added, removed, changed string
		breaks                  bool
	}{
		{name: "code only", source: strings.Replace(v1, "return 1", "return table[0] * 7", 1)},
		{name: "one more", source: v1 + "int more(void) { return 3; }", added: "more"},
		{name: "one less", source: strings.Replace(v1, "int gone", "static int gone", 1), removed: "gone", breaks: true},
		{name: "longer table", source: strings.Replace(v1, "table[4]", "table[5]", 1), changed: "table", breaks: true},
		{name: "thread-local no more", source: strings.Replace(v1, "__thread ", "", 1), changed: "own", breaks: true},
		{name: "another name", source: v1, soname: "libt.so.2", breaks: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			soname := c.soname
			if soname == "" {
				soname = "libt.so.1"
			}
			second := abitest.Library(t, soname, c.source, "", "-g")
			change := abi.Compare(read(t, first), read(t, second))
			names := func(symbols []abi.Symbol) string {
				var all []string
				for _, s := range symbols {
					all = append(all, s.Name)
				}
				return strings.Join(all, " ")
			}
			var changed []abi.Symbol
			for _, p := range change.Changed {
				changed = append(changed, p.To)
			}
			if names(change.Added) != c.added || names(change.Removed) != c.removed || names(changed) != c.changed {
				t.Errorf("added %q, removed %q, changed %q", names(change.Added), names(change.Removed), names(changed))
			}
			if change.Breaks() != c.breaks {
				t.Errorf("breaks: %v", change.Breaks())
			}
			if empty := c.added+c.removed+c.changed+c.soname == ""; change.Empty() != empty {
				t.Errorf("empty: %v", change.Empty())
			}
			text, status := abitest.Status(t, "abidiff", first, second)
			const differs, incompatible = 4, 8
			// abidiff counts every change of a variable's type as possibly
			// harmless; that a symbol is gone or the soname another is certain.
			if certain := c.removed != "" || c.soname != ""; certain != (status&incompatible != 0) || change.Empty() != (status&differs == 0) {
				t.Errorf("abidiff: status %d\n%s", status, text)
			}
		})
	}
}

func TestSetsOfSymbols(t *testing.T) {
	library := read(t, abitest.Library(t, "libv.so.1", "int a(void) { return 1; } int b(void) { return 2; } int hidden(void) { return 3; }",
		"V_1 { global: a; local: hidden; }; V_2 { global: b; } V_1;"))
	if got := strings.Join(library.Sets, " "); got != "V_1 V_2" {
		t.Error(got)
	}
	var names []string
	for _, s := range library.Symbols {
		names = append(names, s.String()+":"+s.Kind)
	}
	if got := strings.Join(names, " "); got != "a@@V_1:function b@@V_2:function" {
		t.Error(got)
	}
}

func TestNoLibrary(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("INPUT(-lm)\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for what, file := range map[string]string{
		"text": text, "program": abitest.Compile(t, "void _start(void) {}", "-fPIE", "-pie"),
		"fixed program": abitest.Compile(t, "void _start(void) {}", "-no-pie", "-static"),
		"object file":   abitest.Compile(t, "int a;", "-c"),
	} {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := abi.Read(f); err != abi.ErrNoLibrary {
			t.Errorf("%s: %v", what, err)
		}
		f.Close()
	}
}

// FuzzRead: no file makes reading crash.
func FuzzRead(f *testing.F) {
	for _, source := range []string{"int a(void) { return 1; }", v1} {
		data, err := os.ReadFile(abitest.Library(f, "liba.so.1", source, "A_1 { global: *; };"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		library, err := abi.Read(strings.NewReader(string(data)))
		if err == nil && abi.Compare(library, library).Breaks() {
			t.Error("a library breaks itself")
		}
	})
}
