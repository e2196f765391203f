package cli

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"ashlar/pkgtool/build/elsewhere"
	"ashlar/pkgtool/build/sandbox"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "update the golden files inside the scripts")

func TestMain(m *testing.M) {
	sandbox.MaybeInit() // does not return in pid 1 of a build
	elsewhere.MaybeEnter()
	testscript.Main(m, map[string]func(){
		"pkgtool": func() { os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
		"index":   func() { os.Exit(indexProgram()) },
	})
}

// indexProgram is a program with a trigger, which a script makes a package of: it lists
// /usr/share/indexed in /etc/index and /usr/share/index.cache.
func indexProgram() int {
	entries, err := os.ReadDir("/usr/share/indexed")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	text := ""
	for _, e := range entries {
		if e.Name() == "broken" {
			fmt.Println("cannot index broken")
			return 3
		}
		text += e.Name() + "\n"
	}
	for _, name := range []string{"/etc/index", "/usr/share/index.cache"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return 0
}

// TestScript runs the sessions in testdata/script. In each, pkgtool is this
// program, and everything a user has (home, keys, cache, configuration) is in
// the session's own folder. `exits N COMMAND...` asks for an exit code.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			for name, value := range map[string]string{
				"HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, ".config"), "XDG_CACHE_HOME": filepath.Join(home, ".cache"),
				"ASHLAR_KEYS": filepath.Join(env.WorkDir, "keys"), "ASHLAR_CACHE": filepath.Join(env.WorkDir, "cache"),
				"NO_COLOR": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8",
			} {
				env.Setenv(name, value)
			}
			return os.MkdirAll(home, 0o700)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("exits: %v", err)
	}
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("exits: %v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
