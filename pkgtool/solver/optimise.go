package solver

import (
	"context"
	"errors"
	"slices"
)

// improveBudget bounds the conflicts spent on proving that a counted tier
// cannot be better. It is a number of steps and not a time, so that the answer
// depends on the question only. Running out costs optimality, never validity.
const improveBudget = 20000

// counterBudget bounds the clauses of a counter. With more, the order of the
// wishes alone decides, which already leaves out whatever can be left out.
const counterBudget = 400_000

// optimise finds the best solution and fixes every variable in it. It reports
// false if there is none.
func (pr *problem) optimise(ctx context.Context) (bool, error) {
	if found, err := pr.run(ctx); !found || err != nil {
		return false, err
	}
	for _, t := range pr.tiers {
		if !t.counted {
			pr.fix(t.wishes)
			continue
		}
		if err := pr.improve(ctx, t); err != nil {
			return false, err
		}
		if found, err := pr.run(ctx); !found || err != nil {
			return false, err
		}
	}
	return pr.run(ctx)
}

// run finds the best assignment in the order of the wishes and notes it.
func (pr *problem) run(ctx context.Context) (bool, error) {
	found, err := pr.search.run(ctx, -1)
	if found {
		pr.best = slices.Clone(pr.search.assigned)
	}
	return found, err
}

// improve bounds the number of unfulfilled wishes of a tier to the least that is
// possible.
func (pr *problem) improve(ctx context.Context, t tier) error {
	s := pr.search
	var open []literal // wishes turned around, that nothing decides yet
	unfulfilled := 0
	values := pr.best
	s.undo(0)
	s.propagate() // what the tiers before have settled need not be counted
	for _, wish := range t.wishes {
		if s.value(wish) == unknown {
			open = append(open, wish.not())
			if valueIn(values, wish) == isFalse {
				unfulfilled++
			}
		}
	}
	if unfulfilled == 0 {
		for _, l := range open {
			s.add(rule{}, l.not())
		}
		return nil
	}
	if len(open)*unfulfilled > counterBudget {
		return nil
	}
	c := s.newCounter(open, unfulfilled)
	for unfulfilled > 0 {
		better, err := s.run(ctx, improveBudget, c.atMost(unfulfilled-1))
		if errors.Is(err, errBudget) || err == nil && !better {
			break
		}
		if err != nil {
			return err
		}
		unfulfilled = count(s, open)
	}
	if unfulfilled < len(open) {
		s.add(rule{}, c.atMost(unfulfilled))
	}
	return nil
}

// fix makes the values that the literals have in the last solution final.
func (pr *problem) fix(literals []literal) {
	s := pr.search
	values := pr.best
	s.undo(0)
	for _, l := range literals {
		if s.value(l) == unknown {
			if valueIn(values, l) == isFalse {
				l = l.not()
			}
			s.add(rule{}, l)
		}
	}
}

// chosen returns the packages of the present assignment.
func (pr *problem) chosen() []*Package {
	var chosen []*Package
	for _, p := range pr.pool.packages {
		if pr.search.value(pr.yes(p)) == isTrue {
			chosen = append(chosen, p)
		}
	}
	return chosen
}

func count(s *search, literals []literal) int {
	n := 0
	for _, l := range literals {
		if s.value(l) == isTrue {
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
