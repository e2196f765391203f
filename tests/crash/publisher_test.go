package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"ashlar/tests/crash/killat"

	"golang.org/x/sync/errgroup"
)

// publisher is a command of the publisher's on a repository in some state.
type publisher struct {
	name    string
	prepare [][]string // commands after "repo"
	edit    func(dir string) error
	command []string // with DIR for the repository
}

var publishers = []publisher{
	{name: "add", command: []string{"repo", "add", "DIR", "app-2.0.0-1.noarch.ashlar", "lib-2.0.0-1.noarch.ashlar"}},
	{name: "publish", prepare: [][]string{{"add", "DIR", "app-2.0.0-1.noarch.ashlar", "lib-2.0.0-1.noarch.ashlar"}, {"remove", "DIR", "app@1.0.0"}},
		command: []string{"repo", "publish", "DIR"}},
	{name: "promote", prepare: [][]string{{"stage", "add", "DIR", "set", "--expect", "app,lib", "app-2.0.0-1.noarch.ashlar", "lib-2.0.0-1.noarch.ashlar"}},
		command: []string{"repo", "promote", "DIR", "--stage", "set", "--to", "stable", "--publish"}},
	{name: "prune", prepare: [][]string{{"add", "DIR", "app-2.0.0-1.noarch.ashlar", "--publish"}, {"remove", "DIR", "app@1.0.0", "--publish"},
		{"stage", "add", "DIR", "dropped", "lib-2.0.0-1.noarch.ashlar"}, {"stage", "drop", "DIR", "dropped"}},
		edit: age, command: []string{"repo", "prune", "DIR", "--keep", "1"}},
}

var date = regexp.MustCompile(`20\d\d-`)

// age lets what the publisher remembers be a year older.
func age(dir string) error {
	for _, name := range []string{"history.jsonl", "superseded.json"} {
		path := filepath.Join(dir, ".ashlar", name)
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, date.ReplaceAll(data, []byte("2020-")), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// TestKilledPublisherAnywhere kills each command before and after system calls
// that change something. Afterwards clients see the old state or the new one,
// what is pending is there as a whole or not at all, every file is good, and the
// same command again does all the rest.
func TestKilledPublisherAnywhere(t *testing.T) {
	b := newBench(t)
	b.initRepository()
	for _, name := range []string{"app", "lib"} {
		b.pack(name, "1.0.0", "", item{path: "usr/share/" + name, content: name + " 1"})
	}
	b.run("repo", "publish", "repo")
	first := filepath.Join(b.dir, "first")
	check(t, copyTree(t.Context(), filepath.Join(b.dir, "repo"), first))
	for _, name := range []string{"app", "lib"} { // packs, and adds to a repository that is not used any more
		b.pack(name, "2.0.0", "", item{path: "usr/share/" + name, content: name + " 2"})
	}
	var points atomic.Int64
	for _, p := range publishers {
		t.Run(p.name, func(t *testing.T) {
			k := &killedPublisher{bench: &bench{t, b.pkgtool, b.dir}, publisher: p, points: &points}
			k.prepare(first)
			k.killAll()
		})
	}
	t.Logf("%d points", points.Load())
}

// killedPublisher is all points of one command.
type killedPublisher struct {
	*bench
	publisher
	points   *atomic.Int64
	from     string
	old, new string
	pool     string // the files that it has afterwards
	calls    int
}

// pool lists the package files of a repository.
func pool(dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "pool/*/*/*")) // the pattern is good
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return strings.Join(files, "\n")
}

// argv is the command on a repository, which runs where the packages are.
func (k *killedPublisher) argv(dir string, command []string) []string {
	argv := []string{}
	for _, word := range command {
		switch {
		case word == "DIR":
			word = dir
		case strings.HasSuffix(word, ".ashlar"):
			word = filepath.Join(k.dir, word)
		}
		argv = append(argv, word)
	}
	return argv
}

func (k *killedPublisher) prepare(first string) {
	t := k.t
	k.from = filepath.Join(k.dir, "publisher-"+k.name)
	check(t, copyTree(t.Context(), first, k.from))
	for _, command := range k.publisher.prepare {
		k.run(k.argv(k.from, append([]string{"repo"}, command...))...)
	}
	if k.edit != nil {
		check(t, k.edit(k.from))
	}
	k.old = k.lists(k.from)
	after := k.from + "-new"
	check(t, copyTree(t.Context(), k.from, after))
	whole, err := killat.Start(t.Context(), killat.Run{Argv: append([]string{k.pkgtool}, k.argv(after, k.command)...)})
	check(t, err)
	if whole.Code != 0 {
		t.Fatalf("%s: exit code %d\n%s", k.name, whole.Code, whole.Output)
	}
	k.calls = whole.Calls
	k.new = k.lists(after)
	k.pool = pool(after)
	if k.old == k.new && k.pool == pool(k.from) {
		t.Fatalf("%s changes nothing: %s\n%s", k.name, k.new, k.pool)
	}
}

// lists tells what clients see and what waits, by "channel package published".
func (k *killedPublisher) lists(dir string) string {
	out, err := k.try("repo", "list", "--json", dir)
	if err != nil {
		return fmt.Sprintf("%v\n%s", err, out)
	}
	var list struct {
		Packages []struct {
			Channel, Name, Version string
			Published              bool
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return err.Error()
	}
	var lines []string
	for _, p := range list.Packages {
		lines = append(lines, fmt.Sprint(p.Channel, " ", p.Name, " ", p.Version, " ", p.Published))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// between reports whether a list can be met in the middle of a command that
// decides and then publishes: all of its packages, not yet published.
func (k *killedPublisher) between(list string) bool {
	return slices.Contains(k.command, "--publish") && strings.ReplaceAll(list, " false", " true") == strings.ReplaceAll(k.new, " false", " true")
}

func (k *killedPublisher) killAll() {
	step := 1
	if !all {
		step = max(1, k.calls/15)
	}
	group, ctx := errgroup.WithContext(k.t.Context())
	group.SetLimit(runtime.NumCPU())
	tried := 0
	for n := 1; n <= k.calls; n += step {
		for _, exit := range []bool{false, true} {
			if !all && exit != (n/step%2 == 0) {
				continue
			}
			tried++
			group.Go(func() error { return k.point(ctx, n, exit) })
		}
	}
	check(k.t, group.Wait())
	k.t.Logf("%s: %d changing calls, %d points", k.name, k.calls, tried)
}

func (k *killedPublisher) point(ctx context.Context, n int, exit bool) error {
	dir := fmt.Sprintf("%s-%d-%v", k.from, n, exit)
	defer os.RemoveAll(dir)
	if err := copyTree(ctx, k.from, dir); err != nil {
		return err
	}
	r, err := killat.Start(ctx, killat.Run{Argv: append([]string{k.pkgtool}, k.argv(dir, k.command)...), At: n, Exit: exit})
	if err != nil {
		return err
	}
	k.points.Add(1)
	where := fmt.Sprintf("%s, killed %s (call %d)", k.name, r.Killed, n)
	if r.Killed == "" && r.Code != 0 {
		return fmt.Errorf("%s: exit code %d without being killed\n%s", k.name, r.Code, r.Output)
	}
	return k.judge(dir, where)
}

func (k *killedPublisher) judge(dir, where string) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...))
	}
	if out, err := k.try("repo", "check", dir); err != nil {
		return bad("what clients see is damaged: %v\n%s", err, out)
	}
	list := k.lists(dir)
	if list != k.old && list != k.new && !k.between(list) {
		return bad("neither old nor new:\n%s", list)
	}
	out, err := k.try(k.argv(dir, k.command)...)
	if err != nil && !strings.Contains(out, "there is no stage set") {
		return bad("the same command again: %v\n%s", err, out)
	}
	if err != nil {
		// The promotion is done; the publication is what is left.
		if out, err := k.try("repo", "publish", dir); err != nil {
			return bad("publish: %v\n%s", err, out)
		}
	}
	if got := k.lists(dir); got != k.new {
		return bad("after the same command again:\n%s\nwanted:\n%s", got, k.new)
	}
	if out, err := k.try("repo", "check", dir); err != nil {
		return bad("check: %v\n%s", err, out)
	}
	if got := pool(dir); got != k.pool {
		return bad("the pool has\n%s\nwanted:\n%s", got, k.pool)
	}
	return k.rubbish(dir, where)
}

// rubbish finds temporary files that nobody removed.
func (k *killedPublisher) rubbish(dir, where string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".tmp") {
			err = fmt.Errorf("%s: %s is left", where, path)
		}
		return err
	})
}
