package solver

// counter counts true literals inside the clauses: the sequential counter of
// Sinz (2005). Output k becomes true when more than k of the inputs are true;
// assuming that it is false bounds their number.
type counter struct{ outputs []variable }

// newCounter counts inputs up to most+1 of them.
func (s *search) newCounter(inputs []literal, most int) *counter {
	var before []variable
	for _, input := range inputs {
		now := make([]variable, min(len(before)+1, most+1))
		for k := range now {
			now[k] = s.newVariable()
			if k < len(before) { // once reached, always reached
				s.add(rule{}, before[k].no(), now[k].yes())
			}
			if k == 0 {
				s.add(rule{}, input.not(), now[0].yes())
			} else {
				s.add(rule{}, input.not(), before[k-1].no(), now[k].yes())
			}
		}
		before = now
	}
	return &counter{before}
}

// atMost returns the literal that bounds the count to k, which must be less
// than the number of inputs.
func (c *counter) atMost(k int) literal { return c.outputs[k].no() }
