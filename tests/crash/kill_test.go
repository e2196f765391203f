package crash

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"ashlar/tests/crash/killat"

	"golang.org/x/sync/errgroup"
)

// all says whether to try every point.
var all = os.Getenv("ASHLAR_CRASH") == "all"

// scenario is a command on a system in some state.
type scenario struct {
	name    string
	prepare []string // versions to have: arguments of install, one command each
	edit    func(root string) error
	command []string
}

func (b *bench) publishWorld() {
	b.initRepository()
	big := strings.Repeat("0123456789abcdef", 300_000) // 4.8 MB: two frames
	b.pack("base", "1.0.0", "files: [{path: etc/base.conf, config: true}, {path: etc/other.conf, config: true}]\n",
		item{path: "usr/bin/base", content: "base 1", mode: 0o755}, item{path: "usr/bin/link", content: "-> base"}, item{path: "usr/bin/hard", content: "= usr/bin/base"},
		item{path: "etc/base.conf", content: "a=1\nb=1\nc=1\n"}, item{path: "etc/other.conf", content: "x=1\n"}, item{path: "usr/share/base/becomes-dir", content: "file"},
		item{path: "usr/share/base/becomes-link/inside", content: "x"}, item{path: "usr/share/base/goes", content: "going"}, item{path: "usr/share/base/empty", content: ""},
		item{path: "var/lib/base", content: "/"}, item{path: "bin", content: "-> usr/bin"})
	b.pack("base", "2.0.0", "files: [{path: etc/base.conf, config: true}, {path: etc/other.conf, config: true}]\n",
		item{path: "usr/bin/base", content: "base 2", mode: 0o755}, item{path: "usr/bin/link", content: "-> hard"}, item{path: "usr/bin/hard", content: "= usr/bin/base"},
		item{path: "etc/base.conf", content: "a=1\nb=1\nc=2\n"}, item{path: "etc/other.conf", content: "x=2\n"}, item{path: "usr/share/base/becomes-dir/inside", content: "x"},
		item{path: "usr/share/base/becomes-link", content: "-> becomes-dir"}, item{path: "usr/share/base/comes", content: "coming"}, item{path: "usr/share/base/empty", content: ""},
		item{path: "var/lib/base2", content: "/"}, item{path: "bin", content: "-> usr/bin"})
	b.pack("app", "1.0.0", "requires: [base]\nfiles: [{path: usr/bin/app, mode: \"4755\"}]\n",
		item{path: "usr/bin/app", content: "app 1", mode: 0o755}, item{path: "usr/share/app/data", content: big}, item{path: "opt/app/extra", content: "x"})
	b.pack("app", "2.0.0", "requires: [base]\nfiles: [{path: usr/bin/app, mode: \"4755\"}]\n",
		item{path: "usr/bin/app", content: "app 2", mode: 0o755}, item{path: "usr/share/app/data", content: big + "2"}, item{path: "opt/app/extra", content: "y"})
	b.pack("successor", "1.0.0", "conflicts: [app]\nreplaces: [app <1]\nrequires: [base]\n",
		item{path: "usr/bin/app", content: "successor", mode: 0o755}, item{path: "usr/share/successor/data", content: "new"})
	b.packIndexer()
	b.run("repo", "publish", "repo")
}

// packIndexer makes a package whose trigger runs when base changes.
func (b *bench) packIndexer() {
	b.t.Helper()
	path := filepath.Join(b.dir, "indexer")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "ashlar/tests/crash/indexer")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("build the trigger's program: %v\n%s", err, out)
	}
	program, err := os.ReadFile(path)
	check(b.t, err)
	b.pack("indexer", "1.0.0", "triggers: [{name: index, watch: [\"usr/share/base/**\"], run: [/usr/bin/indexer]}]\n",
		item{path: "usr/bin/indexer", content: string(program), mode: 0o755})
}

// edit is what an administrator did: both configuration files changed, one of
// them where the package changes it too; a program and a folder of his own.
func edit(root string) error {
	for path, content := range map[string]string{"etc/base.conf": "a=mine\nb=1\nc=1\n", "etc/other.conf": "x=mine\n", "usr/local/bin/own": "mine", "usr/share/base/own": "mine"} {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

var scenarios = []scenario{
	{name: "install", command: []string{"install", "app@1.0.0-1", "base@1.0.0-1"}},
	{name: "upgrade", prepare: []string{"app@1.0.0-1 base@1.0.0-1"}, edit: edit, command: []string{"upgrade", "app", "base"}},
	{name: "second upgrade", prepare: []string{"base@1.0.0-1", "app@1.0.0-1 base@1.0.0-1"}, edit: edit, command: []string{"upgrade", "app", "base"}},
	{name: "remove", prepare: []string{"app@1.0.0-1 base@1.0.0-1"}, edit: edit, command: []string{"remove", "app", "base"}},
	{name: "replace", prepare: []string{"app@1.0.0-1 base@1.0.0-1"}, command: []string{"install", "successor"}},
	{name: "rollback", prepare: []string{"app@1.0.0-1 base@1.0.0-1", "app@2.0.0-1 base@2.0.0-1"}, edit: edit, command: []string{"rollback", "1"}},
	{name: "prune", prepare: []string{"app@1.0.0-1 base@1.0.0-1", "app@2.0.0-1", "base@2.0.0-1"}, command: []string{"clean", "--keep", "1"}},
	{name: "trigger", prepare: []string{"indexer", "app@1.0.0-1 base@1.0.0-1"}, command: []string{"upgrade", "app", "base"}},
	{name: "repair", prepare: []string{"app@1.0.0-1 base@1.0.0-1"}, edit: func(root string) error { return os.Remove(filepath.Join(root, "usr/bin/app")) }, command: []string{"verify", "--repair"}},
}

// TestKilledAnywhere kills each scenario's command at system calls that change
// something, before and after the call, and again its recovery. Afterwards the
// system is old or new, verified hash by hash; nothing is left; and the same
// command then succeeds.
func TestKilledAnywhere(t *testing.T) {
	b := newBench(t)
	b.publishWorld()
	var points atomic.Int64
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			m := &matrix{bench: &bench{t, b.pkgtool, b.dir}, scenario: s, points: &points}
			m.prepare()
			m.killAll()
		})
	}
	t.Logf("%d points", points.Load())
}

// matrix is all points of one scenario.
type matrix struct {
	*bench
	scenario scenario
	points   *atomic.Int64
	from     string // the system before the command
	old, new string // its states
	objects  [2]int
	calls    int
}

func (m *matrix) argv(root string) []string {
	argv := append([]string{m.pkgtool, "--root", root}, m.scenario.command...)
	if m.scenario.command[0] != "clean" && m.scenario.command[0] != "verify" {
		argv = append(argv, "--yes")
	}
	if m.scenario.command[0] == "remove" || m.scenario.name == "replace" {
		argv = append(argv, "--allow-removals")
	}
	return argv
}

func (m *matrix) prepare() {
	t := m.t
	name := strings.ReplaceAll(m.scenario.name, " ", "-")
	m.from = m.root(name)
	for _, names := range m.scenario.prepare {
		m.run(append([]string{"--root", m.from, "install", "--yes"}, strings.Fields(names)...)...)
	}
	if m.scenario.edit != nil {
		check(t, m.scenario.edit(m.from))
	}
	var err error
	m.old, err = state(m.from)
	check(t, err)
	after := m.from + "-new"
	check(t, copyTree(t.Context(), m.from, after))
	whole, err := killat.Start(t.Context(), killat.Run{Argv: m.argv(after)})
	check(t, err)
	if whole.Code != 0 {
		t.Fatalf("%s: exit code %d\n%s", m.scenario.name, whole.Code, whole.Output)
	}
	m.calls = whole.Calls
	m.new, err = state(after)
	check(t, err)
	m.objects = [2]int{objects(m.from), objects(after)}
}

// killAll tries the points; a few at a time.
func (m *matrix) killAll() {
	step := 1
	if !all {
		step = max(1, m.calls/20)
	}
	group, ctx := errgroup.WithContext(m.t.Context())
	group.SetLimit(runtime.NumCPU())
	tried := 0
	for n := 1; n <= m.calls; n += step {
		for _, exit := range []bool{false, true} {
			if !all && exit != (n/step%2 == 0) {
				continue
			}
			tried++
			group.Go(func() error { return m.point(ctx, n, exit) })
		}
	}
	check(m.t, group.Wait())
	m.t.Logf("%s: %d changing calls, %d points", m.scenario.name, m.calls, tried)
}

// point kills the command once, and, where something was left to recover, the
// recovery as well.
func (m *matrix) point(ctx context.Context, n int, exit bool) error {
	root := fmt.Sprintf("%s-%d-%v", m.from, n, exit)
	defer os.RemoveAll(root)
	if err := copyTree(ctx, m.from, root); err != nil {
		return err
	}
	r, err := killat.Start(ctx, killat.Run{Argv: m.argv(root), At: n, Exit: exit})
	if err != nil {
		return err
	}
	m.points.Add(1)
	if r.Killed == "" && r.Code != 0 {
		return fmt.Errorf("%s: exit code %d without being killed\n%s", m.scenario.name, r.Code, r.Output)
	}
	where := fmt.Sprintf("%s, killed %s (call %d)", m.scenario.name, r.Killed, n)
	if !all || n%3 == 0 && !exit { // of all points, a sixth, with twice as many kills
		if err := m.recoveries(ctx, root, where); err != nil {
			return err
		}
	}
	return m.judge(ctx, root, where, r.Killed == "")
}

// recoveries kills the recovery of a broken system at its calls, each time from
// the same broken state.
func (m *matrix) recoveries(ctx context.Context, root, where string) error {
	if leftovers(root) == nil {
		return nil
	}
	whole := root + "-recovered"
	defer os.RemoveAll(whole)
	if err := copyTree(ctx, root, whole); err != nil {
		return err
	}
	recovery := func(root string) []string { return []string{m.pkgtool, "--root", root, "list"} }
	r, err := killat.Start(ctx, killat.Run{Argv: recovery(whole)})
	if err != nil || r.Code != 0 {
		return fmt.Errorf("%s: recovery: exit code %d, %w\n%s", where, r.Code, err, r.Output)
	}
	step := max(1, r.Calls/3)
	if all {
		step = max(1, r.Calls/6)
	}
	for n := 1; n <= r.Calls; n += step {
		again := fmt.Sprintf("%s-again-%d", root, n)
		if err := copyTree(ctx, root, again); err != nil {
			return err
		}
		second, err := killat.Start(ctx, killat.Run{Argv: recovery(again), At: n, Exit: n%2 == 0})
		if err == nil {
			m.points.Add(1)
			err = m.judge(ctx, again, where+", recovery killed "+second.Killed, false)
		}
		os.RemoveAll(again)
		if err != nil {
			return err
		}
	}
	return nil
}

// judge holds a system after a crash against the invariants.
func (m *matrix) judge(ctx context.Context, root, where string, done bool) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...))
	}
	if out, err := m.try("--root", root, "list"); err != nil {
		return bad("the next command fails: %v\n%s", err, out)
	}
	got, err := state(root)
	if err != nil {
		return err
	}
	is := map[string]int{m.old: 1, m.new: 2}[got]
	if m.old == m.new {
		is = 2
	}
	switch {
	case is == 0:
		return bad("neither old nor new; against new:\n%s\nagainst old:\n%s", difference(got, m.new), difference(got, m.old))
	case done && is != 2:
		return bad("it ended well, but the system is old")
	}
	if err := leftovers(root); err != nil {
		return bad("%v", err)
	}
	if m.scenario.name != "repair" || is == 2 {
		if out, err := m.try("--root", root, "verify", "--store"); err != nil {
			return bad("verify: %v\n%s", err, out)
		}
	}
	if n := objects(root); n > max(m.objects[0], m.objects[1]) {
		return bad("%d objects are in the store; %d before and %d after a whole run", n, m.objects[0], m.objects[1])
	}
	argv := m.argv(root)
	if out, err := m.try(argv[1:]...); err != nil && is == 1 {
		return bad("the same command again: %v\n%s", err, out)
	}
	if got, err = state(root); err != nil || got != m.new {
		return bad("after the same command again: %v\n%s", err, difference(got, m.new))
	}
	return nil
}
