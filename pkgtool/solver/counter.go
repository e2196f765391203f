package solver

// counter counts true literals inside the clauses: the sequential counter of
// Sinz (2005), built as far as it is needed. Layer k says of each input whether
// more than k of the inputs up to it are true.
type counter struct {
	search *search
	inputs []literal
	layers [][]variable
}

func (s *search) newCounter(inputs []literal) *counter { return &counter{search: s, inputs: inputs} }

// atMost returns the literal that bounds the count to k, which must be less than
// the number of inputs.
func (c *counter) atMost(k int) literal {
	for len(c.layers) <= k {
		c.addLayer()
	}
	return c.layers[k][len(c.inputs)-1].no()
}

func (c *counter) addLayer() {
	s, k := c.search, len(c.layers)
	layer := make([]variable, len(c.inputs)) // the first k are never true and have no variable
	for i := k; i < len(c.inputs); i++ {
		layer[i] = s.newVariable()
		if i > k { // once reached, always reached
			s.add(noRule, layer[i-1].no(), layer[i].yes())
		}
		if k == 0 {
			s.add(noRule, c.inputs[i].not(), layer[i].yes())
		} else {
			s.add(noRule, c.inputs[i].not(), c.layers[k-1][i-1].no(), layer[i].yes())
		}
	}
	c.layers = append(c.layers, layer)
}
