package client_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/repo/repotest"
)

// TestDefine: repositories come and go, on and off; nothing is trusted in
// passing, and nothing half done stays.
func TestDefine(t *testing.T) {
	w, _ := newWorld(t)
	dirs := client.DirsOf(filepath.Join(t.TempDir(), "[a] *")) // a name that no pattern may see
	config := client.Config{Schema: 1, Name: "one", URLs: []string{"file://" + w.dir}, Channel: "stable", Priority: 70}
	root, err := client.ParseRoot(repotest.Root(t, w.dir))
	if err != nil || root.Publisher != "test" || root.Version != 1 {
		t.Fatalf("%+v, %v", root, err)
	}
	if err := dirs.Define(config, nil); err == nil {
		t.Error("defined without a root")
	}
	if left, _ := client.LoadConfigs(dirs.Config); len(left) != 0 {
		t.Errorf("defined all the same: %v", left)
	}
	if err := dirs.Define(config, root); err != nil {
		t.Fatal(err)
	}
	configs, err := client.LoadConfigs(dirs.Config)
	if err != nil || len(configs) != 1 || configs[0].Priority != 70 || !configs[0].On() || configs[0].URLs[0] != config.URLs[0] {
		t.Errorf("%+v, %v", configs, err)
	}
	if err := dirs.Define(config, root); fault.ClassOf(err) != fault.Usage {
		t.Errorf("twice: %v", err)
	}
	for _, on := range []bool{false, false, true, true} {
		was, _ := client.LoadConfigs(dirs.Config)
		changed, err := dirs.SetEnabled("one", on)
		now, _ := client.LoadConfigs(dirs.Config)
		if err != nil || changed != (was[0].On() != on) || now[0].On() != on {
			t.Errorf("%t: changed %t, %v", on, changed, err)
		}
	}
	c, err := client.Open(configs, dirs, client.Options{Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := dirs.Undefine("one"); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{filepath.Join(dirs.Trust, "one"), filepath.Join(dirs.Config, "one.yaml"), filepath.Join(dirs.Cache, "catalogues", "one")} {
		if _, err := os.Stat(gone); !os.IsNotExist(err) {
			t.Errorf("%s: %v", gone, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dirs.State, "one", "trusted.json")); err != nil {
		t.Errorf("that it must not go back in time is forgotten: %v", err)
	}
	if err := dirs.Undefine("one"); fault.ClassOf(err) != fault.Usage {
		t.Errorf("removed twice: %v", err)
	}
	// A file of that name that defines something else is left alone.
	write(t, filepath.Join(dirs.Config, "one.yaml"), []byte("schema: 1\nname: two\nurls: [file:///x]\n"))
	if err := dirs.Define(config, root); fault.ClassOf(err) != fault.Usage {
		t.Errorf("over another one's file: %v", err)
	}
	write(t, filepath.Join(dirs.Config, "one.yaml"), []byte("schema: 1\nname: [\n"))
	if _, err := dirs.SetEnabled("two", false); fault.ClassOf(err) != fault.Usage {
		t.Errorf("beside a broken one: %v", err)
	}
}

// TestPublishedRoots: all roots are found, from the first mirror that has any;
// the fingerprint decides.
func TestPublishedRoots(t *testing.T) {
	w, _ := newWorld(t)
	config := client.Config{Schema: 1, Name: "one", URLs: []string{"file:///nowhere", w.serve(w.dir)}}
	roots, err := client.PublishedRoots(t.Context(), config, quick)
	if err != nil || len(roots) != 1 {
		t.Fatal(roots, err)
	}
	sum := roots[0].SHA256
	for _, text := range []string{sum, strings.ToUpper(sum), sum[:32] + " " + sum[32:], sum[:2] + ":" + sum[2:]} {
		if found, err := client.FindRoot(roots, text); err != nil || found != roots[0] {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, class := range map[string]fault.Class{sum[:63]: fault.Usage, "": fault.Usage, sum[:63] + "g": fault.Usage,
		strings.Repeat("0", 64): fault.Security} {
		if _, err := client.FindRoot(roots, text); fault.ClassOf(err) != class {
			t.Errorf("%q: %v", text, err)
		}
	}
	write(t, filepath.Join(w.dir, "metadata/1.root.json"), []byte(`{"signed": {}}`))
	if _, err := client.PublishedRoots(t.Context(), config, quick); fault.ClassOf(err) != fault.Security {
		t.Errorf("no root at all: %v", err)
	}
	config.URLs = config.URLs[:1]
	if _, err := client.PublishedRoots(t.Context(), config, quick); fault.ClassOf(err) != fault.Network {
		t.Errorf("no mirror: %v", err)
	}
}
