package tree

import (
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"
)

func TestFS(t *testing.T) {
	view, err := FS([]Entry{
		{Path: "usr/lib/modules/1/vmlinuz", Perm: 0o644, Size: 6, Open: Bytes([]byte("kernel"))},
		{Path: "usr/lib/modules/2/vmlinuz", Kind: HardLink, Target: "usr/lib/modules/1/vmlinuz"},
		{Path: "usr/empty", Kind: Dir, Perm: 0o755},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(view, "usr/lib/modules/1/vmlinuz", "usr/lib/modules/2/vmlinuz", "usr/empty"); err != nil {
		t.Error(err)
	}
	if text, err := fs.ReadFile(view, "usr/lib/modules/2/vmlinuz"); string(text) != "kernel" {
		t.Errorf("the second name of a file holds %q, %v", text, err)
	}
}

func TestFSFollowsNoLinks(t *testing.T) {
	view, err := FS([]Entry{{Path: "a", Kind: Symlink, Perm: 0o777, Target: "b"}, {Path: "b", Open: Bytes(nil)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := view.Open("a"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("opening a link gives %v", err)
	}
	if _, err := view.Open("c"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening nothing gives %v", err)
	}
}
