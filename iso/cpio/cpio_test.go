package cpio

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/iso/tree"
	"ashlar/iso/tree/treetest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestCpioExtractsTheTree(t *testing.T) {
	entries := treetest.Difficult(os.Geteuid() == 0, false)
	var b bytes.Buffer
	if err := Write(context.Background(), &b, entries); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command("cpio", "--extract", "--preserve-modification-time", "--quiet")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(b.Bytes())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v: %s", err, out)
	}
	// cpio sets a folder's time before it fills it: not this writer's matter.
	for i := range entries {
		entries[i].ModTime = 0
	}
	treetest.Compare(t, entries, dir)

	var again bytes.Buffer
	if err := Write(context.Background(), &again, treetest.Difficult(os.Geteuid() == 0, false)); err != nil || !bytes.Equal(again.Bytes(), b.Bytes()) {
		t.Errorf("a second run differs (%v)", err)
	}
}

func TestHugeFileIsRefused(t *testing.T) {
	err := Write(context.Background(), &bytes.Buffer{}, []tree.Entry{{Path: "huge", Size: 1 << 32, Open: tree.Bytes(nil)}})
	if err == nil || !strings.Contains(err.Error(), "4 GiB") {
		t.Errorf("error %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = Write(context.Background(), f, treetest.Difficult(false, false))
	var pathErr *os.PathError
	if !errors.As(err, &pathErr) {
		t.Errorf("error %v", err)
	}
}

func TestGolden(t *testing.T) {
	var b bytes.Buffer
	err := Write(context.Background(), &b, []tree.Entry{
		{Path: "init", Perm: 0o755, Size: 3, Open: tree.Bytes([]byte("abc"))},
		{Path: "dev/console", Kind: tree.CharDevice, Perm: 0o600, Major: 5, Minor: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "golden.cpio"))
	if *update {
		want, err = b.Bytes(), os.WriteFile(filepath.Join("testdata", "golden.cpio"), b.Bytes(), 0o644)
	}
	if err != nil || !bytes.Equal(b.Bytes(), want) {
		t.Errorf("differs from testdata/golden.cpio (%v): %q", err, b.Bytes())
	}
}
