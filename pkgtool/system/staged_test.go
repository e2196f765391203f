package system

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// loaderLog is the boot loader of a machine that exists as a list of calls.
type loaderLog struct {
	calls  []string
	refuse error
}

func (l *loaderLog) Prepare(_ context.Context, g *Generation, usr string) error {
	l.calls = append(l.calls, "prepare "+itoa(g.Number))
	return l.refuse
}

func (l *loaderLog) Switch(_ context.Context, g *Generation) error {
	l.calls = append(l.calls, "switch "+itoa(g.Number))
	return nil
}

// planned opens a system with a plan for a package.
func planned(t *testing.T, root string, s spec) (*System, *Plan) {
	t.Helper()
	sys, err := open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sys.Close() })
	p, err := sys.Plan(t.Context(), Change{Add: []Addition{{Package: build(t, s)}}, Reason: "upgrade", Time: commitTime})
	if err != nil {
		t.Fatal(err)
	}
	return sys, p
}

// What is staged changes nothing until somebody goes to it, and is complete then.
func TestStageThenGo(t *testing.T) {
	root := t.TempDir()
	install(t, root, base)
	install(t, root, tool("1.0.0", "one"))
	before := snapshot(t, root)
	sys, p := planned(t, root, tool("2.0.0", "two"))
	l := &loaderLog{}
	sys.SetLoader(l)
	if err := p.Stage(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if want := []string{"prepare 3", "switch 3"}; !slices.Equal(l.calls, want) {
		t.Errorf("the loader was told %v, want %v", l.calls, want)
	}
	sys.Close()
	if got, want := outside(snapshot(t, root)), outside(before); got != want {
		t.Errorf("staging changed the system:\n%s\nwant\n%s", got, want)
	}
	verified(t, root)
	sys, err := open(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sys.Prune(t.Context(), Policy{Keep: 1}); err != nil {
		t.Fatal(err)
	}
	next, err := sys.Staged()
	if err != nil || next != 3 {
		t.Fatalf("staged is %d, %v", next, err)
	}
	plan, err := sys.PlanRollback(t.Context(), next, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := sys.Generation(); got.Number != 4 || got.Reason != "upgrade" {
		t.Errorf("generation %d, %q", got.Number, got.Reason)
	}
	if same, err := sys.Same(3, 4); err != nil || !same {
		t.Errorf("generations 3 and 4 differ, %v", err)
	}
	if next, err := sys.Staged(); err != nil || next != 0 {
		t.Errorf("%d is staged still, %v", next, err)
	}
	sys.Close()
	verified(t, root)
	if got := content(t, root, "usr/bin/tool"); got != "program two" {
		t.Errorf("tool is %q", got)
	}
}

// A transaction drops what was staged: it was made for another generation.
func TestTransactionDropsStaged(t *testing.T) {
	root := t.TempDir()
	install(t, root, base)
	sys, p := planned(t, root, tool("1.0.0", "one"))
	if err := p.Stage(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	sys.Close()
	install(t, root, tool("2.0.0", "two"))
	sys, err := open(root)
	if err != nil {
		t.Fatal(err)
	}
	if next, err := sys.Staged(); err != nil || next != 0 || sys.Generation().Number != 2 {
		t.Errorf("staged %d, generation %d, %v", next, sys.Generation().Number, err)
	}
	sys.Close()
	verified(t, root)
}

// A boot loader that cannot start the new generation refuses the transaction.
func TestLoaderRefuses(t *testing.T) {
	root := t.TempDir()
	install(t, root, base)
	before := snapshot(t, root)
	sys, p := planned(t, root, tool("1.0.0", "one"))
	sys.SetLoader(&loaderLog{refuse: errors.New("no room")})
	if err := p.Commit(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "ready to start: no room") {
		t.Fatalf("got %v", err)
	}
	sys.Close()
	if got, want := outside(snapshot(t, root)), outside(before); got != want {
		t.Errorf("a refused transaction changed the system:\n%s\nwant\n%s", got, want)
	}
	verified(t, root)
}

// outside is a snapshot without the state.
func outside(s string) string {
	var kept []string
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, stateDir) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
