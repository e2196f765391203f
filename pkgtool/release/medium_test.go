package release

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ashlar/iso"
	"ashlar/iso/tree/treetest"
	"ashlar/pkgtool/client"
)

const carrying = example + "medium: [spare]\n"

func (r *release) run(t *testing.T) {
	t.Helper()
	for _, step := range []func(context.Context) error{r.publish, r.assemble} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A live system finds the repository of its medium, trusts it years later, and
// has everything there that an installation needs.
func TestMediumCarriesARepository(t *testing.T) {
	r := started(t, carrying)
	r.run(t)
	dir := t.TempDir()
	treetest.Tool(t, "xorriso", "-osirrox", "on", "-indev", r.result.Image.Path, "-extract", "/repository", dir+"/repository",
		"-extract", "/live/root.squashfs", dir+"/root.squashfs")
	treetest.Tool(t, "unsquashfs", "-q", "-n", "-d", dir+"/root", dir+"/root.squashfs", "etc/pkgtool")
	dirs := client.DirsOf(dir + "/root")
	configs, err := client.LoadConfigs(dirs.Config)
	if err != nil {
		t.Fatal(err)
	}
	configs = slices.DeleteFunc(configs, func(c client.Config) bool { return c.Name != iso.MediumRepository })
	if len(configs) != 1 || !slices.Equal(configs[0].URLs, []string{"file:///run/ashlar/medium/repository"}) {
		t.Fatalf("repositories %+v", configs)
	}
	configs[0].URLs = []string{"file://" + dir + "/repository"}
	c, err := client.Open(configs, dirs, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"filesystem", "linux-virt", "shell", "spare", "grub", "ashlar-liveinit"} {
		found := c.ByName(name)
		if len(found) != 1 {
			t.Errorf("%s: %v", name, found)
			continue
		}
		p, err := c.Fetch(t.Context(), found[0], nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p.Close()
	}
	if r.result.Medium == nil || r.result.Medium.Packages != 6 {
		t.Errorf("says of itself %+v", r.result.Medium)
	}
	if private, _ := filepath.Glob(dir + "/repository/.*"); len(private) > 0 {
		t.Errorf("carries the publisher's own files %v", private)
	}
}

// The clock, the folder and what was there before change nothing of a medium.
func TestMediumIsReproducible(t *testing.T) {
	r := started(t, carrying)
	r.run(t)
	first, err := os.ReadFile(r.result.Image.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ASHLAR_CACHE", t.TempDir())
	other := filepath.Join(t.TempDir(), "other")
	if err := os.CopyFS(other+"/repo", os.DirFS(r.Out+"/repo")); err != nil {
		t.Fatal(err)
	}
	r.Out = other
	r.run(t)
	second, err := os.ReadFile(r.result.Image.Path)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("another image: %v", err)
	}
	r.result.Installed = nil
	r.run(t)
	if !r.result.Image.Cached {
		t.Error("made again although nothing changed")
	}
}

func TestOnlyAnISOCarriesARepository(t *testing.T) {
	r := started(t, strings.Replace(carrying, "packages:", "formats: [tar]\npackages:", 1))
	r.run(t)
	if r.result.Medium != nil {
		t.Errorf("made %+v", r.result.Medium)
	}
	if list := treetest.Tool(t, "tar", "--zstd", "-tf", r.result.Image.Path); strings.Contains(list, "medium.yaml") {
		t.Error("names a medium that is not there")
	}
}
