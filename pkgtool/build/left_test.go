package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLeftovers: what cannot be removed of an earlier build is told, and keeps
// nobody from building.
func TestLeftovers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("an ordinary user cannot make a folder that he cannot remove")
		return
	}
	b := newBench(t)
	b.recipe("a", "", "note, one", "notes, usr/share/notes")
	mounted := filepath.Join(b.cache, "build/work/dead-1/build/mounted")
	if err := os.MkdirAll(mounted, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", mounted, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(mounted, unix.MNT_DETACH) })
	b.must("a")
	if len(b.events) == 0 || !strings.Contains(warnings(b), "dead-1") {
		t.Errorf("warnings: %q", warnings(b))
	}
	if err := unix.Unmount(mounted, 0); err != nil {
		t.Fatal(err)
	}
	b.must("a")
	if left, err := os.ReadDir(filepath.Join(b.cache, "build/work")); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func warnings(b *bench) string {
	var text []string
	for _, ev := range b.events {
		if ev.Kind == Warning {
			text = append(text, ev.Text)
		}
	}
	return strings.Join(text, "\n")
}
