package solver

// learn turns a conflict into a new clause that forbids its cause, takes back
// the decisions that led to it, and returns where in the wishes to go on.
//
// The clause is cut at the first unique implication point: the last literal of
// the current level through which every path to the conflict goes.
func (s *search) learn(conflict int32) (wish int) {
	current := int32(len(s.decided))
	learned := []literal{0} // the first place is for the implication point
	from := []int32{conflict}
	var marked []variable
	open := 0 // literals of the current level not yet resolved

	look := func(id int32, implied literal) {
		for _, l := range s.clauses[id].literals {
			v := l.variable()
			if l == implied || s.seen[v] {
				continue
			}
			s.seen[v] = true
			marked = append(marked, v)
			s.lively.bump(v)
			switch {
			case s.level[v] == 0:
				from = append(from, s.because[v])
			case s.level[v] == current:
				open++
			default:
				learned = append(learned, l)
			}
		}
	}
	look(conflict, -1)
	for at := len(s.trail) - 1; ; at-- {
		for !s.seen[s.trail[at].variable()] || s.level[s.trail[at].variable()] != current {
			at--
		}
		open--
		l := s.trail[at]
		if open == 0 {
			learned[0] = l.not()
			break
		}
		id := s.because[l.variable()]
		from = append(from, id)
		look(id, l)
	}
	learned, from = s.shrink(learned, from)
	for _, v := range marked {
		s.seen[v] = false
	}
	back := int32(0)
	for _, l := range learned[1:] {
		back = max(back, s.level[l.variable()])
	}
	if !s.tracking {
		from = nil
	}
	return s.keep(clause{literals: learned, rule: noRule, from: from}, int(back))
}

// shrink leaves out literals that follow from the others.
func (s *search) shrink(learned []literal, from []int32) ([]literal, []int32) {
	kept := learned[:1]
next:
	for _, l := range learned[1:] {
		id := s.because[l.variable()]
		if id == noClause {
			kept = append(kept, l)
			continue
		}
		for _, other := range s.clauses[id].literals {
			if v := other.variable(); other != l.not() && !s.seen[v] && s.level[v] > 0 {
				kept = append(kept, l)
				continue next
			}
		}
		from = append(from, id)
		for _, other := range s.clauses[id].literals {
			if s.level[other.variable()] == 0 {
				from = append(from, s.because[other.variable()])
			}
		}
	}
	return kept, from
}

// keep stores a learned clause, goes back to the level where it implies its
// first literal, and assigns that.
func (s *search) keep(c clause, back int) (wish int) {
	id := int32(len(s.clauses))
	for i := 1; i < len(c.literals); i++ { // watch one of the level gone back to
		if int(s.level[c.literals[i].variable()]) == back {
			c.literals[1], c.literals[i] = c.literals[i], c.literals[1]
			break
		}
	}
	wish = s.undo(back)
	s.clauses = append(s.clauses, c)
	if len(c.literals) > 1 {
		s.watch(id)
		s.learned = append(s.learned, id)
	}
	s.assign(c.literals[0], id)
	return wish
}

// forget drops the older half of the long learned clauses when there are very
// many. It runs at a restart; what is implied by a clause keeps it.
func (s *search) forget() {
	const most = 30_000
	if s.tracking || len(s.learned) < most {
		return
	}
	reason := map[int32]bool{}
	for _, l := range s.trail {
		reason[s.because[l.variable()]] = true
	}
	kept := s.learned[:0]
	for i, id := range s.learned {
		if i > most/2 || len(s.clauses[id].literals) <= 3 || reason[id] {
			kept = append(kept, id)
		} else {
			s.clauses[id].literals = nil
		}
	}
	s.learned = kept
}

// culprits returns the assumptions that imply that one of them is false, that
// one included. Decisions are all assumptions when it is called.
func (s *search) culprits(fallen literal) []literal {
	failed := []literal{fallen}
	if s.level[fallen.variable()] == 0 {
		return failed
	}
	s.seen[fallen.variable()] = true
	for at := len(s.trail) - 1; at >= s.decided[0]; at-- {
		l := s.trail[at]
		v := l.variable()
		if !s.seen[v] {
			continue
		}
		s.seen[v] = false
		if s.because[v] == noClause {
			failed = append(failed, l)
			continue
		}
		for _, other := range s.clauses[s.because[v]].literals {
			if s.level[other.variable()] > 0 {
				s.seen[other.variable()] = other.variable() != v
			}
		}
	}
	return failed
}

// core returns the clauses from which it follows that there is no assignment.
// It is called after run reported false without assumptions, while tracking.
func (s *search) core() []clause {
	var core []clause
	seen := map[int32]bool{noClause: true}
	stack := []int32{s.broken}
	for len(stack) > 0 {
		id := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[id] {
			continue
		}
		seen[id] = true
		c := s.clauses[id]
		stack = append(stack, c.from...)
		for _, l := range c.literals {
			if s.level[l.variable()] == 0 {
				stack = append(stack, s.because[l.variable()])
			}
		}
		if c.from == nil {
			core = append(core, c)
		}
	}
	return core
}
