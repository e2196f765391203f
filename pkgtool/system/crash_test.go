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
	"sync/atomic"
	"syscall"
	"testing"

	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/store"
)

// The crash test runs this test binary again as a child that changes a root
// and kills itself with SIGKILL before its n-th mutating operation. Nothing is
// simulated but the moment.
const (
	envRoot     = "ASHLAR_CRASH_ROOT"
	envScenario = "ASHLAR_CRASH_SCENARIO" // "" only opens the system, which recovers
	envKillAt   = "ASHLAR_CRASH_KILL_AT"  // 0 counts the operations and prints their number
	envInPlace  = "ASHLAR_CRASH_IN_PLACE" // replace files one by one, as if folders could not be exchanged

	// envAll kills the recovery at each of its operations too, after each
	// operation of the transaction; else at one of them.
	envAll = "ASHLAR_CRASH_ALL"
)

// inPlaceOnly makes the helpers of these tests replace files in place.
var inPlaceOnly = os.Getenv(envInPlace) != ""

func TestMain(m *testing.M) {
	sandbox.MaybeInit()
	if root := os.Getenv(envRoot); root != "" {
		if os.Getenv(envNamespace) != "" {
			namespaceChild(root)
		}
		crashChild(root, os.Getenv(envScenario), os.Getenv(envKillAt))
	}
	os.Exit(m.Run())
}

func crashChild(root, scenario, killAt string) {
	at, err := strconv.ParseInt(killAt, 10, 64)
	if err != nil {
		panic(err)
	}
	var count atomic.Int64
	beforeMutation = func(string) {
		if count.Add(1) == at {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	store.BeforeMutation = beforeMutation
	t := child{}
	if scenario == "" {
		s, err := Open(root)
		if err == nil {
			err = s.Close()
		}
		t.check(err)
	} else {
		t.check(scenarios[scenario].act(t, root))
	}
	fmt.Println(count.Load())
	os.Exit(0)
}

// child reports what goes wrong in the child process.
type child struct{}

func (child) Helper() {}

func (child) Context() context.Context { return context.Background() }

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

// scenario is a system and what is done to it.
type scenario struct {
	before [][]spec          // transactions before
	image  []spec            // or an image
	edit   map[string]string // files to write before
	act    func(t failer, root string) error

	// gradual says that what is between old and new is right too, as with
	// Prune: the installed files are the same and every generation is whole.
	gradual bool
}

func add(t failer, specs ...spec) (change Change) {
	for _, s := range specs {
		change.Add = append(change.Add, Addition{Package: build(t, s)})
	}
	return change
}

// changing is a scenario's act that makes a change.
func changing(make func(t failer) Change) func(failer, string) error {
	return func(t failer, root string) error {
		_, err := commit(t.Context(), root, make(t))
		return err
	}
}

func returning(to int) func(failer, string) error {
	return func(t failer, root string) error {
		_, err := rollback(t.Context(), root, to)
		return err
	}
}

var (
	oneTool  = [][]spec{{base, tool("1.0.0", "one")}}
	twoTools = [][]spec{{base, tool("1.0.0", "one")}, {tool("2.0.0", "two")}}
)

var upgrade = changing(func(t failer) Change { return add(t, tool("2.0.0", "two")) })

var scenarios = map[string]scenario{
	"first install":                      {act: changing(func(t failer) Change { return add(t, base, tool("1.0.0", "one")) })},
	"upgrade":                            {before: oneTool, act: upgrade},
	"upgrade with a spare tree":          {before: twoTools, act: changing(func(t failer) Change { return add(t, tool("3.0.0", "three")) })},
	"upgrade with an edited file":        {before: oneTool, edit: map[string]string{"etc/tool.conf": "edited"}, act: upgrade},
	"upgrade of an image":                {image: []spec{base, tool("1.0.0", "one")}, act: upgrade},
	"upgrade with foreign files":         {before: oneTool, edit: map[string]string{"usr/local/bin/mine": "mine", "usr/bin/own": "own"}, act: upgrade},
	"upgrade with a replaced file":       {before: oneTool, edit: map[string]string{"usr/share/tool/1.0.0": "replaced"}, act: upgrade},
	"remove":                             {before: oneTool, act: changing(func(failer) Change { return Change{Remove: []string{"tool"}} })},
	"rollback":                           {before: twoTools, act: returning(1)},
	"rollback of an upgrade of an image": {image: []spec{base, tool("1.0.0", "one")}, before: [][]spec{{tool("2.0.0", "two")}}, act: returning(1)},
	"request":                            {before: oneTool, act: changing(func(failer) Change { return Change{Request: []string{"tool"}} })},
	"replace one package by another": {before: oneTool, act: changing(func(t failer) Change {
		change := add(t, spec{"other", "1.0.0", "file usr/bin/tool 0755 other\nfile usr/share/tool/x 0644 x"})
		change.Remove = []string{"tool"}
		return change
	})},
	"folder to link and back": {before: [][]spec{{{"p", "1.0.0", "dir srv/x 0755\nfile srv/x/a 0644 a\nfile srv/y 0644 y\ndir usr/x 0755\nfile usr/x/a 0644 a\nfile usr/y 0644 y"}}},
		act: changing(func(t failer) Change {
			return add(t, spec{"p", "2.0.0", "symlink srv/x y\nfile srv/y/deep/b 0644 b\nsymlink usr/x y\nfile usr/y/deep/b 0644 b"})
		})},
	"merge": {before: [][]spec{{{"p", "1.0.0", "config etc/p one|b|c|d|end\nfile usr/p 0644 one"}}}, edit: map[string]string{"etc/p": "one\nb\nc\nd\nmine"},
		act: changing(func(t failer) Change {
			return add(t, spec{"p", "2.0.0", "config etc/p two|b|c|d|end\nfile usr/p 0644 two"})
		})},
	"a new user": {before: [][]spec{{{"names", "1.0.0", "config etc/passwd root:x:0:0::/root:/bin/sh\nconfig etc/group root:x:0:"}}},
		act: changing(func(t failer) Change {
			return add(t, spec{"server", "1.0.0", "file usr/lib/sysusers.d/s.conf 0644 u server 470\nowned var/lib/s server"})
		})},
	"repair": {before: oneTool, edit: map[string]string{"usr/share/tool/1.0.0": "replaced", "usr/bin/tool": "replaced"}, act: func(t failer, root string) error {
		s, err := open(root)
		if err != nil {
			return err
		}
		defer s.Close()
		problems, err := s.Verify(t.Context(), VerifyOptions{})
		if err != nil {
			return err
		}
		p, err := s.PlanRepair(t.Context(), problems, nil)
		if err != nil {
			return err
		}
		p.next.Time = commitTime
		return p.Commit(t.Context(), nil)
	}},
	"prune": {before: append(twoTools, []spec{tool("3.0.0", "three")}, []spec{tool("4.0.0", "four")}), gradual: true, act: func(t failer, root string) error {
		s, err := open(root)
		if err != nil {
			return err
		}
		defer s.Close()
		_, err = s.Prune(t.Context(), Policy{Keep: 1})
		return err
	}},
}

// crashTest is one scenario in one mode.
type crashTest struct {
	*testing.T
	name         string
	scenario     scenario
	work         string
	old, new     string // snapshots
	oldProblems  string // what Verify says of them
	newProblems  string
	inPlace, all bool
	points       int
}

func TestKilledAnywhereIsOldOrNew(t *testing.T) {
	points := 0
	for name, sc := range scenarios {
		for _, inPlace := range []bool{false, true} {
			mode := map[bool]string{false: "exchange", true: "in place"}[inPlace]
			t.Run(name+", "+mode, func(t *testing.T) {
				c := &crashTest{T: t, name: name, scenario: sc, work: fastTempDir(t), inPlace: inPlace, all: os.Getenv(envAll) != ""}
				c.everywhere()
				points += c.points
			})
		}
	}
	t.Logf("%d points, no violation", points)
}

// prepare makes the system before.
func (c *crashTest) prepare(root string) {
	c.Helper()
	inPlaceOnly = c.inPlace
	defer func() { inPlaceOnly = false }()
	if err := os.Mkdir(root, 0o755); err != nil {
		c.Fatal(err)
	}
	if c.scenario.image != nil {
		var packages []*pkgfile.Package
		for _, s := range c.scenario.image {
			packages = append(packages, build(c, s))
		}
		writeImage(c.T, root, packages...)
	}
	for _, specs := range c.scenario.before {
		install(c, root, specs...)
	}
	for path, text := range c.scenario.edit {
		os.Remove(filepath.Join(root, path)) // an edited file is another one
		put(c, root, path, text)
	}
}

func (c *crashTest) everywhere() {
	old, finished := filepath.Join(c.work, "old"), filepath.Join(c.work, "new")
	c.prepare(old)
	copyTree(c.T, old, finished)
	total := c.run(finished, c.name, 0)
	c.old, c.new = c.snapshot(old), c.snapshot(finished)
	c.oldProblems, c.newProblems = c.problemsAt(old), c.problemsAt(finished)
	if c.old == c.new || total < 5 {
		c.Fatalf("%d operations change nothing", total)
	}
	checkStore(c, finished)
	wasNew := false
	for n := 1; n <= total; n++ {
		root := filepath.Join(c.work, "root")
		copyTree(c.T, old, root)
		c.run(root, c.name, n)
		c.recoveries(root, n, total)
		c.points++
		isNew := c.isOldOrNew(root, fmt.Sprintf("%d of %d", n, total))
		if wasNew && !isNew {
			c.Fatalf("killed at %d it was new already, at %d it is old", n-1, n)
		}
		wasNew = isNew
		if isNew {
			continue
		}
		// The same command again reaches the new state.
		if c.run(root, c.name, 0) < 0 || c.snapshot(root) != c.new {
			c.Fatalf("killed at %d of %d, the command cannot be repeated:\n%s\nwant\n%s", n, total, c.snapshot(root), c.new)
		}
		checkStore(c, root)
	}
	if !wasNew && !c.scenario.gradual {
		c.Error("killed before the last operation it is still old")
	}
}

// recoveries kills the recovery too.
func (c *crashTest) recoveries(root string, n, total int) {
	first, last := 1, 1<<30
	if !c.all {
		first = 1 + n*7%23
		last = first
	}
	for m := first; m <= last; m++ {
		again := filepath.Join(c.work, "again")
		copyTree(c.T, root, again)
		killed := c.run(again, "", m) < 0
		c.points++
		c.isOldOrNew(again, fmt.Sprintf("%d of %d, and again in recovery at %d", n, total, m))
		if !killed {
			break
		}
	}
}

func (c *crashTest) snapshot(root string) string { return snapshot(c, root) }

// isOldOrNew opens the system, which recovers, and compares it with both.
func (c *crashTest) isOldOrNew(root string, at string) (isNew bool) {
	c.Helper()
	s, err := Open(root)
	if err != nil {
		c.Fatalf("killed at %s, then: %v", at, err)
	}
	defer s.Close()
	tree := c.snapshot(root)
	if c.scenario.before == nil && c.scenario.image == nil { // the empty state folders may remain
		tree = withoutEmptyState(tree)
	}
	if c.scenario.gradual {
		c.wholeGenerations(s, at)
	} else if tree != c.old && tree != c.new {
		c.Fatalf("killed at %s: neither old nor new:\n%s\nold\n%s\nnew\n%s", at, tree, c.old, c.new)
	} else {
		checkStore(c, root)
	}
	want := c.newProblems
	if tree == c.old {
		want = c.oldProblems
	}
	if problems := c.problems(s); problems != want {
		c.Fatalf("killed at %s: %s", at, problems)
	}
	return tree == c.new
}

// problems is what Verify says.
func (c *crashTest) problems(s *System) string {
	c.Helper()
	problems, err := s.Verify(context.Background(), VerifyOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return fmt.Sprint(problems)
}

func (c *crashTest) problemsAt(root string) string {
	c.Helper()
	s, err := Open(root)
	if err != nil {
		c.Fatal(err)
	}
	defer s.Close()
	return c.problems(s)
}

// wholeGenerations proves that every generation that is left can be returned to.
func (c *crashTest) wholeGenerations(s *System, at string) {
	c.Helper()
	history, err := s.History()
	if err != nil {
		c.Fatalf("killed at %s: %v", at, err)
	}
	objects, err := s.objectsOf(history)
	if err != nil {
		c.Fatalf("killed at %s: %v", at, err)
	}
	for _, o := range objects {
		if err := s.store.Check(context.Background(), o); err != nil {
			c.Fatalf("killed at %s: %v", at, err)
		}
	}
}

// run runs the child. It returns the number of operations, or -1 if it was
// killed.
func (c *crashTest) run(root, scenario string, killAt int) int {
	c.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envRoot+"="+root, envScenario+"="+scenario, fmt.Sprintf("%s=%d", envKillAt, killAt), "GOMAXPROCS=1")
	if c.inPlace {
		cmd.Env = append(cmd.Env, envInPlace+"=1")
	}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return -1
	}
	if err != nil {
		c.Fatalf("%s: %v: %s", scenario, err, exit.Stderr)
	}
	count, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		c.Fatal(err)
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
