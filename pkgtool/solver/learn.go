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
	seen := map[variable]bool{}
	open := 0 // literals of the current level not yet resolved
	back := int32(0)

	look := func(id int32, implied literal) {
		for _, l := range s.clauses[id].literals {
			v := l.variable()
			if l == implied || seen[v] {
				continue
			}
			seen[v] = true
			switch {
			case s.level[v] == 0:
				from = append(from, s.because[v])
			case s.level[v] == current:
				open++
			default:
				learned = append(learned, l)
				back = max(back, s.level[v])
			}
		}
	}
	look(conflict, -1)
	at := len(s.trail)
	for {
		at--
		for !seen[s.trail[at].variable()] || s.level[s.trail[at].variable()] != current {
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
	return s.keep(clause{literals: learned, from: from}, int(back))
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
		s.watch(c.literals[0], id)
		s.watch(c.literals[1], id)
	}
	s.assign(c.literals[0], id)
	return wish
}

// core returns the clauses from which it follows that there is no assignment.
// It is called after run reported false without assumptions.
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
