package boot_test

import (
	"os"
	"path/filepath"
	"testing"
)

// built returns a file or folder that `make iso` makes: the one the variable
// names, or the usual one. These tests need what was built; without it they
// fail, and only -short leaves them out.
func built(t *testing.T, variable, usual string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("a whole-system test; left out by -short")
	}
	path := os.Getenv(variable)
	if path == "" {
		path = filepath.Join("..", "..", "build", usual)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; build it first: make iso (or name another with %s)", err, variable)
	}
	return path
}

// artifacts is where the files of this test's failure go.
func artifacts(t *testing.T) string {
	name := filepath.Join("..", "..", "build", "boot-failures", filepath.FromSlash(t.Name()))
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(path)
	return path
}
