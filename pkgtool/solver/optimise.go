package solver

import (
	"context"
	"errors"
	"slices"
)

// improveBudget bounds the conflicts in one attempt to prove that a counted tier
// cannot be better. It is a number of steps and not a time, so that the answer
// depends on the question only. Running out costs the proof, never validity.
const improveBudget = 50_000

// optimise finds the best solution of what is encoded. It reports false if there
// is none. As soon as it comes to want packages that are not opened it leaves off:
// they must be opened anyway.
func (pr *problem) optimise(ctx context.Context) (bool, error) {
	if found, err := pr.run(ctx); !found || err != nil {
		return false, err
	}
	for _, t := range pr.tiers {
		if len(pr.closed()) > 0 {
			return true, nil
		}
		var err error
		if t.counted {
			err = pr.improve(ctx, t.wishes)
		} else {
			err = pr.arrange(ctx, t.wishes)
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// run finds an assignment and notes it.
func (pr *problem) run(ctx context.Context, assumptions ...literal) (bool, error) {
	found, err := pr.search.run(ctx, -1, assumptions...)
	if found {
		pr.best = slices.Clone(pr.search.assigned)
	}
	return found, err
}

// arrange fulfils wishes in their order: each one that can be, with those before
// it as they have been settled. What the best assignment fulfils already needs
// no search.
func (pr *problem) arrange(ctx context.Context, wishes []literal) error {
	s := pr.search
	s.undo(0)
	for _, wish := range wishes {
		if s.value(wish) != unknown {
			continue
		}
		if valueIn(pr.best, wish) != isTrue {
			found, err := pr.run(ctx, wish)
			if err != nil {
				return err
			}
			if !found {
				wish = wish.not()
			}
		}
		s.fact(wish)
	}
	return nil
}

// improve leaves as few wishes unfulfilled as possible, and makes sure that all
// solutions from now on do so.
//
// It is core-guided: it assumes that all wishes come true; each set of wishes
// that exclude each other raises what is possible at best by one, and is
// replaced by the assumption that only one of the set fails (OLL: Andres and
// others, Unsatisfiability-based optimization in clasp, 2012).
func (pr *problem) improve(ctx context.Context, wishes []literal) error {
	s := pr.search
	s.undo(0)
	s.propagate()
	var open []literal
	for _, wish := range wishes { // what the tiers before have settled need not be counted
		if s.value(wish) == unknown {
			open = append(open, wish)
		}
	}
	least, unfulfilled := 0, countFalse(pr.best, open)
	assumed := slices.Clone(open)
	bounds := map[literal]bound{}
	for least < unfulfilled {
		var cores [][]literal
		for least < unfulfilled {
			found, err := s.run(ctx, improveBudget, assumed...)
			if errors.Is(err, errBudget) {
				pr.exact = false
				return pr.arrangeAsBest(open)
			}
			if err != nil {
				return err
			}
			if found {
				if n := countFalse(s.assigned, open); n < unfulfilled {
					pr.best, unfulfilled = slices.Clone(s.assigned), n
				}
				break
			}
			core, err := pr.trim(ctx, s.failed)
			if err != nil {
				return err
			}
			cores = append(cores, core)
			assumed = slices.DeleteFunc(assumed, func(l literal) bool { return slices.Contains(core, l) })
			least++
		}
		if len(cores) == 0 {
			break
		}
		for _, core := range cores {
			assumed = append(assumed, pr.relax(core, bounds)...)
		}
	}
	for _, l := range assumed {
		s.fact(l)
	}
	return nil
}

// bound is an assumption that at most k literals of a counter are true.
type bound struct {
	counter *counter
	k       int
}

// relax returns the assumptions that take the place of a set of which one must
// fail: that no second one does; and for those that are bounds, the next bound.
func (pr *problem) relax(core []literal, bounds map[literal]bound) []literal {
	var assumptions []literal
	assume := func(c *counter, k int) {
		if k < len(c.inputs) {
			l := c.atMost(k)
			bounds[l] = bound{c, k}
			assumptions = append(assumptions, l)
		}
	}
	var failing []literal
	for _, l := range core {
		if b, ok := bounds[l]; ok {
			assume(b.counter, b.k+1)
		}
		failing = append(failing, l.not())
	}
	if len(core) > 1 {
		assume(pr.search.newCounter(failing), 1)
	}
	return assumptions
}

// trim tries to make a set of assumptions that exclude each other smaller: small
// sets bound best.
func (pr *problem) trim(ctx context.Context, core []literal) ([]literal, error) {
	for range 4 {
		if len(core) <= 1 {
			break
		}
		slices.Reverse(core)
		found, err := pr.search.run(ctx, 200, core...)
		if errors.Is(err, errBudget) {
			break
		}
		if err != nil {
			return nil, err
		}
		if found || len(pr.search.failed) >= len(core) {
			break
		}
		core = pr.search.failed
	}
	return core, nil
}

// arrangeAsBest makes the wishes final as the best assignment has them.
func (pr *problem) arrangeAsBest(wishes []literal) error {
	for _, l := range wishes {
		if valueIn(pr.best, l) == isFalse {
			l = l.not()
		}
		pr.search.fact(l)
	}
	return nil
}

// chosen returns the packages of the best assignment, in order of identity.
func (pr *problem) chosen() []int32 {
	var chosen []int32
	for _, i := range pr.active {
		if valueIn(pr.best, pr.yes(i)) == isTrue {
			chosen = append(chosen, i)
		}
	}
	slices.SortFunc(chosen, pr.universe.compareIdentity)
	return chosen
}

// closed returns the chosen packages that are not opened yet.
func (pr *problem) closed() []int32 {
	var closed []int32
	for _, i := range pr.active {
		if !pr.opened[i] && pr.in(i) {
			closed = append(closed, i)
		}
	}
	slices.SortFunc(closed, pr.universe.compareIdentity)
	return closed
}

func countFalse(values []truth, literals []literal) int {
	n := 0
	for _, l := range literals {
		if valueIn(values, l) == isFalse {
			n++
		}
	}
	return n
}

func valueIn(values []truth, l literal) truth {
	if l&1 == 1 {
		return -values[l.variable()]
	}
	return values[l.variable()]
}
