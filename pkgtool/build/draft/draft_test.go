package draft

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/version"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the golden recipes anew")

func TestSemantic(t *testing.T) {
	for upstream, want := range map[string]string{
		"1.2.3": "1.2.3", "9.1": "9.1.0", "590": "590.0.0", "2.06": "2.6.0", "v1.2": "1.2.0", "1.34+dfsg": "1.34.0", "1.2.13.dfsg": "1.2.13",
		"1.2.3.4": "1.2.3004", "9.2p1": "9.2.1", "4.2.8p15": "4.2.8015", "2025b": "2025.2.0", "1.1.1w": "1.1.1023", "30+20221128": "30.0.0",
		"1.0rc2": "1.0.0-rc.2", "2.0-beta1": "2.0.0-beta.1", "1.2.3~rc01": "1.2.3-rc.1", "20221128": "20221128.0.0", "2.1.12-stable": "2.1.12", "1.3.dfsg+really1.3.1": "1.3.1", "6.5+20250216": "6.5.0",
		"": "", "abc": "", "1.2.3.4.5": "", "1.2.3.4000": "", "1.2-weird-thing": "", "99999999999999999999": "",
	} {
		if got := Semantic(upstream); got != want {
			t.Errorf("Semantic(%q) = %q, want %q", upstream, got, want)
		}
	}
}

// Versions of one project, in the order they came out, must come out in order.
func TestSemanticKeepsOrder(t *testing.T) {
	for _, list := range []string{"1.0rc1 1.0rc2 1.0 1.1 1.2.1", "9.1p1 9.2p1 9.2p2 9.3p1", "2024a 2024b 2025a", "1.1.1a 1.1.1b 1.1.1w", "2.1.8-stable 2.1.12-stable"} {
		var last version.Version
		for upstream := range strings.FieldsSeq(list) {
			v, err := version.New(0, Semantic(upstream), 1)
			if err != nil {
				t.Fatalf("%s: %v", upstream, err)
			}
			if last.Semver != nil && v.Compare(last) <= 0 {
				t.Errorf("%s: %s (from %s) is not newer than %s", list, v, upstream, last)
			}
			last = v
		}
	}
}

func TestFileName(t *testing.T) {
	for base, want := range map[string][2]string{
		"zlib-1.3.1.tar.gz": {"zlib", "1.3.1"}, "zlib_1.2.13.dfsg.orig.tar.bz2": {"zlib", "1.2.13.dfsg"}, "v1.2.tar.gz": {"", "1.2"},
		"Python-3.11.2.tgz": {"python", "3.11.2"}, "sqlite-autoconf-3400100.tar.gz": {"sqlite-autoconf", "3400100"}, "foo-1.0-src.zip": {"foo", "1.0"},
		"gtk+-3.24.tar.xz": {"gtk", "3.24"}, "plain.tar": {"plain", ""}, "openssh-9.2p1.tar.gz": {"openssh", "9.2p1"},
	} {
		name, upstream := fileName(base)
		if name != want[0] || upstream != want[1] {
			t.Errorf("fileName(%q) = %q, %q; want %q", base, name, upstream, want)
		}
	}
}

// Each archive of testdata gives the recipe beside it, which has no mistakes.
func TestInspect(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}
	has := func(name string) bool { return name == "zlib-dev" || name == "ncurses-dev" }
	for _, file := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			d := inspect(t, file, has)
			golden := strings.TrimSuffix(file, ".txtar") + ".yaml"
			if *update {
				if err := os.WriteFile(golden, d.YAML(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(want) != string(d.YAML()) {
				t.Errorf("got\n%s\nwant\n%s\n(go test -update writes it)", d.YAML(), want)
			}
			lints(t, d)
		})
	}
}

// inspect unpacks a txtar; its comment is the address of the archive.
func inspect(t *testing.T, file string, has func(string) bool) *Draft {
	t.Helper()
	text, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	when := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	for _, f := range text.Files {
		name := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, when, when); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Inspect(Input{Dir: dir, URL: strings.TrimSpace(string(text.Comment)), SHA256: strings.Repeat("a", 64), Size: 1234, Has: has})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// lints loads the draft in a tree with the pipelines of this project.
func lints(t *testing.T, d *Draft) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "recipes")
	if err := os.CopyFS(filepath.Join(dir, "pipelines"), os.DirFS("../../../recipes/pipelines")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, d.Name), 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{recipe.FileName: d.YAML()}
	if url := strings.NewReplacer("${upstream}", d.UpstreamVersion()).Replace(d.Sources[0].URL); !strings.Contains(url, "/") {
		files[url] = []byte("an archive beside the recipe")
	}
	for name, data := range d.Files {
		files[name] = data
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, d.Name, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := recipe.LoadTree(dir, "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Lint(nil, d.Name); err != nil {
		t.Errorf("%v\n%s", err, d.YAML())
	}
	if formatted, err := recipe.Format("recipe.yaml", d.YAML()); err != nil || string(formatted) != string(d.YAML()) {
		t.Errorf("pkgtool recipe fmt changes it (%v):\n%s\nto\n%s", err, d.YAML(), formatted)
	}
}

// Whatever the texts of an archive say, the draft is a recipe that can be read.
func FuzzDraftLints(f *testing.F) {
	f.Add("x-1.0.tar.gz", "project('x', version: '1.0', description: 'a: b # c')", "GPL")
	f.Add("- {}.tar", "project(\"${x}\" DESCRIPTION \"a\nb\")", "Description: \"\\\x00")
	f.Add("no-1.0.tar.gz", "dependency('zlib')", "* - !!binary | > 'x")
	f.Fuzz(func(t *testing.T, url, build, text string) {
		dir := t.TempDir()
		for name, data := range map[string]string{"a/meson.build": build, "a/CMakeLists.txt": build, "a/x.pc.in": "Description: " + text + "\nURL: https://" + text, "a/README": "x - " + text} {
			os.MkdirAll(filepath.Join(dir, "a"), 0o755)
			if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		d, err := Inspect(Input{Dir: dir, URL: "https://example.org/" + url, SHA256: strings.Repeat("a", 64)})
		if err != nil {
			return
		}
		lints(t, d)
	})
}
