package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/build/recipe"
)

const goodPatch = "--- a/src/x.c\t2020-01-01\n+++ b/src/x.c\t2020-01-01\n@@ -1,2 +1,2 @@\n a\n--- old/../../line\n+++ new/../../line\n"

func TestPatchesThatLeaveTheSource(t *testing.T) {
	for _, c := range []struct {
		name, text string
		strip      int
		want       string // "" is accepted
	}{
		{"plain", goodPatch, 1, ""},
		{"text around", "From: somebody\nSubject: ../x\n\n" + goodPatch + "-- \n2.30\n", 1, ""},
		{"new file", "--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+x\n", 1, ""},
		{"rename", "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n", 1, ""},
		{"executable", "diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", 1, ""},
		{"dots", "--- a/../../x\n+++ b/../../x\n@@ -1 +1 @@\n-a\n+b\n", 1, `line 1: the file "a/../../x" leaves the source`},
		{"dots in the new name", "--- a/x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n", 1, "line 2: the file"},
		{"absolute", "--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n", 0, "leaves the source"},
		{"quoted", "--- \"a/\\056./../x\"\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", 1, "leaves the source"},
		{"index line", "Index: ../../x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", 0, "line 1: the file"},
		{"rename outside", "diff --git a/x b/y\nrename from x\nrename to ../../y\n", 1, "line 3: the file"},
		{"symbolic link", "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc\n", 1, "a file of mode 120000"},
		{"submodule", "diff --git a/l b/l\nnew mode 160000\n", 1, "a file of mode 160000"},
		{"binary", "diff --git a/l b/l\nGIT binary patch\nliteral 3\n", 1, "a binary difference"},
		{"ed script", "1,2d\na\nr !id\n.\n", 1, "no unified difference"},
		{"ed script behind", goodPatch + "0a\n!touch /tmp/x\n.\n", 1, ""}, // patch -u does not know ed
		{"context", "*** a/x\n--- b/x\n***************\n*** 1 ****\n! a\n--- 1 ----\n! b\n", 1, "a context difference"},
		{"no count", "--- a/x\n+++ b/x\n@@ -1,x +1 @@\n", 1, "how many lines follow"},
		{"empty", "", 1, "no unified difference"},
	} {
		err := checkPatch([]byte(c.text), c.strip)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestSeries(t *testing.T) {
	source, own := t.TempDir(), t.TempDir()
	write := func(dir, name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(source, "debian/patches/series", "# fixes\none.patch\nsub/two.patch -p0 # flat\n\n")
	write(source, "debian/patches/one.patch", goodPatch)
	write(source, "debian/patches/sub/two.patch", "--- x\n+++ x\n@@ -1 +1 @@\n-a\n+b\n")
	commands, err := seriesCommands(&recipe.Patch{Series: "debian/patches/series"}, "/build/a-1", source, own)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range commands {
		got = append(got, strings.Join(c.Argv, " "))
	}
	want := "patch -u -p1 -F0 --batch --forward --no-backup-if-mismatch -i /build/a-1/debian/patches/one.patch\n" +
		"patch -u -p0 -F0 --batch --forward --no-backup-if-mismatch -i /build/a-1/debian/patches/sub/two.patch"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	write(own, "series", "outside.patch\n")
	if err := os.Symlink("/etc/hostname", filepath.Join(own, "outside.patch")); err != nil {
		t.Fatal(err)
	}
	if _, err := seriesCommands(&recipe.Patch{Series: "series"}, "/build/a-1", source, own); err == nil || !strings.Contains(err.Error(), "outside.patch") {
		t.Errorf("a link out of the folder: %v", err)
	}
	write(own, "wild", "one.patch --ed\n")
	if _, err := seriesCommands(&recipe.Patch{Series: "wild"}, "/build/a-1", source, own); err == nil || !strings.Contains(err.Error(), `option "--ed"`) {
		t.Errorf("an option: %v", err)
	}
}

// FuzzCheckPatch: whatever passes has no name that leaves the source.
func FuzzCheckPatch(f *testing.F) {
	f.Add([]byte(goodPatch), 1)
	f.Add([]byte("diff --git a/x b/y\nrename from x\nrename to y\n"), 0)
	f.Fuzz(func(t *testing.T, data []byte, strip int) {
		if strip < 0 || strip > 20 || checkPatch(data, strip) != nil {
			return
		}
		for _, line := range strings.Split(string(data), "\n") {
			if name, ok := strings.CutPrefix(line, "rename to "); ok && strings.HasPrefix(name, "../") && !strings.Contains(string(data), "@@") {
				t.Errorf("accepted %q", line)
			}
		}
	})
}
