package build

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Trace records a run in the form that the trace viewers of Chrome, Firefox and
// Perfetto read: a lane for each build at work, with its phases, and counters of
// processor and memory. Give its Report to an engine, and call Write at the end.
type Trace struct {
	mu     sync.Mutex
	start  time.Time
	events []traceEvent
	lanes  []string              // the recipe on each lane, "" where it is free
	open   map[string]*openSlice // by recipe
	stop   chan struct{}
	done   sync.WaitGroup
}

// traceEvent is one entry of the format: times in microseconds.
type traceEvent struct {
	Name      string         `json:"name"`
	Phase     string         `json:"ph"`
	Time      int64          `json:"ts"`
	Duration  int64          `json:"dur,omitempty"`
	Process   int            `json:"pid"`
	Lane      int            `json:"tid"`
	Category  string         `json:"cat,omitempty"`
	Arguments map[string]any `json:"args,omitempty"`
}

// openSlice is a build that has not ended.
type openSlice struct {
	lane         int
	since, phase int64 // when it and its phase began
	name         string
	why          string
	started      bool
}

// NewTrace begins a trace. every is the time between counters.
func NewTrace(every time.Duration) *Trace {
	t := &Trace{start: time.Now(), open: map[string]*openSlice{}, stop: make(chan struct{})}
	t.done.Go(func() { t.count(every) })
	return t
}

// Report takes the events of an engine.
func (t *Trace) Report(ev Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Since(t.start).Microseconds()
	b := t.open[ev.Recipe]
	switch ev.Kind {
	case Fetching:
		switch {
		case ev.Done >= ev.Total:
			if b != nil && !b.started { // a layer of the seed: nothing else is fetched outside of a build
				t.end(ev, b, now)
			}
			return
		case b == nil:
			b = t.begin(ev, now)
		}
		if b.name != string(Fetching) {
			t.endPhase(b, now)
			b.name = string(Fetching)
		}
	case Started, Packaging, Phase, Testing, Resumed:
		if b == nil {
			b = t.begin(ev, now)
		}
		name := string(ev.Kind)
		if ev.Kind == Phase {
			name = ev.Text
		}
		if ev.Kind == Started {
			name, b.why, b.started = "prepare", ev.Text, true
		}
		if b.name != name {
			t.endPhase(b, now)
			b.name = name
		}
	case Done, Failed, Cached, Stopped:
		if b != nil {
			t.end(ev, b, now)
		}
	}
}

// end closes what is open of a build.
func (t *Trace) end(ev Event, b *openSlice, now int64) {
	t.endPhase(b, now)
	t.events = append(t.events, traceEvent{
		Name: ev.Recipe, Phase: "X", Time: b.since, Duration: now - b.since, Process: 1, Lane: b.lane, Category: "recipe",
		Arguments: map[string]any{"why": b.why, "end": ev.Kind},
	})
	t.lanes[b.lane-1] = ""
	delete(t.open, ev.Recipe)
}

// begin puts a build on the first free lane.
func (t *Trace) begin(ev Event, now int64) *openSlice {
	lane := slices.Index(t.lanes, "")
	if lane < 0 {
		lane = len(t.lanes)
		t.lanes = append(t.lanes, "")
	}
	t.lanes[lane] = ev.Recipe
	b := &openSlice{lane: lane + 1, since: now, phase: now}
	t.open[ev.Recipe] = b
	return b
}

func (t *Trace) endPhase(b *openSlice, now int64) {
	if b.name != "" {
		t.events = append(t.events, traceEvent{Name: b.name, Phase: "X", Time: b.phase, Duration: now - b.phase, Process: 1, Lane: b.lane, Category: "phase"})
	}
	b.phase, b.name = now, ""
}

// count records the load of the machine now and then.
func (t *Trace) count(every time.Duration) {
	busy, idle := processorTimes()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-tick.C:
		}
		b, i := processorTimes()
		percent := 0.0
		if all := (b - busy) + (i - idle); all > 0 {
			percent = 100 * (b - busy) / all
		}
		busy, idle = b, i
		t.mu.Lock()
		now := time.Since(t.start).Microseconds()
		t.events = append(t.events,
			traceEvent{Name: "processor", Phase: "C", Time: now, Process: 1, Arguments: map[string]any{"percent": percent}},
			traceEvent{Name: "memory", Phase: "C", Time: now, Process: 1, Arguments: map[string]any{"used MiB": usedMemory()}})
		t.mu.Unlock()
	}
}

// Write ends the trace and writes it.
func (t *Trace) Write(w io.Writer) error {
	close(t.stop)
	t.done.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Since(t.start).Microseconds()
	for name, b := range t.open { // a run that was ended
		t.endPhase(b, now)
		t.events = append(t.events, traceEvent{Name: name, Phase: "X", Time: b.since, Duration: now - b.since, Process: 1, Lane: b.lane, Category: "recipe",
			Arguments: map[string]any{"why": b.why, "end": Stopped}})
	}
	slices.SortStableFunc(t.events, func(a, b traceEvent) int {
		if a.Time != b.Time {
			return int(a.Time - b.Time)
		}
		return int(b.Duration - a.Duration) // what holds others comes first
	})
	return json.NewEncoder(w).Encode(map[string]any{"traceEvents": t.events, "displayTimeUnit": "ms"})
}

// processorTimes are the ticks that the processors were busy and idle.
func processorTimes() (busy, idle float64) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	for i, field := range strings.Fields(string(line)) {
		ticks, err := strconv.ParseFloat(field, 64)
		switch {
		case err != nil || i > 8: // the name; guests count twice
		case i == 4 || i == 5: // idle, waiting for a disk
			idle += ticks
		default:
			busy += ticks
		}
	}
	return busy, idle
}

// usedMemory is what is not available for new programs, in MiB.
func usedMemory() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	var total, available int64
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "MemTotal:":
			total = n
		case "MemAvailable:":
			available = n
		}
	}
	return (total - available) >> 10
}
