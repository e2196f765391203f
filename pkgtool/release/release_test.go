package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ashlar/iso"
	"ashlar/iso/isotest"
	"ashlar/iso/tree/treetest"
	"ashlar/pkgtool/build"
	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/signing"
)

const example = `schema: 1
name: example
summary: Example
packages: [shell]
offers: [spare]
repositories: [{name: here, urls: ["http://192.0.2.1/"]}]
`

func image(t *testing.T, text string) *iso.Image {
	t.Helper()
	p := filepath.Join(t.TempDir(), "example.yaml")
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := iso.Read(p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// started is a release whose packages are built already.
func started(t *testing.T, text string) *release {
	t.Helper()
	t.Setenv("ASHLAR_CACHE", t.TempDir())
	r := &release{Options: Options{Image: image(t, text), Out: t.TempDir(), Keys: filepath.Join(t.TempDir(), "keys"), Progress: func(string) {}}, result: &Result{}}
	if err := r.openKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.take(t, isotest.System(t, t.TempDir(), r.key))
	return r
}

func (r *release) take(t *testing.T, files []string) {
	t.Helper()
	r.result.Packages = nil
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		r.result.Packages = append(r.result.Packages, build.Built{File: filepath.Base(path), Path: path, SHA256: hex.EncodeToString(sum[:])})
	}
}

func TestPublishAndAssemble(t *testing.T) {
	r := started(t, example)
	if r.result.KeyMade == "" {
		t.Error("a new key goes unmentioned")
	}
	for range 2 {
		r.result.Installed = nil
		for _, step := range []func(context.Context) error{r.publish, r.assemble} {
			if err := step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r.result.Publication.Changed || !r.result.Image.Cached {
		t.Errorf("a second run did something: %+v, %+v", r.result.Publication, r.result.Image)
	}
	if want := []string{"filesystem 1.2.3-1", "linux-virt 1.2.3-1", "shell 1.2.3-1"}; !slices.Equal(r.result.Installed, want) {
		t.Errorf("installed %v, want %v", r.result.Installed, want)
	}
	if r.result.Publication.Packages != 6 {
		t.Errorf("%d packages published", r.result.Publication.Packages)
	}
	// The image trusts the repository that was made.
	dir := t.TempDir()
	treetest.Tool(t, "xorriso", "-osirrox", "on", "-indev", r.result.Image.Path, "-extract", "/live/root.squashfs", dir+"/root")
	root, err := repo.ReadRoot(r.result.Repository)
	if err != nil {
		t.Fatal(err)
	}
	if got := treetest.Tool(t, "unsquashfs", "-cat", dir+"/root", "etc/pkgtool/trust/here/root.json"); got != string(root.Data) {
		t.Errorf("trusts %q", got)
	}
	floor, err := os.ReadFile(filepath.Join(r.result.Repository, repo.TimestampPath))
	if got := treetest.Tool(t, "unsquashfs", "-cat", dir+"/root", "etc/pkgtool/trust/here/timestamp.json"); err != nil || got != string(floor) {
		t.Errorf("goes back behind %q, %v", got, err)
	}
	if i, err := iso.Inspect(r.result.Image.Path); err != nil || len(i.Manifest.Packages) != 3 {
		t.Errorf("%+v (%v)", i, err)
	}
}

func TestForeignSignatureIsRefused(t *testing.T) {
	r := started(t, example)
	other, err := signing.OpenStore(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := other.EnsureDefault()
	if err != nil {
		t.Fatal(err)
	}
	r.take(t, isotest.System(t, t.TempDir(), key))
	if err := r.publish(t.Context()); fault.ClassOf(err) != fault.Security {
		t.Errorf("published: %v", err)
	}
	if _, err := r.open(); !errors.Is(err, signing.ErrUnsigned) && fault.ClassOf(err) != fault.Security {
		t.Errorf("opened: %v", err)
	}
}

func TestUnsolvableImageSaysWhy(t *testing.T) {
	r := started(t, strings.Replace(example, "[shell]", `["shell >=9"]`, 1))
	if err := r.publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := r.assemble(t.Context())
	if fault.ClassOf(err) != fault.Unsolvable || !strings.Contains(err.Error(), "shell") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(r.Out, "ashlar-example.iso")); err == nil {
		t.Error("an image was made all the same")
	}
}

func TestRecipesAreThoseNeeded(t *testing.T) {
	tree, err := recipe.LoadTree("testdata/recipes", "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Err(); err != nil {
		t.Fatal(err)
	}
	r := &release{Options: Options{Image: image(t, example), Engine: &build.Engine{Tree: tree}}}
	got, err := r.recipes()
	if want := []string{"base", "boot", "filesystem", "linux", "spare"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("recipes %v (%v), want %v", got, err, want)
	}
	r.Image = image(t, strings.Replace(example, "[shell]", "[shel]", 1))
	if _, err := r.recipes(); fault.ClassOf(err) != fault.Usage || !strings.Contains(err.Error(), `no recipe or package "shel"`) {
		t.Errorf("error %v", err)
	}
}

// An image's own fragments reach the recipe of its kernel's configuration, as
// paths beside the definition; what is no fragment is refused before a build.
func TestKernelFragments(t *testing.T) {
	recipes := t.TempDir()
	for _, name := range []string{"linux-virt", "linux-virt-config", "shell"} {
		text := "schema: 1\nname: " + name + "\nversion: \"1.0.0\"\nrelease: 1\ndate: 2026-01-10\nsummary: s\nlicense: MIT\n" +
			"phases:\n  install:\n    - exec: [\"true\"]\npackages:\n  - name: " + name + "\n    files: [/usr/x]\n"
		if err := os.MkdirAll(filepath.Join(recipes, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(recipes, name, "recipe.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := recipe.LoadTree(recipes, "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ line, want string }{
		{"kernel_fragments: [mine.config]", ""},
		{"kernel_fragments: [none.config]", "none.config: no such file"},
		{"kernel: shell\nkernel_fragments: [mine.config]", "kernel shell takes no fragments"},
	} {
		m := image(t, example+c.line+"\n")
		mine := m.FragmentFiles()[0]
		if filepath.Base(mine) == "mine.config" {
			if err := os.WriteFile(mine, []byte("CONFIG_A=y\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		e := &build.Engine{Tree: tree}
		err := e.KernelFragments(m.Kernel, m.FragmentFiles()...)
		switch {
		case c.want == "" && (err != nil || !slices.Equal(e.Own["linux-virt-config"], []string{mine})):
			t.Errorf("%s: %v, %v", c.line, e.Own, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got error %v, want one with %q", c.line, err, c.want)
		}
	}
}
