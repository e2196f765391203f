package solver

// propagate draws every conclusion from what is assigned: a clause whose
// literals are all false but one makes that one true. It returns a clause that
// has become false, or noClause.
func (s *search) propagate() (conflict int32) {
	for s.pending < len(s.trail) {
		l := s.trail[s.pending]
		s.pending++
		waiting := s.watching[l]
		kept := waiting[:0]
		for i, id := range waiting {
			moved, ok := s.visit(id, l.not())
			if !moved {
				kept = append(kept, id)
			}
			if !ok {
				s.watching[l] = append(kept, waiting[i+1:]...)
				return id
			}
		}
		s.watching[l] = kept
	}
	return noClause
}

// visit looks at a clause one of whose watched literals has become false. It
// moves the watch to another literal if it can, else it assigns the other
// watched one; ok is false if that one is false too.
func (s *search) visit(id int32, fallen literal) (moved, ok bool) {
	ls := s.clauses[id].literals
	if ls[0] == fallen {
		ls[0], ls[1] = ls[1], ls[0]
	}
	if s.value(ls[0]) == isTrue {
		return false, true
	}
	for i := 2; i < len(ls); i++ {
		if s.value(ls[i]) != isFalse {
			ls[1], ls[i] = ls[i], ls[1]
			s.watch(ls[1], id)
			return true, true
		}
	}
	if s.value(ls[0]) == isFalse {
		return false, false
	}
	s.assign(ls[0], id)
	return false, true
}
