package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ashlar/tests/crash/killat"

	"golang.org/x/sync/errgroup"
)

// TestKeyChangeKilledAnywhere kills a publisher at system calls that change
// something, while it changes keys. At each of these moments the repository is
// in order, and whoever knows only its first root can follow; going on leads to
// the new keys.
func TestKeyChangeKilledAnywhere(t *testing.T) {
	b := newBench(t)
	b.initRepository()
	b.pack("first", "1.0.0", "", item{path: "usr/share/first", content: "1"})
	b.run("repo", "publish", "repo")
	b.run("repo", "trust", "repo", "-o", "root.json")
	b.run("repo", "mirror", "repo", "mirror", "--root-file", "root.json") // it knows the first root
	check(t, os.MkdirAll(filepath.Join(b.dir, "before"), 0o755))
	for _, name := range []string{"repo", "keys", "mirror"} {
		check(t, copyTree(t.Context(), filepath.Join(b.dir, name), filepath.Join(b.dir, "before", name)))
	}
	for _, change := range [][]string{{"repo", "key", "rotate", "repo", "targets"}, {"repo", "key", "add", "repo", "root"}} {
		m := &keyMatrix{b, t, "before", change}
		t.Run(change[2]+" "+change[4], func(t *testing.T) { m.t = t; m.killAll() })
	}
	for _, role := range []string{"root", "targets", "snapshot", "timestamp"} {
		b.run("repo", "key", "rotate", "repo", role)
	}
	check(t, os.MkdirAll(filepath.Join(b.dir, "asked"), 0o755))
	for _, name := range []string{"repo", "keys", "mirror"} {
		check(t, copyTree(t.Context(), filepath.Join(b.dir, name), filepath.Join(b.dir, "asked", name)))
	}
	t.Run("publish", func(t *testing.T) {
		m := &keyMatrix{b, t, "asked", []string{"repo", "publish", "repo"}}
		m.killAll()
	})
}

// keyMatrix is all points of a command in a folder with repo, keys and mirror.
type keyMatrix struct {
	*bench
	t       *testing.T
	from    string
	command []string
}

func (m *keyMatrix) killAll() {
	whole := m.path("whole")
	defer os.RemoveAll(whole)
	check(m.t, copyTree(m.t.Context(), m.path(m.from), whole))
	r, err := killat.Start(m.t.Context(), killat.Run{Argv: m.argv(whole, m.command)})
	check(m.t, err)
	if r.Code != 0 {
		m.t.Fatalf("exit code %d\n%s", r.Code, r.Output)
	}
	step := 1
	if !all {
		step = max(1, r.Calls/30)
	}
	group, ctx := errgroup.WithContext(m.t.Context())
	group.SetLimit(runtime.NumCPU())
	for n := 1; n <= r.Calls; n += step {
		group.Go(func() error { return m.point(ctx, n, n/step%2 == 0) })
	}
	check(m.t, group.Wait())
	m.t.Logf("%d changing calls, one in %d tried", r.Calls, step)
}

func (m *keyMatrix) path(name string) string { return filepath.Join(m.dir, name) }

// argv runs a command with the keys of a folder, in the folder.
func (m *keyMatrix) argv(dir string, command []string) []string {
	argv := []string{"/usr/bin/env", "-C", dir, "ASHLAR_KEYS=" + filepath.Join(dir, "keys"), m.pkgtool}
	return append(argv, command...)
}

func (m *keyMatrix) point(ctx context.Context, n int, exit bool) error {
	dir := m.path(fmt.Sprintf("%s-%s-%d", m.from, m.command[2], n))
	defer os.RemoveAll(dir)
	if err := copyTree(ctx, m.path(m.from), dir); err != nil {
		return err
	}
	r, err := killat.Start(ctx, killat.Run{Argv: m.argv(dir, m.command), At: n, Exit: exit})
	if err != nil {
		return err
	}
	where := fmt.Sprintf("%s, killed %s (call %d)", strings.Join(m.command, " "), r.Killed, n)
	follower := filepath.Join(dir, "follower")
	if err := copyTree(ctx, filepath.Join(dir, "mirror"), follower); err != nil {
		return err
	}
	for _, command := range [][]string{
		{"repo", "check", "repo"}, {"repo", "mirror", "repo", "follower"}, {"repo", "check", "follower"}, // at that moment
		{"repo", "key", "rotate", "repo", "timestamp"}, {"repo", "publish", "repo"}, {"repo", "check", "repo"}, // going on
		{"repo", "mirror", "repo", "follower"}, {"repo", "mirror", "repo", "mirror"}, {"repo", "check", "mirror"},
	} {
		if out, err := m.in(ctx, dir, command); err != nil {
			return fmt.Errorf("%s: then %s: %w\n%s", where, strings.Join(command, " "), err, out)
		}
	}
	var list struct {
		Keys struct{ Pending *struct{ File string } }
	}
	out, err := m.in(ctx, dir, []string{"repo", "key", "list", "repo", "--json"})
	if err == nil {
		err = json.Unmarshal(out, &list)
	}
	if err == nil && list.Keys.Pending != nil {
		err = fmt.Errorf("something still waits")
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", where, err, out)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "repo", "metadata", ".*"))
	if more, _ := filepath.Glob(filepath.Join(dir, "repo", ".ashlar", "signing", "*")); len(left)+len(more) > 0 {
		return fmt.Errorf("%s: left behind: %v %v", where, left, more)
	}
	return nil
}

func (m *keyMatrix) in(ctx context.Context, dir string, command []string) ([]byte, error) {
	argv := m.argv(dir, command)
	return exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
}
