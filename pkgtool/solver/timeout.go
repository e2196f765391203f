package solver

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Timeout says how far a search came when its context ended. It wraps the
// context's error.
type Timeout struct {
	Best      *Solution // the best solution found so far, valid but not proved the best; nil if none was found
	Decided   []string  // packages that have proved to be in every solution, or in the best one
	Trouble   []string  // packages that most conflicts were about
	Conflicts int       // how many dead ends were met
	Cause     error
}

func (t *Timeout) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the time was up before there was an answer: %v", t.Cause)
	if t.Best != nil {
		b.WriteString("\na solution is known, but it is not proved to be the best")
	} else {
		fmt.Fprintf(&b, "\nno solution was found after %d dead ends", t.Conflicts)
	}
	if len(t.Decided) > 0 {
		fmt.Fprintf(&b, "\ndecided so far: %s", enumerate(t.Decided))
	}
	if len(t.Trouble) > 0 {
		fmt.Fprintf(&b, "\nthe search goes round about %s", enumerate(t.Trouble))
	}
	return b.String()
}

func (t *Timeout) Unwrap() error { return t.Cause }

// timeUp turns the context's end into a [Timeout]; other errors stay.
func (pr *problem) timeUp(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	s, u := pr.search, pr.universe
	t := &Timeout{Cause: ctx.Err(), Conflicts: s.conflicts}
	s.undo(0)
	order := slices.Clone(pr.active)
	slices.SortFunc(order, u.compareIdentity)
	for _, i := range order {
		if s.value(pr.yes(i)) == isTrue && !u.packages[i].Installed {
			t.Decided = append(t.Decided, u.packages[i].String())
		}
	}
	slices.SortStableFunc(order, func(i, j int32) int {
		return -cmp.Compare(s.lively.activity[pr.variables[i]-1], s.lively.activity[pr.variables[j]-1])
	})
	for _, i := range order[:min(4, len(order))] {
		if s.lively.activity[pr.variables[i]-1] > 0 {
			t.Trouble = append(t.Trouble, u.packages[i].String())
		}
	}
	if pr.best != nil && len(pr.closed()) == 0 {
		pr.exact = false
		// Newer packages held back are not explained: that takes a search.
		if best, err := pr.solution(ctx, &additions{}); err == nil && u.Check(pr.request.Request, best) == nil {
			t.Best = best
		}
	}
	return t
}
