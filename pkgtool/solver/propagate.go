package solver

// propagate draws every conclusion from what is assigned: a clause whose
// literals are all false but one makes that one true. It returns a clause that
// has become false, or noClause.
func (s *search) propagate() (conflict int32) {
	for s.pending < len(s.trail) {
		l := s.trail[s.pending]
		s.pending++
		fallen := l.not()
		waiting := s.watching[l]
		kept := waiting[:0]
	visit:
		for i, w := range waiting {
			if s.value(w.blocker) == isTrue {
				kept = append(kept, w)
				continue
			}
			ls := s.clauses[w.clause].literals
			if len(ls) == 0 { // forgotten
				continue
			}
			if ls[0] == fallen {
				ls[0], ls[1] = ls[1], ls[0]
			}
			first := ls[0]
			if s.value(first) == isTrue {
				kept = append(kept, watch{w.clause, first})
				continue
			}
			for i := 2; i < len(ls); i++ {
				if s.value(ls[i]) != isFalse {
					ls[1], ls[i] = ls[i], ls[1]
					s.watching[ls[1].not()] = append(s.watching[ls[1].not()], watch{w.clause, first})
					continue visit
				}
			}
			kept = append(kept, watch{w.clause, first})
			if s.value(first) == isFalse {
				s.watching[l] = append(kept, waiting[i+1:]...)
				return w.clause
			}
			s.assign(first, w.clause)
		}
		s.watching[l] = kept
	}
	return noClause
}
