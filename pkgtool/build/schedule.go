package build

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/build/recipe"
)

// schedule builds recipes as soon as what they need is there, those first from
// which the longest chain of work hangs.
type schedule struct {
	engine   *Engine
	order    []*recipe.Recipe
	before   map[*recipe.Recipe][]*recipe.Recipe
	own      map[*recipe.Recipe]float64 // seconds of its last build, or a guess
	weight   map[*recipe.Recipe]float64 // seconds from its start to the end of all that needs it
	outcomes map[*recipe.Recipe]*outcome
	failed   map[*recipe.Recipe]error
	stopped  bool // after a failure, or by the caller
}

func newSchedule(e *Engine, order []*recipe.Recipe, before map[*recipe.Recipe][]*recipe.Recipe) *schedule {
	s := &schedule{
		engine: e, order: order, before: before, own: map[*recipe.Recipe]float64{}, weight: map[*recipe.Recipe]float64{},
		outcomes: map[*recipe.Recipe]*outcome{}, failed: map[*recipe.Recipe]error{},
	}
	seconds := e.recordedSeconds()
	for _, r := range slices.Backward(order) {
		own, known := seconds[r.Name]
		if !known {
			own = estimate(r)
		}
		s.own[r] = own
		s.weight[r] += own
		for _, b := range before[r] {
			if s.weight[b] < s.weight[r] {
				s.weight[b] = s.weight[r]
			}
		}
	}
	return s
}

// estimate guesses the seconds of a build that was never done here: big sources
// take long.
func estimate(r *recipe.Recipe) float64 {
	seconds := 10.0
	for _, s := range r.Sources {
		seconds += float64(s.Size) / 1e5
	}
	return seconds
}

// run builds until everything is done or something failed.
func (s *schedule) run(caller context.Context) error {
	ctx, cancel := context.WithCancelCause(caller)
	defer cancel(nil)
	defer context.AfterFunc(caller, func() { s.engine.report(Event{Kind: Stopping}) })()
	type finished struct {
		r      *recipe.Recipe
		out    *outcome
		err    error
		memory int64
	}
	results := make(chan finished)
	started := map[*recipe.Recipe]bool{}
	machine := s.engine.machine()
	for {
		if !s.stopped {
			s.skip(started)
			ready := s.ready(started)
			for i, r := range ready {
				jobs, memory, ok := machine.place(r, len(ready)-i)
				if !ok {
					continue // a smaller one may fit
				}
				started[r] = true
				machine.start(memory)
				available := s.available(r)
				go func() {
					out, err := s.engine.buildRecipe(ctx, r, available, jobs)
					results <- finished{r, out, err, memory}
				}()
			}
		}
		s.tell()
		if machine.running == 0 {
			break
		}
		f := <-results
		machine.end(f.memory)
		if f.err == nil {
			s.outcomes[f.r] = f.out
			continue
		}
		s.failed[f.r] = f.err
		if ctx.Err() != nil && ended(ctx, f.err) {
			s.engine.report(Event{Kind: Stopped, Recipe: f.r.Name})
		} else {
			s.engine.report(Event{Kind: Failed, Recipe: f.r.Name, Text: f.err.Error()})
		}
		if !s.engine.KeepGoing || ctx.Err() != nil {
			s.stopped = true
			cancel(errStopped)
		}
	}
	return s.err(ctx)
}

// ended reports whether a build has this error because the run was ended.
func ended(ctx context.Context, err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))
}

// tell reports how far the run is.
func (s *schedule) tell() {
	ev := Event{Kind: Progress, Total: int64(len(s.order))}
	longest := 0.0
	for _, r := range s.order {
		if s.outcomes[r] != nil || s.failed[r] != nil {
			ev.Done++
			continue
		}
		ev.Seconds += s.own[r]
		longest = max(longest, s.weight[r])
	}
	// No shorter than the longest chain, and than the work of all, two at a time.
	ev.Seconds = max(longest, ev.Seconds/2)
	s.engine.report(ev)
}

// errStopped is why builds end when another one failed.
var errStopped = errors.New("stopped because another build failed")

// ready lists what can start, the heaviest first.
func (s *schedule) ready(started map[*recipe.Recipe]bool) []*recipe.Recipe {
	var ready []*recipe.Recipe
	for _, r := range s.order {
		if !started[r] && !slices.ContainsFunc(s.before[r], func(b *recipe.Recipe) bool { return s.outcomes[b] == nil }) {
			ready = append(ready, r)
		}
	}
	slices.SortStableFunc(ready, func(a, b *recipe.Recipe) int {
		switch {
		case s.weight[a] > s.weight[b]:
			return -1
		case s.weight[a] < s.weight[b]:
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return ready
}

// skip marks what cannot be built any more.
func (s *schedule) skip(started map[*recipe.Recipe]bool) {
	for _, r := range s.order { // needs come first, so one pass reaches all
		if started[r] {
			continue
		}
		for _, b := range s.before[r] {
			if s.failed[b] != nil {
				started[r] = true
				s.failed[r] = errSkipped
				s.engine.report(Event{Kind: Skipped, Recipe: r.Name, Text: b.Name})
				break
			}
		}
	}
}

// errSkipped marks recipes whose needs failed; their own error is told.
var errSkipped = errors.New("not built: something it needs failed")

// available are the packages of everything that r may stand on, directly or
// not: a set that does not depend on what else happened to be built.
func (s *schedule) available(r *recipe.Recipe) []*builtPackage {
	seen := map[*recipe.Recipe]bool{}
	var all []*builtPackage
	var visit func(r *recipe.Recipe)
	visit = func(r *recipe.Recipe) {
		for _, b := range s.before[r] {
			if !seen[b] {
				seen[b] = true
				all = append(all, s.outcomes[b].packages...)
				visit(b)
			}
		}
	}
	visit(r)
	return all
}

func (s *schedule) err(ctx context.Context) error {
	var errs []error
	skipped := 0
	for _, r := range s.order {
		switch err := s.failed[r]; {
		case err == nil, s.stopped && ended(ctx, err):
		case errors.Is(err, errSkipped):
			skipped++
		default:
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return context.Cause(ctx)
	}
	if skipped > 0 {
		errs = append(errs, fmt.Errorf("%d recipes that need them were not built", skipped))
	}
	return errors.Join(errs...)
}

// built lists the packages of all finished recipes in build order.
func (s *schedule) built() []Built {
	var all []Built
	for _, r := range s.order {
		if out := s.outcomes[r]; out != nil {
			all = append(all, out.built...)
		}
	}
	return all
}

// recordedSeconds are the durations of earlier builds by recipe.
func (e *Engine) recordedSeconds() map[string]float64 {
	seconds := map[string]float64{}
	e.Cache.readJSON(&seconds, "seconds.json")
	return seconds
}
