package solver

import (
	"context"
	"errors"
)

// search finds assignments that fulfil all clauses. It decides the first
// undecided wish, as wished, so that the assignment it finds is usually the best
// one already; optimise.go proves that or improves it.
//
// The method is that of MiniSat (Eén and Sörensson, 2003): two watched
// literals, first-UIP learning, backjumping. Where the order of the wishes leads
// nowhere for long, it turns to variables that conflicts are about (lively.go).
type search struct {
	clauses  []clause
	watching [][]watch // by literal: clauses to visit when it becomes true
	assigned []truth   // by variable
	level    []int32   // by variable: the decision it hangs on
	because  []int32   // by variable: the clause that implied it, or noClause
	trail    []literal // what was assigned, in order
	decided  []int     // by level: length of the trail before the decision
	resume   []int     // by level: where in the wishes the decision was found
	pending  int       // trail entries before this one have been propagated

	wishes   []literal
	main     []variable // variables to decide when there are no wishes, before those that follow from them
	failed   []literal  // after run: the assumptions that exclude each other
	broken   int32      // the clause that no assignment fulfils, or noClause
	tracking bool       // learned clauses remember what they follow from

	conflicts int // met in the whole life of the search
	seen      []bool
	learned   []int32 // clauses to forget one day
	lively    lively
}

// clause is a list of literals of which one must be true. The first two are
// watched. A learned clause remembers the clauses it follows from.
type clause struct {
	literals []literal
	rule     int32 // which of the problem's rules it comes from, or noRule
	from     []int32
}

// watch is a clause to visit, and one of its literals: while that is true the
// clause need not be looked at.
type watch struct {
	clause  int32
	blocker literal
}

const (
	noClause int32 = -1
	noRule   int32 = -1
)

// errBudget says that a search was given up after its number of conflicts.
var errBudget = errors.New("search budget used up")

func newSearch() *search { return &search{broken: noClause} }

func (s *search) newVariable() variable {
	s.assigned = append(s.assigned, unknown)
	s.level = append(s.level, 0)
	s.because = append(s.because, noClause)
	s.seen = append(s.seen, false)
	s.watching = append(s.watching, nil, nil)
	s.lively.add()
	return variable(len(s.assigned) - 1)
}

// add adds a clause that comes from a rule. The search keeps the literals.
func (s *search) add(rule int32, literals ...literal) {
	s.undo(0)
	id := int32(len(s.clauses))
	// Watch literals that are not false, so that the watches are right now.
	free := 0
	for i, l := range literals {
		if s.value(l) != isFalse && free < 2 {
			literals[i], literals[free] = literals[free], l
			free++
		}
	}
	s.clauses = append(s.clauses, clause{literals: literals, rule: rule})
	if len(literals) >= 2 {
		s.watch(id)
	}
	switch {
	case s.broken != noClause:
	case free == 0:
		s.broken = id
	case free == 1 && s.value(literals[0]) == unknown:
		s.assign(literals[0], id)
	}
}

// fact makes a literal true for good. It must not be false already.
func (s *search) fact(l literal) {
	s.undo(0)
	if s.value(l) == unknown {
		s.assign(l, noClause)
	}
	if conflict := s.propagate(); conflict != noClause && s.broken == noClause {
		s.broken = conflict
	}
}

// watch begins to watch the first two literals of a clause.
func (s *search) watch(id int32) {
	ls := s.clauses[id].literals
	s.watching[ls[0].not()] = append(s.watching[ls[0].not()], watch{id, ls[1]})
	s.watching[ls[1].not()] = append(s.watching[ls[1].not()], watch{id, ls[0]})
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
		s.lively.release(l)
	}
	wish = s.resume[level]
	s.trail = s.trail[:start]
	s.decided, s.resume = s.decided[:level], s.resume[:level]
	s.pending = min(s.pending, start)
	return wish
}

// run searches an assignment under the assumptions. It reports false if there
// is none; then failed are assumptions that exclude each other, or none if there
// is no assignment at all. After at most budget conflicts it gives up with
// errBudget; a negative budget is no limit.
func (s *search) run(ctx context.Context, budget int, assumptions ...literal) (bool, error) {
	s.undo(0)
	s.failed = nil
	wish := 0
	for steps := 0; ; steps++ {
		if steps%256 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		if s.broken != noClause {
			return false, nil
		}
		if conflict := s.propagate(); conflict != noClause {
			s.conflicts++
			if len(s.decided) == 0 {
				s.broken = conflict
				return false, nil
			}
			if budget--; budget == -1 {
				return false, errBudget
			}
			wish = s.learn(conflict)
			if s.lively.restart(s.conflicts) {
				s.forget()
				s.undo(0)
			}
			continue
		}
		if n := len(s.decided); n < len(assumptions) {
			if s.value(assumptions[n]) == isFalse {
				s.failed = s.culprits(assumptions[n])
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
		next, at, found := s.next(wish)
		if !found {
			return true, nil
		}
		wish = at
		s.decide(next, wish)
	}
}

// next returns the literal to decide: the first open wish from a place on, and
// after the wishes any open variable, as false. The main ones come first; the
// latest of them first, because the first choices have their variables first.
func (s *search) next(wish int) (l literal, at int, found bool) {
	if s.lively.on {
		if l, found = s.lively.next(s.assigned); found {
			return l, 0, true
		}
		wish = 0
	}
	for ; wish < len(s.wishes); wish++ {
		if s.value(s.wishes[wish]) == unknown {
			return s.wishes[wish], wish, true
		}
	}
	for n := wish - len(s.wishes); n < len(s.main)+len(s.assigned); n++ {
		v := variable(n - len(s.main))
		if n < len(s.main) {
			v = s.main[len(s.main)-1-n]
		}
		if s.assigned[v] == unknown {
			return v.no(), n + len(s.wishes), true
		}
	}
	return 0, 0, false
}
