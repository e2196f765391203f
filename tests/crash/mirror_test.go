package crash

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ashlar/tests/crash/killat"

	"golang.org/x/sync/errgroup"
)

// mirrorBench is an origin that is published three times and served over HTTP.
type mirrorBench struct {
	*bench
	url    string
	states []string // the timestamp of each publication
}

func newMirrorBench(t *testing.T) *mirrorBench {
	b := &mirrorBench{bench: newBench(t)}
	b.initRepository()
	b.url = b.serve(filepath.Join(b.dir, "repo"))
	b.run("repo", "trust", "repo", "-o", "root.json")
	return b
}

// publish adds a package with a file and publishes.
func (b *mirrorBench) publish(name string, size int) {
	b.t.Helper()
	b.pack(name, "1.0.0", "", item{path: "usr/share/" + name, content: strings.Repeat(name, size/len(name))})
	b.run("repo", "publish", "repo")
	b.states = append(b.states, b.shown("repo"))
}

// serve serves a folder until the end of the test.
func (b *mirrorBench) serve(dir string) (url string) {
	b.t.Helper()
	cmd := exec.Command(b.pkgtool, "repo", "serve", dir, "--listen", "127.0.0.1:0", "--quiet")
	out, err := cmd.StdoutPipe()
	check(b.t, err)
	check(b.t, cmd.Start())
	b.t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
	url, err = bufio.NewReader(out).ReadString('\n')
	check(b.t, err)
	return strings.TrimSpace(url)
}

// shown is the timestamp that readers of a folder see; "" if they see nothing.
func (b *mirrorBench) shown(dir string) string {
	data, err := os.ReadFile(b.path(dir, "metadata/timestamp.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.t.Error(err)
	}
	return string(data)
}

func (b *mirrorBench) path(dir string, parts ...string) string {
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(b.dir, dir)
	}
	return filepath.Join(append([]string{dir}, parts...)...)
}

// files lists what readers of a mirror can get, with hashes.
func files(dir string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil && d.Name() == ".ashlar" {
				return fs.SkipDir
			}
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all = append(all, fmt.Sprintf("%s %x", rel, sha256.Sum256(data)))
		return err
	})
	return all, err
}

// TestMirrorKilledAnywhere kills a mirror run at system calls that change
// something. Readers then see the state of before or the new one, complete; the
// next run goes on; and nothing is left that no run knows of.
func TestMirrorKilledAnywhere(t *testing.T) {
	b := newMirrorBench(t)
	b.publish("first", 3000)
	b.publish("second", 200_000)
	argv := func(source string) func(to string) []string {
		return func(to string) []string {
			return []string{b.pkgtool, "repo", "mirror", source, to, "--root-file", b.path("root.json"), "--grace", "1ns"}
		}
	}
	folder := b.path("repo")
	for name, source := range map[string]string{"from http": b.url, "from a folder": folder} {
		t.Run("new mirror "+name, func(t *testing.T) {
			m := &mirrorMatrix{mirrorBench: b.with(t), argv: argv(source), from: b.path("none")}
			check(t, os.MkdirAll(m.from, 0o755))
			m.killAll()
		})
	}
	// The second state is shown, and what only the first had is to be removed.
	b.run("repo", "mirror", "repo", "mirror", "--root-file", "root.json", "--grace", "1ns")
	b.publish("third", 3000)
	b.run("repo", "mirror", "repo", "mirror", "--grace", "1ns")
	b.publish("fourth", 200_000)
	t.Run("next state", func(t *testing.T) {
		m := &mirrorMatrix{mirrorBench: b.with(t), argv: argv(b.url), from: b.path("mirror")}
		m.killAll()
	})
	b.run("repo", "bundle", "export", "repo", "all.bundle")
	t.Run("bundle", func(t *testing.T) {
		m := &mirrorMatrix{mirrorBench: b.with(t), from: b.path("mirror"), argv: func(to string) []string {
			return []string{b.pkgtool, "repo", "bundle", "import", b.path("all.bundle"), to, "--grace", "1ns"}
		}}
		m.killAll()
	})
}

func (b *mirrorBench) with(t *testing.T) *mirrorBench {
	return &mirrorBench{&bench{t, b.pkgtool, b.dir}, b.url, b.states}
}

// TestMirrorDiskFull lets calls of a mirror run fail as on a disk that is full,
// from some call on. The run says so, readers see a whole state, and once there
// is room again the next run goes on.
func TestMirrorDiskFull(t *testing.T) {
	b := newMirrorBench(t)
	b.publish("first", 3000)
	b.run("repo", "mirror", "repo", "mirror", "--root-file", "root.json", "--grace", "1ns")
	b.publish("second", 200_000)
	m := &mirrorMatrix{mirrorBench: b, from: b.path("mirror"), argv: func(to string) []string {
		return []string{b.pkgtool, "repo", "mirror", b.url, to, "--grace", "1ns"}
	}}
	after := b.path("whole")
	check(t, copyTree(t.Context(), m.from, after))
	whole, err := killat.Start(t.Context(), killat.Run{Argv: m.argv(after)})
	check(t, err)
	m.want, err = files(after)
	check(t, err)
	step := max(1, whole.Calls/12)
	if all {
		step = 1
	}
	for n := 1; n <= whole.Calls; n += step {
		dir := fmt.Sprintf("%s-full-%d", m.from, n)
		check(t, copyTree(t.Context(), m.from, dir))
		old := m.shown(dir)
		r, err := killat.Start(t.Context(), killat.Run{Argv: m.argv(dir), At: n, Fail: syscall.ENOSPC, Forever: true})
		check(t, err)
		where := fmt.Sprintf("%s fails (call %d)", r.Failed, n)
		if strings.Contains(r.Output, "panic") || r.Code == 0 && m.shown(dir) == old {
			t.Errorf("%s: exit code %d\n%s", where, r.Code, r.Output)
		}
		check(t, m.judge(t.Context(), dir, old, where))
		check(t, m.complete(dir, where))
		check(t, os.RemoveAll(dir))
	}
}

// mirrorMatrix is all points of one run.
type mirrorMatrix struct {
	*mirrorBench
	argv func(to string) []string
	from string   // the mirror before the run
	want []string // its files after a run that nobody kills
}

func (m *mirrorMatrix) killAll() {
	t := m.t
	after := filepath.Join(m.dir, "whole-"+filepath.Base(t.Name()))
	check(t, copyTree(t.Context(), m.from, after))
	whole, err := killat.Start(t.Context(), killat.Run{Argv: m.argv(after)})
	check(t, err)
	if whole.Code != 0 {
		t.Fatalf("exit code %d\n%s", whole.Code, whole.Output)
	}
	m.want, err = files(after)
	check(t, err)
	// The order of parallel transfers differs; a run may make a few calls more.
	step := 1
	if !all {
		step = max(1, whole.Calls/24)
	}
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(runtime.NumCPU())
	tried := 0
	for n := 1; n <= whole.Calls; n += step {
		for _, exit := range []bool{false, true} {
			if !all && exit != (n/step%2 == 0) {
				continue
			}
			tried++
			group.Go(func() error { return m.point(ctx, n, exit) })
		}
	}
	check(t, group.Wait())
	t.Logf("%d changing calls, %d points", whole.Calls, tried)
}

func (m *mirrorMatrix) point(ctx context.Context, n int, exit bool) error {
	dir := fmt.Sprintf("%s-%s-%d-%v", m.from, filepath.Base(m.t.Name()), n, exit)
	defer os.RemoveAll(dir)
	if err := copyTree(ctx, m.from, dir); err != nil {
		return err
	}
	old := m.shown(dir)
	r, err := killat.Start(ctx, killat.Run{Argv: m.argv(dir), At: n, Exit: exit})
	if err != nil {
		return err
	}
	if r.Killed == "" && r.Code != 0 {
		return fmt.Errorf("exit code %d without being killed\n%s", r.Code, r.Output)
	}
	where := fmt.Sprintf("killed %s (call %d)", r.Killed, n)
	if err := m.judge(ctx, dir, old, where); err != nil {
		return err
	}
	// What was killed goes on; a kill in that, at any point, changes nothing.
	if r, err = killat.Start(ctx, killat.Run{Argv: m.argv(dir), At: 1 + n*7%40}); err == nil && r.Killed != "" {
		err = m.judge(ctx, dir, old, where+" and again "+r.Killed)
	}
	if err != nil {
		return err
	}
	return m.complete(dir, where)
}

// judge holds what readers see against the states of the origin.
func (m *mirrorMatrix) judge(ctx context.Context, dir, old, where string) error {
	shown := m.shown(dir)
	if shown != old && shown != m.shown("repo") {
		return fmt.Errorf("%s: the mirror shows neither the old state nor the new one", where)
	}
	if shown == "" {
		return nil
	}
	if out, err := exec.CommandContext(ctx, m.pkgtool, "repo", "check", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: what the mirror shows is not complete: %w\n%s", where, err, out)
	}
	return nil
}

// complete runs once more and holds the mirror against one that nobody killed.
func (m *mirrorMatrix) complete(dir, where string) error {
	out, err := exec.Command(m.pkgtool, append(m.argv(dir)[1:], "--json")...).CombinedOutput()
	var result struct {
		Mirror struct{ Strangers, Damaged []string }
	}
	if err == nil {
		err = json.Unmarshal(out, &result)
	}
	if err != nil || len(result.Mirror.Strangers)+len(result.Mirror.Damaged) > 0 {
		return fmt.Errorf("%s: the next run: %w\n%s", where, err, out)
	}
	got, err := files(dir)
	if err == nil && !slices.Equal(got, m.want) {
		err = fmt.Errorf("%s: %s", where, difference(strings.Join(got, "\n"), strings.Join(m.want, "\n")))
	}
	left, _ := os.ReadDir(filepath.Join(dir, ".ashlar/incoming"))
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%s: left behind: %v", where, left)
	}
	return err
}
