package solver

// scratch is what a problem notes of every package and name of the universe.
// It is as large as the universe, and used again, because most problems concern
// few packages.
type scratch struct {
	variables []variable // by package: its variable + 1, or 0
	opened    []bool     // by package: its requirements are clauses
	named     []bool     // by name: its packages have variables
}

func (u *Universe) scratch() *scratch {
	if s, ok := u.scratches.Get().(*scratch); ok {
		return s
	}
	return &scratch{make([]variable, len(u.packages)), make([]bool, len(u.packages)), make([]bool, len(u.names))}
}

// release gives the scratch back. The problem must not be used any more.
func (pr *problem) release() {
	for _, i := range pr.active {
		pr.variables[i], pr.opened[i], pr.named[pr.universe.name[i]] = 0, false, false
	}
	pr.universe.scratches.Put(pr.scratch)
	pr.scratch = nil
}
