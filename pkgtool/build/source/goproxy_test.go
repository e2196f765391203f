package source

import (
	"os"
	"path/filepath"
	"testing"
)

// The setting is found in the order in which the go command looks.
func TestGoProxyIsTheOneInForce(t *testing.T) {
	home := t.TempDir()
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join(home, "bin")
	write(filepath.Join(bin, "go"), "#!/bin/sh\n[ \"$*\" = 'env GOPROXY' ] && echo https://built.in.example\n", 0o755)
	for k, v := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, "config"), "GOENV": "", "GOPROXY": "", "PATH": bin + ":/usr/bin:/bin",
	} {
		t.Setenv(k, v)
	}
	if got := GoProxy(); got != "https://built.in.example" {
		t.Errorf("default of the go program: %q", got)
	}
	write(filepath.Join(home, "config/go/env"), "GOPRIVATE=x\nGOPROXY=https://user.example\n", 0o644)
	if got := GoProxy(); got != "https://user.example" {
		t.Errorf("go env -w: %q", got)
	}
	t.Setenv("GOPROXY", "off")
	if got := GoProxy(); got != "off" {
		t.Errorf("environment: %q", got)
	}
}
