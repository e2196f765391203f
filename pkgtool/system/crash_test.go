package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The crash test runs this test binary again as a child that changes a root
// and kills itself with SIGKILL before its n-th mutating operation. Nothing is
// simulated but the moment.
const (
	envRoot     = "ASHLAR_CRASH_ROOT"
	envScenario = "ASHLAR_CRASH_SCENARIO" // "" only opens the system, which recovers
	envKillAt   = "ASHLAR_CRASH_KILL_AT"  // 0 counts the operations and prints their number
)

func TestMain(m *testing.M) {
	if root := os.Getenv(envRoot); root != "" {
		if os.Getenv(envNamespace) != "" {
			namespaceChild(root)
		}
		crashChild(root, os.Getenv(envScenario), os.Getenv(envKillAt))
	}
	os.Exit(m.Run())
}

func crashChild(root, scenario, killAt string) {
	at, err := strconv.Atoi(killAt)
	if err != nil {
		panic(err)
	}
	count := 0
	beforeMutation = func(string) {
		if count++; count == at {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	t := child{}
	if scenario == "" {
		s, err := Open(root)
		if err == nil {
			err = s.Close()
		}
		t.check(err)
	} else {
		_, err := commit(context.Background(), root, scenarios[scenario].change(t))
		t.check(err)
	}
	fmt.Println(count)
	os.Exit(0)
}

// child reports what goes wrong in the child process.
type child struct{}

func (child) Helper() {}

func (child) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(1)
}

func (t child) Fatalf(format string, args ...any) { t.Fatal(fmt.Sprintf(format, args...)) }

func (t child) check(err error) {
	if err != nil {
		t.Fatal(err)
	}
}

type scenario struct {
	before []spec
	edit   string // path of a file to edit before
	change func(t failer) Change
}

func add(t failer, specs ...spec) (change Change) {
	for _, s := range specs {
		change.Add = append(change.Add, Addition{Package: build(t, s)})
	}
	return change
}

var scenarios = map[string]scenario{
	"first install": {nil, "", func(t failer) Change { return add(t, base, tool("1.0.0", "one")) }},
	"upgrade":       {[]spec{base, tool("1.0.0", "one")}, "", func(t failer) Change { return add(t, tool("2.0.0", "two")) }},
	"upgrade with an edited file": {[]spec{base, tool("1.0.0", "one")}, "etc/tool.conf",
		func(t failer) Change { return add(t, tool("2.0.0", "two")) }},
	"remove": {[]spec{base, tool("1.0.0", "one")}, "", func(t failer) Change { return Change{Remove: []string{"tool"}} }},
	"replace one package by another": {[]spec{base, tool("1.0.0", "one")}, "", func(t failer) Change {
		change := add(t, spec{"other", "1.0.0", "file usr/bin/tool 0755 other\nfile usr/share/tool/x 0644 x"})
		change.Remove = []string{"tool"}
		return change
	}},
	"folder to link and back": {[]spec{{"p", "1.0.0", "dir p/x 0755\nfile p/x/a 0644 a\nfile p/y 0644 y"}}, "",
		func(t failer) Change {
			return add(t, spec{"p", "2.0.0", "symlink p/x y\nfile p/y/deep/b 0644 b"})
		}},
}

func TestKilledAnywhereIsOldOrNew(t *testing.T) {
	points := 0
	for name, sc := range scenarios {
		t.Run(name, func(t *testing.T) {
			work := fastTempDir(t)
			old, finished := filepath.Join(work, "old"), filepath.Join(work, "new")
			if err := os.Mkdir(old, 0o755); err != nil {
				t.Fatal(err)
			}
			if sc.before != nil {
				install(t, old, sc.before...)
			}
			if sc.edit != "" {
				put(t, old, sc.edit, "edited")
			}
			copyTree(t, old, finished)
			total := run(t, finished, name, 0)
			oldTree, newTree := snapshot(t, old), snapshot(t, finished)
			if oldTree == newTree || total < 10 {
				t.Fatalf("%d operations change nothing", total)
			}
			isOldOrNew := func(t *testing.T, root string, at string) (isNew bool) {
				t.Helper()
				s, err := Open(root)
				if err != nil {
					t.Fatalf("killed at %s, then: %v", at, err)
				}
				defer s.Close()
				tree := snapshot(t, root)
				if sc.before == nil { // the empty state folders may remain
					tree = withoutEmptyState(tree)
				}
				if tree != oldTree && tree != newTree {
					t.Fatalf("killed at %s: neither old nor new:\n%s\nold\n%s\nnew\n%s", at, tree, oldTree, newTree)
				}
				return tree == newTree
			}
			wasNew := false
			for n := 1; n <= total; n++ {
				root := filepath.Join(work, "root")
				copyTree(t, old, root)
				run(t, root, name, n)
				// Kill the recovery too, at every one of its operations.
				for m := 1; ; m++ {
					again := filepath.Join(work, "again")
					copyTree(t, root, again)
					killed := run(t, again, "", m) < 0
					points++
					isOldOrNew(t, again, fmt.Sprintf("%d of %d, and again in recovery at %d", n, total, m))
					if !killed {
						break
					}
				}
				points++
				isNew := isOldOrNew(t, root, fmt.Sprintf("%d of %d", n, total))
				if wasNew && !isNew {
					t.Fatalf("killed at %d it was new already, at %d it is old", n-1, n)
				}
				wasNew = isNew
				// The same command again reaches the new state.
				if !isNew && run(t, root, name, 0) < 0 {
					t.Fatal("the command cannot be repeated")
				}
			}
			if !wasNew {
				t.Error("killed before the last operation it is still old")
			}
		})
	}
	t.Logf("%d points, no violation", points)
}

// run runs the child. It returns the number of operations, or -1 if it was
// killed.
func run(t *testing.T, root, scenario string, killAt int) int {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envRoot+"="+root, envScenario+"="+scenario, fmt.Sprintf("%s=%d", envKillAt, killAt))
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return -1
	}
	if err != nil {
		t.Fatalf("%s: %v: %s", scenario, err, exit.Stderr)
	}
	count, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// withoutEmptyState takes away the lines of the state folders when they are all
// there is of the state.
func withoutEmptyState(tree string) string {
	var rest []string
	for line := range strings.Lines(tree) {
		switch strings.Fields(line)[0] {
		case stateDir, generationsDir, manifestsDir:
		default:
			rest = append(rest, line)
		}
	}
	if strings.Contains(strings.Join(rest, ""), stateDir) {
		return tree
	}
	return strings.Join(rest, "")
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
}

// fastTempDir is in memory where that is possible: the test flushes the file
// system hundreds of times.
func fastTempDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "ashlar-crash-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
