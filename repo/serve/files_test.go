package serve

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzOpen: whatever path a client invents, only regular files below the folder
// come out, and none that is hidden or lies behind a link.
func FuzzOpen(f *testing.F) {
	outside := f.TempDir()
	dir := filepath.Join(outside, "repo")
	for name, text := range map[string]string{"repo/pool/a/good": "good", "repo/.ashlar/secret": "secret", "secret": "secret", "repo/pool/.hidden": "secret"} {
		file := filepath.Join(outside, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			f.Fatal(err)
		}
	}
	for from, to := range map[string]string{"pool/out": "../../secret", "pool/up": "../..", "pool/own": "../.ashlar", "pool/link": "a/good"} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			f.Fatal(err)
		}
	}
	for _, name := range []string{"pool/a/good", "pool/a", "pool/out", "pool/up/secret", "pool/own/secret", "pool/link", "pool/.hidden", ".ashlar/secret",
		"pool/../../secret", "../secret", "/etc/passwd", "pool//a/good", "pool/a/good/", "pool/a/good\x00", "pool\\a\\good", "", ".", "pool/./a/good", strings.Repeat("pool/", 2000)} {
		f.Add(name)
	}
	top, err := openFolder(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string) {
		file, _, err := top.open(name)
		if err != nil {
			return
		}
		defer file.Close()
		if text, err := io.ReadAll(file); err != nil || string(text) != "good" || name != "pool/a/good" {
			t.Errorf("%q is %q, %v", name, text, err)
		}
	})
}
