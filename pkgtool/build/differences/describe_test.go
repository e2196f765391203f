package differences

import (
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// assemble makes an object file with a string in .rodata, and perhaps a static
// library of it.
func assemble(t *testing.T, text string, library bool) []byte {
	t.Helper()
	dir := t.TempDir()
	source := ".section .rodata\nname: .string \"" + text + "\"\n.text\n.globl f\nf: ret\n"
	if err := os.WriteFile(filepath.Join(dir, "a.s"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	file := "a_member_with_a_long_name.o"
	commands := [][]string{{"as", "-o", file, "a.s"}}
	if library {
		commands = append(commands, []string{"ar", "rcD", "lib.a", file})
	}
	for _, c := range commands {
		cmd := exec.CommandContext(t.Context(), c[0], c[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", c, err, out)
		}
		file = c[len(c)-2]
		if c[0] == "as" {
			file = c[2]
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func compressed(t *testing.T, text string, at time.Time) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.ModTime = at
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		name     string
		old, new []byte
		want     []string
	}{
		{"texts", []byte("one\ntwo\n"), []byte("one\nthree\n"), []string{"-two", "+three"}},
		{"bytes", []byte("\x00\x01abc"), []byte("\x00\x01abX"), []string{"1 bytes differ, the first at 0x4", "- 00000000  00 01 61 62 63", "..abX"}},
		{"longer", []byte("\x00\x01"), []byte("\x00\x01\x02"), []string{"2 -> 3 bytes, equal up to 0x2"}},
		{"time of gzip", compressed(t, "x", time.Unix(1, 0)), compressed(t, "x", time.Unix(2, 0)), []string{"1970-01-01 00:00:01 +0000 UTC -> 1970-01-01 00:00:02", "gzip -n"}},
		{"text in gzip", compressed(t, "x\n", time.Unix(1, 0)), compressed(t, "y\n", time.Unix(1, 0)), []string{"gzip: -x", "gzip: +y"}},
		{"object", assemble(t, "/build/one", false), assemble(t, "/build/two", false), []string{"section .rodata: ", "/build/two"}},
		{"library", assemble(t, "/build/one", true), assemble(t, "/build/two", true), []string{"member a_member_with_a_long_name.o: section .rodata: ", "/build/two"}},
		{"broken ELF", []byte("\x7fELF\x02\x01\x01 one"), []byte("\x7fELF\x02\x01\x01 two"), []string{"bytes differ"}},
		{"broken library", []byte("!<arch>\nfoo\x00"), []byte("!<arch>\nbar\x00"), []string{"bytes differ"}},
	} {
		got := strings.Join(Describe(c.old, c.new), "\n")
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: got\n%s\nwant %s", c.name, got, want)
			}
		}
		if same := Describe(c.old, bytes.Clone(c.old)); same != nil {
			t.Errorf("%s: equal contents differ in %q", c.name, same)
		}
	}
}

// FuzzDescribe: no content makes it panic or print more than it promises.
func FuzzDescribe(f *testing.F) {
	f.Add([]byte("!<arch>\n"), []byte("\x7fELF"))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0}, []byte{0x28, 0xb5, 0x2f, 0xfd, 1})
	f.Fuzz(func(t *testing.T, old, new []byte) {
		lines := Describe(old, new)
		if bytes.Equal(old, new) != (len(lines) == 0) {
			t.Errorf("%d lines", len(lines))
		}
	})
}
