package hostile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRemovalTakesOnlyWhatIsOwned removes a package whose paths are no longer
// what it installed.
func TestRemovalTakesOnlyWhatIsOwned(t *testing.T) {
	owner := func() *pkg {
		return (&pkg{name: "owner", version: "1.0.0", members: []member{
			file("etc/owner.conf", "a\n").claims("config", true), dir("opt/d"), file("opt/d/x", "mine\n"), file("opt/f", "mine\n"),
			symlink("opt/l", "d"), file("opt/*", "glob\n"), file("opt/[a-z]", "glob\n"), dir("usr/share/d"), file("usr/share/d/x", "mine\n")}}).sort()
	}
	write := func(w *world, path, content string) {
		full := filepath.Join(w.root, path)
		w.must(os.MkdirAll(filepath.Dir(full), 0o755))
		w.must(os.WriteFile(full, []byte(content), 0o644))
	}
	for _, c := range []struct {
		name  string
		spoil func(w *world)
		stays []string // paths that must be there afterwards
	}{
		{"nothing changed", func(*world) {}, nil},
		{"folder is now a symlink to outside", func(w *world) {
			w.plant("opt/d")
			w.must(os.Symlink(w.outside+"/folder", filepath.Join(w.root, "opt/d")))
		}, nil},
		{"folder in usr is now a symlink to outside", func(w *world) {
			w.plant("usr/share/d")
			w.must(os.Symlink(w.outside+"/folder", filepath.Join(w.root, "usr/share/d")))
		}, nil},
		{"folder is now a symlink inside", func(w *world) {
			write(w, "srv/x", "another's\n")
			w.plant("opt/d")
			w.must(os.Symlink("../srv", filepath.Join(w.root, "opt/d")))
		}, []string{"srv/x"}},
		{"file is now a symlink to outside", func(w *world) {
			w.plant("opt/f")
			w.must(os.Symlink(w.outside+"/secret", filepath.Join(w.root, "opt/f")))
		}, nil},
		{"symlink leads elsewhere now", func(w *world) {
			w.plant("opt/l")
			w.must(os.Symlink(w.outside+"/folder", filepath.Join(w.root, "opt/l")))
		}, nil},
		{"foreign files in its folders", func(w *world) { write(w, "opt/d/foreign", "f\n"); write(w, "usr/share/d/deep/foreign", "f\n") },
			[]string{"opt/d/foreign", "usr/share/d/deep/foreign"}},
		{"file is now a folder with foreign files", func(w *world) { w.plant("opt/f"); write(w, "opt/f/foreign", "f\n") }, []string{"opt/f/foreign"}},
		{"folder is now a foreign file", func(w *world) { w.plant("opt/d"); write(w, "opt/d", "f\n") }, nil},
		{"names that a pattern would match", func(w *world) { write(w, "opt/b", "f\n"); write(w, "opt/other", "f\n") }, []string{"opt/b", "opt/other"}},
		{"edited configuration", func(w *world) { write(w, "etc/owner.conf", "edited\n") }, nil},
		{"all is gone", func(w *world) { w.plant("opt"); w.plant("usr/share"); w.plant("etc/owner.conf") }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t).base()
			w.install(owner())
			c.spoil(w)
			w.untouched([]string{w.outside, filepath.Join(w.root, "usr/bin")}, func() {
				r := w.pkgtool("remove", "--yes", "owner")
				w.bounded(r)
				if r.code != 0 && strings.TrimSpace(r.stderr) == "" {
					t.Errorf("exit code %d without a word", r.code)
				}
				t.Logf("exit code %d %s", r.code, r.stderr)
			})
			for _, path := range c.stays {
				if _, err := os.Lstat(filepath.Join(w.root, path)); err != nil {
					t.Errorf("%s is gone: %v", path, err)
				}
			}
		})
	}
}
