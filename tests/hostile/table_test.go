package hostile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// invalid is the exit code of what no package is.
const invalid = 4

// fixture is one bad input with its number in the list of 72.
type fixture struct {
	number int
	name   string
	pkg    *pkg   // refused as invalid, for the reason want, by every command that reads packages
	want   string // part of the message
	run    func(w *world)
}

// misplaced is part of the message where the archive holds more before a file's
// content than the manifest allows.
const misplaced = "said to begin"

// fixtures are all bad inputs. They are made when they are needed: this program
// is also the one whose memory is measured.
func fixtures() []fixture {
	return slices.Concat(pathFixtures(), linkFixtures(), typeFixtures(), desyncFixtures(), compressionFixtures(), metadataFixtures(), pairFixtures())
}

// TestBadPackages runs every fixture. Most are refused: by extract, verify and
// install alike, with nothing changed in the root, beside it, or left behind.
func TestBadPackages(t *testing.T) {
	w := newWorld(t).base()
	for _, f := range fixtures() {
		t.Run(fmt.Sprintf("B%02d %s", f.number, f.name), func(t *testing.T) {
			if f.run != nil {
				f.run(newWorld(t).base())
				return
			}
			w := *w
			w.t = t
			w.refuse(f.pkg, f.want)
		})
	}
}

// refuse asks that every command that reads packages refuses this one.
func (w *world) refuse(p *pkg, want string) {
	w.t.Helper()
	path := w.write(p.bytes(w.t, w.key))
	w.untouched([]string{w.root, w.outside}, func() {
		out := filepath.Join(w.dir, "out")
		w.refused(w.pkgtool("pkg", "extract", path, "-C", out), invalid, want)
		w.refused(w.pkgtool("install", "--yes", "--trust", "trusted.asc", path), invalid, want)
	})
	entries, err := os.ReadDir(w.dir)
	w.must(err)
	for _, e := range entries {
		if !slices.Contains([]string{"root", "outside", "trusted.asc", "p.ashlar", "peak", "cache", "keys", "home"}, e.Name()) {
			w.t.Errorf("%s is left behind", e.Name())
		}
	}
}

// TestEveryNumberIsThere: no number of the list can be forgotten.
func TestEveryNumberIsThere(t *testing.T) {
	all := fixtures()
	for number := 1; number <= 72; number++ {
		if !slices.ContainsFunc(all, func(f fixture) bool { return f.number == number }) {
			t.Errorf("no fixture B%02d", number)
		}
	}
}

// TestGoodPackageIsTaken: the fixtures differ from this one only by what is bad
// in them.
func TestGoodPackageIsTaken(t *testing.T) {
	long := strings.Repeat("long/", 30) + "name"
	for _, xz := range []bool{false, true} {
		w := newWorld(t).base()
		p := good(symlink("l", "a"), hardlink("m", "a/f"), file("n", ""), file(long, "x"), symlink("z", "a/"+long))
		p.sort()
		p.xz = xz
		w.untouched([]string{w.outside}, func() { w.install(p) })
		if got, err := os.ReadFile(filepath.Join(w.root, "m")); err != nil || string(got) != "hello" {
			t.Errorf("%q %v", got, err)
		}
	}
}
