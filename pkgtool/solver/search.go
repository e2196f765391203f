package solver

import (
	"context"
	"errors"
)

// search finds the assignment that fulfils all clauses and is the best in the
// order of its wishes: it decides the first undecided wish, as wished, and
// lets clause learning undo decisions only when they are proved impossible.
// So the first assignment found is the lexicographically best one.
//
// The method is that of MiniSat (Eén and Sörensson, 2003): two watched
// literals, first-UIP learning, backjumping; without restarts and without an
// activity order, because the order of decisions is the policy.
type search struct {
	clauses  []clause
	watching [][]int32 // by literal: clauses that watch its negation becoming true
	assigned []truth   // by variable
	level    []int32   // by variable: the decision it hangs on
	because  []int32   // by variable: the clause that implied it, or noClause
	trail    []literal // what was assigned, in order
	decided  []int     // by level: length of the trail before the decision
	resume   []int     // by level: where in the wishes the decision was found
	pending  int       // trail entries before this one have been propagated

	wishes    []literal
	broken    int32 // the clause that no assignment fulfils, or noClause
	conflicts int   // met in the whole life of the search
}

// clause is a list of literals of which one must be true. The first two are
// watched. A learned clause remembers the clauses it follows from.
type clause struct {
	literals []literal
	rule     rule
	from     []int32
}

const noClause int32 = -1

// errBudget says that a search was given up after its number of conflicts.
var errBudget = errors.New("search budget used up")

func newSearch() *search { return &search{broken: noClause} }

func (s *search) newVariable() variable {
	s.assigned = append(s.assigned, unknown)
	s.level = append(s.level, 0)
	s.because = append(s.because, noClause)
	s.watching = append(s.watching, nil, nil)
	return variable(len(s.assigned) - 1)
}

// add adds a clause that comes from a rule.
func (s *search) add(r rule, literals ...literal) {
	s.undo(0)
	s.insert(clause{literals: literals, rule: r})
}

// insert adds a clause while nothing is decided.
func (s *search) insert(c clause) {
	id := int32(len(s.clauses))
	// Watch literals that are not false, so that the watches are right now.
	free := 0
	for i, l := range c.literals {
		if s.value(l) != isFalse && free < 2 {
			c.literals[i], c.literals[free] = c.literals[free], l
			free++
		}
	}
	s.clauses = append(s.clauses, c)
	if len(c.literals) >= 2 {
		s.watch(c.literals[0], id)
		s.watch(c.literals[1], id)
	}
	switch {
	case s.broken != noClause:
	case free == 0:
		s.broken = id
	case free == 1 && s.value(c.literals[0]) == unknown:
		s.assign(c.literals[0], id)
	}
}

func (s *search) watch(l literal, id int32) {
	s.watching[l.not()] = append(s.watching[l.not()], id)
}

func (s *search) assign(l literal, because int32) {
	v := l.variable()
	s.assigned[v] = isTrue
	if l&1 == 1 {
		s.assigned[v] = isFalse
	}
	s.level[v] = int32(len(s.decided))
	s.because[v] = because
	s.trail = append(s.trail, l)
}

func (s *search) decide(l literal, wish int) {
	s.decided = append(s.decided, len(s.trail))
	s.resume = append(s.resume, wish)
	s.assign(l, noClause)
}

// undo takes back every decision above a level and returns where in the wishes
// the first of them stood.
func (s *search) undo(level int) (wish int) {
	if len(s.decided) <= level {
		return 0
	}
	start := s.decided[level]
	for _, l := range s.trail[start:] {
		s.assigned[l.variable()] = unknown
	}
	wish = s.resume[level]
	s.trail = s.trail[:start]
	s.decided, s.resume = s.decided[:level], s.resume[:level]
	s.pending = min(s.pending, start)
	return wish
}

// run searches the best assignment under the assumptions. It reports false if
// there is none. After at most budget conflicts it gives up with errBudget;
// a negative budget is no limit.
func (s *search) run(ctx context.Context, budget int, assumptions ...literal) (bool, error) {
	s.undo(0)
	wish := 0
	for steps := 0; ; steps++ {
		if steps%1024 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		if s.broken != noClause {
			return false, nil
		}
		if conflict := s.propagate(); conflict != noClause {
			if len(s.decided) == 0 {
				s.broken = conflict
				return false, nil
			}
			s.conflicts++
			if budget--; budget == -1 {
				return false, errBudget
			}
			wish = s.learn(conflict)
			continue
		}
		if n := len(s.decided); n < len(assumptions) {
			if s.value(assumptions[n]) == isFalse {
				return false, nil
			}
			// An assumption that already holds still gets its level, so that
			// the levels below len(assumptions) are always theirs.
			s.decided = append(s.decided, len(s.trail))
			s.resume = append(s.resume, 0)
			if s.value(assumptions[n]) == unknown {
				s.assign(assumptions[n], noClause)
			}
			continue
		}
		for wish < len(s.wishes) && s.value(s.wishes[wish]) != unknown {
			wish++
		}
		if wish == len(s.wishes) {
			return true, nil
		}
		s.decide(s.wishes[wish], wish)
	}
}
