package farm

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/build"
	"ashlar/pkgtool/build/buildkit"
	"ashlar/pkgtool/build/buildkit/inside"
	"ashlar/pkgtool/build/sandbox"
)

// The test binary is the tests, pid 1 of sandboxes and of containers, and the
// program `probe` of the build roots of these tests.
func TestMain(m *testing.M) {
	sandbox.MaybeInit()
	inside.MaybeRun()
	if len(os.Args) > 2 && os.Args[1] == "do" {
		os.Exit(do(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

func newFarm(t testing.TB, daemons ...*daemon) *buildkit.Farm {
	t.Helper()
	o := buildkit.Options{TLS: daemons[0].tls, Cache: t.TempDir(), Report: func(text string) { t.Log(text) }}
	for _, d := range daemons {
		o.Daemons = append(o.Daemons, buildkit.Daemon{Address: d.address})
	}
	f, err := buildkit.New(o)
	check(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// newWork is a work over a root of one layer, with a file or two in each folder.
func newWork(t testing.TB, commands ...[]string) (*build.Work, *bytes.Buffer) {
	t.Helper()
	dir, log := t.TempDir(), &bytes.Buffer{}
	w := &build.Work{
		Recipe: "probe", Root: []build.Layer{{Name: "top", Digest: "top", Dir: dir + "/top"}, {Name: "base", Digest: "base", Dir: dir + "/base"}},
		Build: dir + "/build", Dest: dir + "/dest", Sources: dir + "/sources", Files: dir + "/recipe", Scratch: dir + "/scratch",
		Env: []string{"PATH=/usr/bin", "HOME=/build", "SOURCE_DATE_EPOCH=1000000000"}, Log: log, Jobs: 2,
	}
	for _, sub := range []string{"top/usr/share", "base/usr/bin", "base/etc", "base/sys", "base/tmp", "build/objects", "dest", "sources", "recipe", "scratch"} {
		check(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
	}
	for name, text := range map[string]string{
		"base/etc/hosts": "127.0.0.1 localhost\n", "top/usr/share/top": "the upper layer", "base/usr/share": "",
		"build/configure": "#!/bin/sh\n", "sources/archive.tar": "packed", "recipe/files.conf": "of the recipe",
	} {
		if text != "" {
			check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
		}
	}
	check(t, os.Chmod(dir+"/build/configure", 0o755))
	program, err := os.ReadFile("/proc/self/exe")
	check(t, err)
	check(t, os.WriteFile(dir+"/base/usr/bin/probe", program, 0o755))
	for i, argv := range commands {
		w.Commands = append(w.Commands, sandbox.Command{Name: fmt.Sprint("step ", i), Argv: append([]string{"probe", "do"}, argv...), Dir: "/build"})
	}
	return w, log
}

// listing describes everything below a folder but times.
func listing(t testing.TB, dir string) string {
	t.Helper()
	var all strings.Builder
	inodes := map[string]string{}
	check(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		fmt.Fprintf(&all, "%s %s", rel, info.Mode())
		switch info.Mode().Type() {
		case fs.ModeSymlink:
			target, _ := os.Readlink(name)
			fmt.Fprint(&all, " -> ", target)
		case 0:
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(&all, " %q", data)
			if id := fmt.Sprint(inodeOf(info)); inodes[id] != "" {
				fmt.Fprint(&all, " = ", inodes[id])
			} else {
				inodes[id] = rel
			}
		}
		all.WriteString("\n")
		return nil
	}))
	return all.String()
}

// TestSameAsLocal runs the same commands here and on a farm: the same files, the
// same log.
func TestSameAsLocal(t *testing.T) {
	f := newFarm(t, startDaemon(t, newAuthority(t)))
	commands := [][]string{{"surroundings"}, {"tree"}, {"leave-running"}, {"tree-again"}}
	ours, ourLog := newWork(t, commands...)
	check(t, build.Local.Run(t.Context(), ours))
	theirs, theirLog := newWork(t, commands...)
	check(t, f.Run(t.Context(), theirs))
	if a, b := listing(t, ours.Dest), listing(t, theirs.Dest); a != b {
		t.Errorf("here:\n%s\non the farm:\n%s", a, b)
	} else if !strings.Contains(a, "setuid") {
		t.Errorf("nothing was installed:\n%s", a)
	}
	if a, b := ourLog.String(), theirLog.String(); a != b {
		t.Errorf("here:\n%s\non the farm:\n%s", a, b)
	}
	left, err := os.ReadDir(theirs.Scratch)
	check(t, err)
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestFailuresAreTheSame runs what fails here and on a farm.
func TestFailuresAreTheSame(t *testing.T) {
	f := newFarm(t, startDaemon(t, newAuthority(t)))
	for _, c := range []struct {
		name     string
		limits   sandbox.Limits
		commands [][]string
	}{
		{"a status", sandbox.Limits{}, [][]string{{"put", "one", "1"}, {"fail"}, {"put", "two", "2"}}},
		{"a signal", sandbox.Limits{}, [][]string{{"die"}}},
		{"no such program", sandbox.Limits{}, [][]string{nil}},
		{"time", sandbox.Limits{Wall: time.Second}, [][]string{{"sleep", "1m"}}},
		{"silence", sandbox.Limits{Silence: time.Second}, [][]string{{"print", "once"}, {"sleep", "1m"}}},
		{"output", sandbox.Limits{Log: 1 << 20}, [][]string{{"print-much"}}},
		{"disk", sandbox.Limits{Disk: 8 << 20}, [][]string{{"fill", "64"}}},
		{"memory", sandbox.Limits{Memory: 64 << 20}, [][]string{{"take-memory", "256"}}},
		{"processes", sandbox.Limits{Processes: 40}, [][]string{{"fork", "20"}}},
		{"a large file", sandbox.Limits{File: 1000}, [][]string{{"put", "large", strings.Repeat("x", 1001)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var said [2]string
			for i, run := range []build.Executor{build.Local, f} {
				w, log := newWork(t, c.commands...)
				if c.commands[0] == nil {
					w.Commands[0].Argv = []string{"absent"}
				}
				w.Limits = c.limits
				started := -1
				w.Started = func(n int) { started = n }
				err := run.Run(t.Context(), w)
				if err == nil {
					t.Fatalf("executor %d: nothing failed", i)
				}
				said[i] = fmt.Sprintf("%v, command %d", err, started)
				if exit := (*sandbox.ExitError)(nil); errors.As(err, &exit) { // what there is can be looked at
					said[i] += "\n" + listing(t, w.Build) + listing(t, w.Dest)
				} else if w.Undone != (i == 1) {
					t.Errorf("executor %d: undone %v", i, w.Undone)
				}
				if c.limits.Log == 0 { // where it stops is a matter of time
					said[i] += "\n" + log.String()
				}
			}
			if said[0] != said[1] {
				t.Errorf("here:\n%s\non the farm:\n%s", said[0], said[1])
			}
		})
	}
}

// TestWritingIsNoSilence compiles, so to speak, for longer than it may say nothing.
func TestWritingIsNoSilence(t *testing.T) {
	for _, run := range []build.Executor{build.Local, newFarm(t, startDaemon(t, newAuthority(t)))} {
		w, log := newWork(t, []string{"write-silently", "50"})
		w.Limits.Silence = 2 * time.Second
		if err := run.Run(t.Context(), w); err != nil {
			t.Errorf("%T: %v\n%s", run, err, log)
		}
	}
}

// TestNothingComesIn keeps a build from the network, and from speaking in place
// of pid 1.
func TestNothingComesIn(t *testing.T) {
	f := newFarm(t, startDaemon(t, newAuthority(t)))
	w, log := newWork(t, []string{"network"}, []string{"speak"})
	if err := f.Run(t.Context(), w); err != nil {
		t.Errorf("%v\n%s", err, log)
	}
}

// TestMuchOutput brings a long log over whole.
func TestMuchOutput(t *testing.T) {
	f := newFarm(t, startDaemon(t, newAuthority(t)))
	w, log := newWork(t, []string{"print-much"})
	check(t, f.Run(t.Context(), w))
	if n := bytes.Count(log.Bytes(), []byte("\n")); n != 200_001 {
		t.Errorf("%d lines of 200001", n)
	}
}

// TestWhatItCosts tells how long a work takes that does nothing: here, and on a
// farm that has everything.
func TestWhatItCosts(t *testing.T) {
	f := newFarm(t, startDaemon(t, newAuthority(t)))
	for _, c := range []struct {
		where string
		run   build.Executor
	}{{"here", build.Local}, {"the farm, first", f}, {"the farm", f}} {
		w, _ := newWork(t, []string{"print", "hello"})
		start := time.Now()
		check(t, c.run.Run(t.Context(), w))
		t.Logf("%s: %v", c.where, time.Since(start).Round(time.Millisecond))
	}
}
