package solver

// variable stands for something that is true or false: mostly "this package is
// installed afterwards".
type variable int32

// literal is a variable or its negation.
type literal int32

func (v variable) yes() literal { return literal(v) << 1 }
func (v variable) no() literal  { return literal(v)<<1 | 1 }

func (l literal) not() literal       { return l ^ 1 }
func (l literal) variable() variable { return variable(l >> 1) }

// truth is what is known about a literal or variable.
type truth int8

const (
	unknown truth = 0
	isTrue  truth = 1
	isFalse truth = -1
)

// value returns what the search knows about l at the moment.
func (s *search) value(l literal) truth {
	if l&1 == 1 {
		return -s.assigned[l.variable()]
	}
	return s.assigned[l.variable()]
}
