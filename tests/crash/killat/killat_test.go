package killat

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// sh makes three folders, the second one in a child process.
const sh = `mkdir "$0/1" && /bin/mkdir "$0/2" && mkdir "$0/3"; exit 7`

func TestKillsAtEachCall(t *testing.T) {
	dir := t.TempDir()
	whole, err := Start(t.Context(), Run{Argv: []string{"/bin/sh", "-c", sh, dir}})
	if err != nil {
		t.Fatal(err)
	}
	if whole.Calls != 3 || whole.Code != 7 || whole.Killed != "" {
		t.Fatalf("a whole run: %+v", whole)
	}
	for n := 1; n <= whole.Calls; n++ {
		for _, exit := range []bool{false, true} {
			dir := t.TempDir()
			r, err := Start(t.Context(), Run{Argv: []string{"/bin/sh", "-c", sh, dir}, At: n, Exit: exit})
			if err != nil {
				t.Fatal(err)
			}
			made, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			want, where := n-1, "before mkdir"
			if exit {
				want, where = n, "after mkdir"
			}
			if len(made) != want || r.Killed != where {
				t.Errorf("killed at call %d (exit %v): %d folders made, %+v", n, exit, len(made), r)
			}
		}
	}
}

func TestLetsCallsFail(t *testing.T) {
	const script = `mkdir "$0/1"; mkdir "$0/2"; mkdir "$0/3"; exit 0`
	for _, c := range []struct {
		run  Run
		made int
	}{{Run{At: 2, Fail: syscall.ENOSPC}, 2}, {Run{At: 2, Fail: syscall.EIO, Forever: true}, 1}} {
		dir := t.TempDir()
		c.run.Argv = []string{"/bin/sh", "-c", script, dir}
		r, err := Start(t.Context(), c.run)
		if err != nil {
			t.Fatal(err)
		}
		made, err := os.ReadDir(dir)
		if err != nil || len(made) != c.made || !strings.Contains(r.Output, c.run.Fail.Error()[1:]) || r.Failed != "mkdir" {
			t.Errorf("%d folders made (%v), want %d; %+v", len(made), err, c.made, r)
		}
	}
}

func TestReportsOutputAndSignals(t *testing.T) {
	r, err := Start(t.Context(), Run{Argv: []string{"/bin/sh", "-c", `trap 'echo caught' TERM; kill -TERM $$; echo end`}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Code != 0 || !strings.Contains(r.Output, "caught\nend\n") {
		t.Errorf("%+v", r)
	}
	if _, err := Start(t.Context(), Run{Argv: []string{filepath.Join(t.TempDir(), "missing")}}); err == nil {
		t.Error("a missing program was run")
	}
}
