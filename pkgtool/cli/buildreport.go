package cli

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"ashlar/pkgtool/build"
)

// heartbeat is how often a person hears what is still being built.
const heartbeat = 30 * time.Second

// BuildReporter tells a person what an engine does: one line for each event
// that matters, and which builds are at work, for how long, and what is left. On
// a terminal the latter are moving lines; elsewhere it is said now and then. Call
// done at the end.
func BuildReporter(app *App) (report func(build.Event), done func()) {
	r := &buildReporter{app: app, fetching: map[string]bool{}, running: map[string]*runningBuild{}}
	out, ok := app.Err.(*os.File)
	if !ok || !terminal(app.Err) || app.Quiet || os.Getenv("TERM") == "dumb" {
		return r.report, func() {}
	}
	live := newLiveBuild(out)
	closed := sync.OnceFunc(live.close)
	return func(ev build.Event) {
		live.follow(ev)
		live.above(func() { r.tell(ev) })
	}, closed
}

type buildReporter struct {
	app *App

	mu       sync.Mutex
	fetching map[string]bool
	running  map[string]*runningBuild // by recipe
	timer    *time.Timer              // nil while nothing runs
}

// runningBuild is what is known of a build that has not ended.
type runningBuild struct {
	since time.Time
	phase string
}

func (r *buildReporter) report(ev build.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.follow(ev)
	r.tell(ev)
}

// tell writes the line of an event, if it has one.
func (r *buildReporter) tell(ev build.Event) {
	app := r.app
	switch ev.Kind {
	case build.Progress:
	case build.Stopping:
		app.Say("%-10s the builds at work; Ctrl-C once more ends at once and leaves folders behind", ev.Kind)
	case build.Testing:
		if app.Verbose {
			app.Say("%-10s %s %s", ev.Kind, ev.Recipe, ev.Text)
		}
	case build.Fetching:
		// One line for what is not in the cache, however often it is told.
		if id := ev.Recipe + "\x00" + ev.Text; !r.fetching[id] && ev.Done < ev.Total {
			r.fetching[id] = true
			app.Say("%-10s %s: %s (%.1f MB)", ev.Kind, ev.Recipe, ev.Text, float64(ev.Total)/1e6)
		}
	case build.Phase, build.Packaging:
		if app.Verbose {
			app.Say("%-10s %s %s", ev.Kind, ev.Recipe, ev.Text)
		}
	case build.Done:
		app.Say("%-10s %s in %.1f s", ev.Kind, ev.Recipe, ev.Seconds)
	case build.Cached:
		if app.Verbose {
			app.Say("%-10s %s", ev.Kind, ev.Recipe)
		}
	case build.Failed, build.Stopped:
		app.Say("%-10s %s", ev.Kind, ev.Recipe)
	default:
		app.Say("%-10s %s (%s)", ev.Kind, ev.Recipe, ev.Text)
	}
}

// follow keeps the list of running builds, and the heart beating while there
// are any.
func (r *buildReporter) follow(ev build.Event) {
	switch ev.Kind {
	case build.Started:
		r.running[ev.Recipe] = &runningBuild{since: time.Now(), phase: "starting"}
		if r.timer == nil {
			r.timer = time.AfterFunc(heartbeat, r.beat)
		}
	case build.Phase:
		if b := r.running[ev.Recipe]; b != nil {
			b.phase = ev.Text
		}
	case build.Done, build.Failed, build.Stopped:
		delete(r.running, ev.Recipe)
		if len(r.running) == 0 && r.timer != nil {
			r.timer.Stop()
			r.timer = nil
		}
	}
}

// beat says what is running and sets the timer again.
func (r *buildReporter) beat() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer == nil {
		return // everything ended while this beat was waiting
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(r.running)) {
		b := r.running[name]
		texts = append(texts, fmt.Sprintf("%s (%s, %s)", name, b.phase, time.Since(b.since).Round(time.Second)))
	}
	r.app.Say("%-10s %s", "at work", strings.Join(texts, ", "))
	r.timer.Reset(heartbeat)
}
