package release

import "time"

// Phase is a step of a release and how long it took.
type Phase struct {
	Step    string  `json:"step"`
	Seconds float64 `json:"seconds"`
}

// phases notes how long steps take: each ends when the next begins.
type phases struct {
	list  []Phase
	since time.Time
}

// begin notes the end of a step and the beginning of the next one; "" begins none.
func (p *phases) begin(step string) {
	now := time.Now()
	if n := len(p.list); n > 0 {
		p.list[n-1].Seconds += now.Sub(p.since).Seconds()
	}
	p.since = now
	if step != "" {
		p.list = append(p.list, Phase{Step: step})
	}
}
