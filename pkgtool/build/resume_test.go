package build

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestResume: a build that failed goes on with the step that failed, if all
// before it is the same, and else from the beginning.
func TestResume(t *testing.T) {
	b := newBench(t)
	notes := func() string {
		t.Helper()
		p := b.pkg("a-1.0.0-1.x86_64.ashlar")
		dir := filepath.Join(t.TempDir(), "a")
		if err := p.Extract(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, "usr/share/notes"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	b.recipe("a", "", "note, one", "note, two", "fail", "notes, usr/share/notes")
	b.fails("--resume")
	b.recipe("a", "", "note, one", "note, two", "note, three", "notes, usr/share/notes")
	b.setUp = func(e *Engine) { e.Resume = true }
	b.must()
	expect(t, "resumed", b.told(Resumed), "a")
	expect(t, "steps", notes(), "one two three ")
	if entries, err := os.ReadDir(filepath.Join(b.cache, "build/failed")); err != nil || len(entries) != 0 {
		t.Errorf("the failed build is still there: %v %v", entries, err)
	}

	// Another first step, so from the beginning; without Resume as well.
	b.recipe("a", "", "note, four", "fail", "notes, usr/share/notes")
	b.fails("the compiler says no")
	b.recipe("a", "", "note, five", "notes, usr/share/notes")
	b.must()
	expect(t, "resumed with another step", b.told(Resumed), "")
	expect(t, "steps", notes(), "five ")
	b.recipe("a", "", "note, six", "fail", "notes, usr/share/notes")
	b.fails("the compiler says no")
	b.setUp = nil
	b.recipe("a", "", "note, six", "notes, usr/share/notes")
	b.must()
	expect(t, "steps", notes(), "six ")

	// More than a step: the environment.
	b.recipe("a", "", "note, seven", "fail")
	b.fails("the compiler says no")
	b.setUp = func(e *Engine) { e.Resume = true }
	b.recipe("a", "build: {env: {X: y}}", "note, seven", "notes, usr/share/notes")
	b.must()
	expect(t, "resumed with another environment", b.told(Resumed), "")
	expect(t, "steps", notes(), "seven ")
}

// TestInterrupt: an interrupted build leaves no process and no folder behind,
// and goes on later.
func TestInterrupt(t *testing.T) {
	b := newBench(t)
	b.recipe("a", "", "note, one", "sleep", "notes, usr/share/notes")
	ctx, cancel := context.WithCancel(t.Context())
	e := b.engine()
	report := e.Report
	e.Report = func(ev Event) {
		report(ev)
		if ev.Kind == Phase && ev.Text == "install" {
			time.AfterFunc(300*time.Millisecond, cancel)
		}
	}
	start := time.Now()
	if _, err := e.Build(ctx, nil); err == nil {
		t.Fatal("an interrupted build succeeded")
	}
	if time.Since(start) > 30*time.Second {
		t.Error("the interrupt had to wait for the step")
	}
	if entries, err := os.ReadDir(filepath.Join(b.cache, "build/work")); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	b.recipe("a", "", "note, one", "note, two", "notes, usr/share/notes")
	b.setUp = func(e *Engine) { e.Resume = true }
	b.must()
	expect(t, "resumed", b.told(Resumed), "a")
}
