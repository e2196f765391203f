package solver

// lively decides by what conflicts are about, once the order of the wishes has
// met very many of them: variables of recent conflicts first (VSIDS, Moskewicz
// and others, 2001), as they were last, with restarts in Luby's sequence.
type lively struct {
	on        bool
	activity  []float64 // by variable
	step      float64
	last      []literal // by variable: how it was assigned last; as false at first
	heap      []variable
	place     []int32 // by variable: where in the heap, or -1
	nextStart int     // the number of conflicts at which to begin anew
	starts    int
}

// patience is the number of conflicts after which the order of the wishes is
// given up.
const patience = 3000

func (a *lively) add() {
	v := variable(len(a.activity))
	a.activity = append(a.activity, 0)
	a.last = append(a.last, v.no())
	a.place = append(a.place, -1)
	if a.on {
		a.push(v)
	}
}

func (a *lively) bump(v variable) {
	if a.step == 0 {
		a.step = 1
	}
	a.activity[v] += a.step
	if a.activity[v] > 1e100 {
		for i := range a.activity {
			a.activity[i] *= 1e-100
		}
		a.step *= 1e-100
	}
	if a.on && a.place[v] >= 0 {
		a.up(int(a.place[v]))
	}
}

// restart is told of every conflict and reports whether to begin anew.
func (a *lively) restart(conflicts int) bool {
	a.step *= 1 / 0.95
	switch {
	case !a.on && conflicts > patience:
		a.on = true
		for v := range a.activity {
			if a.place[v] < 0 {
				a.push(variable(v))
			}
		}
	case !a.on || conflicts < a.nextStart:
		return false
	}
	a.starts++
	a.nextStart = conflicts + 100*luby(a.starts)
	return true
}

// luby returns element i, from 1, of 1 1 2 1 1 2 4 1 1 2 1 1 2 4 8 ...
func luby(i int) int {
	for {
		power := 1
		for power-1 < i {
			power *= 2
		}
		if power-1 == i {
			return power / 2
		}
		i -= power/2 - 1
	}
}

// release notes that a literal is no longer assigned.
func (a *lively) release(l literal) {
	v := l.variable()
	a.last[v] = l
	if a.on && a.place[v] < 0 {
		a.push(v)
	}
}

// next returns the open variable that conflicts are most about.
func (a *lively) next(assigned []truth) (literal, bool) {
	for len(a.heap) > 0 {
		v := a.pop()
		if assigned[v] == unknown {
			return a.last[v], true
		}
	}
	return 0, false
}

func (a *lively) before(v, w variable) bool {
	return a.activity[v] > a.activity[w] || a.activity[v] == a.activity[w] && v < w
}

func (a *lively) push(v variable) {
	a.heap = append(a.heap, v)
	a.place[v] = int32(len(a.heap) - 1)
	a.up(len(a.heap) - 1)
}

func (a *lively) pop() variable {
	top := a.heap[0]
	end := len(a.heap) - 1
	a.swap(0, end)
	a.heap = a.heap[:end]
	a.place[top] = -1
	a.down(0)
	return top
}

func (a *lively) swap(i, j int) {
	a.heap[i], a.heap[j] = a.heap[j], a.heap[i]
	a.place[a.heap[i]], a.place[a.heap[j]] = int32(i), int32(j)
}

func (a *lively) up(i int) {
	for i > 0 && a.before(a.heap[i], a.heap[(i-1)/2]) {
		a.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (a *lively) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(a.heap) {
			return
		}
		if child+1 < len(a.heap) && a.before(a.heap[child+1], a.heap[child]) {
			child++
		}
		if !a.before(a.heap[child], a.heap[i]) {
			return
		}
		a.swap(i, child)
		i = child
	}
}
