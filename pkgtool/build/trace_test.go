package build

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// TestTrace reads a trace of a real run as a viewer would: builds that overlap
// are on different lanes, phases lie inside their builds.
func TestTrace(t *testing.T) {
	b := newBench(t)
	b.recipe("lib", "packages: [{name: lib-dev, split: dev}]", "put, usr/include/lib.h, one")
	b.recipe("app", "build: {libs: [lib-dev]}\ntest: [{run: want}]", "append, /usr/include/lib.h, usr/share/app")
	b.recipe("alone", "", "put, usr/share/alone, x")
	trace := NewTrace(10 * time.Millisecond)
	b.setUp = func(e *Engine) {
		report := e.Report
		e.Report = func(ev Event) { trace.Report(ev); report(ev) }
	}
	b.must()
	var out bytes.Buffer
	if err := trace.Write(&out); err != nil {
		t.Fatal(err)
	}
	var read struct {
		TraceEvents []traceEvent `json:"traceEvents"`
	}
	if err := json.Unmarshal(out.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	type span struct{ from, to int64 }
	lanes := map[int][]span{}
	recipes, counters, phases := map[string]span{}, 0, map[string]bool{}
	for _, ev := range read.TraceEvents {
		switch {
		case ev.Phase == "C":
			counters++
		case ev.Category == "recipe":
			s := span{ev.Time, ev.Time + ev.Duration}
			for _, other := range lanes[ev.Lane] {
				if s.from < other.to && other.from < s.to {
					t.Errorf("%s overlaps another build on lane %d", ev.Name, ev.Lane)
				}
			}
			lanes[ev.Lane] = append(lanes[ev.Lane], s)
			recipes[ev.Name] = s
		case ev.Category == "phase":
			phases[ev.Name] = true
			inside := false
			for _, s := range lanes[ev.Lane] {
				inside = inside || ev.Time >= s.from && ev.Time+ev.Duration <= s.to
			}
			if !inside {
				t.Errorf("phase %s lies in no build on lane %d", ev.Name, ev.Lane)
			}
		}
	}
	if len(recipes) != 3 || counters == 0 || !phases["install"] || !phases["testing"] || !phases["packaging"] {
		t.Errorf("%d recipes, %d counters, phases %v", len(recipes), counters, phases)
	}
	if recipes["app"].from < recipes["lib"].to {
		t.Error("app began before lib, which it needs, ended")
	}
}

// TestPlaces: cores and memory are shared by all builds at work.
func TestPlaces(t *testing.T) {
	b := newBench(t)
	b.recipe("small", "", "put, a, b")
	b.recipe("one", "build: {parallel: false}", "put, a, b")
	b.recipe("big", "build: {memory: 2GiB}", "put, a, b")
	b.recipe("huge", "build: {memory: 64GiB}", "put, a, b")
	tree := b.engine().Tree
	for _, c := range []struct {
		name   string
		m      machine
		ready  int
		jobs   int
		memory int64
		ok     bool
	}{
		{"small", machine{recipes: 2, cores: 8}, 1, 8, 0, true},
		{"small", machine{recipes: 2, cores: 8}, 5, 8, 0, true},
		{"small", machine{recipes: 16, cores: 64}, 30, 8, 0, true},
		{"small", machine{recipes: 16, cores: 64, running: 3}, 1, 32, 0, true},
		{"small", machine{recipes: 2, cores: 8, running: 2}, 1, 0, 0, false},
		{"small", machine{recipes: 2, cores: 8, jobs: 3}, 1, 3, 0, true},
		{"one", machine{recipes: 2, cores: 8}, 1, 1, 0, true},
		{"big", machine{recipes: 2, cores: 8, memory: 8 << 30}, 1, 4, 8 << 30, true},
		{"big", machine{recipes: 2, cores: 8, memory: 8 << 30, running: 1, used: 7 << 30}, 1, 0, 0, false},
		{"big", machine{recipes: 2, cores: 8, memory: 8 << 30, running: 1, used: 3 << 30}, 1, 2, 4 << 30, true},
		{"huge", machine{recipes: 2, cores: 8, memory: 8 << 30}, 1, 1, 64 << 30, true}, // alone, or never
		{"huge", machine{recipes: 2, cores: 8, memory: 8 << 30, running: 1}, 1, 0, 0, false},
	} {
		r, err := tree.Recipe(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if jobs, memory, ok := c.m.place(r, c.ready); jobs != c.jobs || memory != c.memory || ok != c.ok {
			t.Errorf("%s on %+v with %d ready: %d jobs, %d bytes, %v", c.name, c.m, c.ready, jobs, memory, ok)
		}
	}
}
