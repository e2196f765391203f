package recipes

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// examples are the recipes of docs/packaging.md, with the packages that each
// makes.
var examples = map[string][]string{
	"hello":     {"hello", "hello-debug", "hello-doc", "hello-locale"},
	"cmark":     {"cmark", "cmark-debug", "cmark-dev", "cmark-doc", "cmark-libs"},
	"tinyproxy": {"tinyproxy", "tinyproxy-debug", "tinyproxy-doc"},
}

// TestExamplesOfTheGuide builds the recipes of the packaging guide beside those
// of the project, tests of the packages included.
func TestExamplesOfTheGuide(t *testing.T) {
	if os.Getenv("ASHLAR_TEST_NETWORK") == "" {
		t.Skip("set ASHLAR_TEST_NETWORK=1: it fetches sources and the real seed")
	}
	dir := exampleProject(t)
	for name, want := range examples {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), program, "--json", "--quiet", "build", name, "--recipes", filepath.Join(dir, "recipes"), "--out", filepath.Join(dir, "out"))
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			var built []struct{ Recipe, Package string }
			if err := json.Unmarshal(out, &built); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range built {
				if b.Recipe == name {
					got = append(got, b.Package)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("packages %q, want %q", got, want)
			}
		})
	}
}

// exampleProject is a project with the recipes of this one and those of the
// guide.
func exampleProject(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range []string{"../../recipes", "../../docs/examples/packaging"} {
		if err := os.CopyFS(filepath.Join(dir, "recipes"), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	sums, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "go.sum"), sums)
	return dir
}

// Every example lints, whatever this machine can fetch.
func TestExamplesLint(t *testing.T) {
	dir := exampleProject(t)
	args := []string{"recipe", "lint", "--recipes", filepath.Join(dir, "recipes")}
	for name := range examples {
		args = append(args, name)
	}
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	entries, err := os.ReadDir("../../docs/examples/packaging")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/packaging.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if examples[e.Name()] == nil {
			t.Errorf("nobody builds the example %s", e.Name())
		}
		if !strings.Contains(string(guide), "examples/packaging/"+e.Name()) {
			t.Errorf("docs/packaging.md does not lead to the example %s", e.Name())
		}
	}
}
