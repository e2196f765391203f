// Package abitest makes programs and libraries for tests, with the compiler of
// the host, and asks the reference tools about them. pkgtool/bootstrap.sh test
// installs both.
package abitest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Compile makes a program or library of C source and returns its path. Nothing
// of the host's C library is linked.
func Compile(t testing.TB, source string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	out, file := filepath.Join(dir, "out"), filepath.Join(dir, "source.c")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	Run(t, slices.Concat([]string{"gcc", "-O1", "-nostdlib", "-fno-asynchronous-unwind-tables", "-Wl,-z,relro,-z,now", "-o", out, file}, flags)...)
	return out
}

// Library is [Compile] for a shared library. sets is a version script of the
// linker, or "".
func Library(t testing.TB, soname, source, sets string, flags ...string) string {
	t.Helper()
	flags = append(flags, "-shared", "-fPIC", "-Wl,-soname,"+soname)
	if sets != "" {
		script := filepath.Join(t.TempDir(), "sets.map")
		if err := os.WriteFile(script, []byte(sets), 0o644); err != nil {
			t.Fatal(err)
		}
		flags = append(flags, "-Wl,--version-script,"+script)
	}
	return Compile(t, source, flags...)
}

// Run returns what a tool prints, in the C locale. A failure ends the test.
func Run(t testing.TB, argv ...string) string {
	t.Helper()
	text, status := Status(t, argv...)
	if status != 0 {
		t.Fatalf("%s: status %d", strings.Join(argv, " "), status)
	}
	return text
}

// Status is [Run] for tools whose exit status is an answer.
func Status(t testing.TB, argv ...string) (text string, status int) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v (pkgtool/bootstrap.sh test installs it)", argv[0], err)
	}
	if stderr.Len() > 0 {
		t.Logf("%s: %s", argv[0], stderr.Bytes())
	}
	return string(out), cmd.ProcessState.ExitCode()
}
