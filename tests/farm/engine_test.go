package farm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ashlar/pkgtool/build"
	"ashlar/pkgtool/build/buildkit"
	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/source"
)

// probeSeed is a seed of one layer with one program, the tests themselves.
type probeSeed string

func (probeSeed) LayerOf(name string) (string, bool) { return name, name == "base" || name == "probe" }
func (probeSeed) Digest(string) string               { return "probe" }
func (s probeSeed) Materialize(context.Context, string) (string, error) {
	return string(s), nil
}

// tree is a tree of recipes and what builds it.
type tree struct {
	t    testing.TB
	dir  string
	seed probeSeed
}

// newTree has a library, a program that needs it, and a third recipe; each takes
// as long as given.
func newTree(t testing.TB, each time.Duration) *tree {
	t.Helper()
	w, _ := newWork(t)
	tr := &tree{t, t.TempDir(), probeSeed(w.Root[1].Dir)}
	for name, more := range map[string]string{
		"lib":   "packages: [{name: lib-dev, split: dev}]",
		"alone": "",
		"app":   "build: {libs: [lib-dev]}",
	} {
		file := map[string]string{"lib": "usr/include/lib.h", "alone": "usr/share/alone", "app": "usr/share/app"}[name]
		text := fmt.Sprintf("schema: 1\nname: %s\nversion: \"1.0.0\"\nrelease: 1\ndate: 2026-01-10\nsummary: s\nlicense: MIT\n%s\nphases:\n  install:\n", name, more)
		for _, step := range []string{"install, " + file, "sleep, " + each.String(), "install, " + file + "2"} {
			text += "    - exec: [probe, do, " + step + "]\n"
		}
		check(t, os.MkdirAll(filepath.Join(tr.dir, name), 0o755))
		check(t, os.WriteFile(filepath.Join(tr.dir, name, "recipe.yaml"), []byte(text), 0o644))
	}
	return tr
}

// build builds all of it with an empty cache, and returns the packages' digests.
func (tr *tree) build(x build.Executor, parallel int) (map[string]string, error) {
	tr.t.Helper()
	t, err := recipe.LoadTree(tr.dir, "x86_64")
	check(tr.t, err)
	check(tr.t, t.Err())
	dir := tr.t.TempDir()
	cache, err := build.OpenCache(filepath.Join(dir, "build"))
	check(tr.t, err)
	e := &build.Engine{Tree: t, Seed: tr.seed, Fetcher: &source.Fetcher{CacheDir: dir}, Cache: cache, Executor: x, Parallel: parallel}
	built, err := e.Build(tr.t.Context(), nil)
	digests := map[string]string{}
	for _, b := range built {
		digests[b.Package] = b.SHA256
	}
	return digests, err
}

// lostOnes counts what a farm reports.
type lostOnes struct {
	mu   sync.Mutex
	said []string
}

func (l *lostOnes) report(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, text)
}

// TestPackagesOfTwoDaemons builds three packages on two daemons: the same as
// here, also when one daemon is killed in the middle, with what it built.
func TestPackagesOfTwoDaemons(t *testing.T) {
	tr := newTree(t, 2*time.Second)
	want, err := tr.build(nil, 2)
	check(t, err)
	if len(want) < 3 {
		t.Fatalf("built %v", want)
	}
	a := newAuthority(t)
	first, second := startDaemon(t, a), startDaemon(t, a)
	for _, killed := range []bool{false, true} {
		var lost lostOnes
		f, err := buildkit.New(buildkit.Options{TLS: a.client(t), Cache: t.TempDir(), Report: lost.report, Daemons: []buildkit.Daemon{
			{Address: first.address}, {Address: second.address},
		}})
		check(t, err)
		defer f.Close()
		ended, containers := make(chan struct{}), make(chan []int, 1)
		go func() { containers <- killOne(killed, ended, first, second) }()
		got, err := tr.build(f, f.Slots())
		close(ended)
		check(t, err)
		for name, sum := range want {
			if got[name] != sum {
				t.Errorf("killed %v: package %s is %s here and %s on the farm", killed, name, sum, got[name])
			}
		}
		if killed != (len(lost.said) > 0) {
			t.Errorf("killed %v, and told: %q", killed, lost.said)
		}
		for _, pid := range <-containers {
			if _, err := os.Stat(fmt.Sprint("/proc/", pid)); err == nil {
				t.Errorf("process %d of the killed daemon's container is still there", pid)
			}
		}
	}
}

// killOne kills the first daemon that builds something, in the middle of it. It
// returns the processes of its containers; none if it did not come to that.
func killOne(really bool, ended <-chan struct{}, daemons ...*daemon) []int {
	for really {
		select {
		case <-ended:
			return nil
		case <-time.After(10 * time.Millisecond):
		}
		for _, d := range daemons {
			if len(d.containers()) > 0 {
				time.Sleep(500 * time.Millisecond)
				pids := d.containers()
				d.kill()
				return pids
			}
		}
	}
	return nil
}

// TestDaemonComesBack goes on when the only daemon is started again.
func TestDaemonComesBack(t *testing.T) {
	d := startDaemon(t, newAuthority(t))
	f := newFarm(t, d)
	w, log := newWork(t, []string{"put", "a", "1"}, []string{"sleep", "2s"}, []string{"put", "b", "2"})
	done := make(chan error, 1)
	go func() { done <- f.Run(t.Context(), w) }()
	for len(d.containers()) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	d.kill()
	d.start()
	if err := <-done; err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if got := listing(t, w.Dest); !strings.Contains(got, `a -rw-r--r-- "1"`) || !strings.Contains(got, `b -rw-r--r-- "2"`) {
		t.Error(got)
	}
}

// TestNoDaemonLeft tells which daemon failed why, and leaves the work's folders as
// they were.
func TestNoDaemonLeft(t *testing.T) {
	d := startDaemon(t, newAuthority(t))
	f := newFarm(t, d)
	d.kill()
	w, _ := newWork(t, []string{"put", "a", "1"})
	err := f.Run(t.Context(), w)
	if err == nil || !strings.Contains(err.Error(), d.address+": connect: ") {
		t.Error(err)
	}
	if got := listing(t, w.Dest); strings.Count(got, "\n") != 1 {
		t.Error(got)
	}
}

// TestStrangers keeps clients of another authority out, and daemons too.
func TestStrangers(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	d := startDaemon(t, ours)
	for name, tls := range map[string]buildkit.TLS{
		"client of another authority": {CA: ours.ca(), Cert: theirs.client(t).Cert, Key: theirs.client(t).Key},
		"client without certificate":  {CA: ours.ca()},
		"daemon of another authority": {CA: theirs.ca(), Cert: ours.client(t).Cert, Key: ours.client(t).Key},
	} {
		if strings.Contains(name, "another") { // certificate and key belong together
			a := ours
			if strings.HasPrefix(name, "client") {
				a = theirs
			}
			own := a.client(t)
			tls.Cert, tls.Key = own.Cert, own.Key
		}
		f, err := buildkit.New(buildkit.Options{TLS: tls, Cache: t.TempDir(), Daemons: []buildkit.Daemon{{Address: d.address}}})
		check(t, err)
		w, _ := newWork(t, []string{"put", "a", "1"})
		err = f.Run(t.Context(), w)
		if err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
		f.Close()
	}
}

// TestInterrupted ends at once when the caller does, and leaves nothing running.
func TestInterrupted(t *testing.T) {
	d := startDaemon(t, newAuthority(t))
	f := newFarm(t, d)
	w, _ := newWork(t, []string{"sleep", "1h"})
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("the person wants no more")
	go func() {
		for len(d.containers()) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		cancel(stopped)
	}()
	if err := f.Run(ctx, w); !errors.Is(err, stopped) {
		t.Error(err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(d.containers()) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the build still runs")
		}
	}
}
