package merge

// maxDifferences bounds the lines that two texts may differ in. Memory grows
// with its square: 8 MiB.
const maxDifferences = 2000

// match pairs lines of a with equal ones of b in the same order, as many as
// possible: for each line of a its place in b, or -1. It gives up (false) when
// more than [maxDifferences] lines of both have no partner.
//
// This is the greedy algorithm of Myers, "An O(ND) Difference Algorithm and Its
// Variations" (1986): a path from the top left to the bottom right of the grid
// a x b, where diagonal steps are equal lines and all others cost one.
func match(a, b []int32) (to []int, ok bool) {
	to = make([]int, len(a))
	for i := range to {
		to[i] = -1
	}
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		to[start] = start
		start++
	}
	endA, endB := len(a), len(b)
	for endA > start && endB > start && a[endA-1] == b[endB-1] {
		endA, endB = endA-1, endB-1
		to[endA] = endB
	}
	reached, ok := search(a[start:endA], b[start:endB])
	if !ok {
		return nil, false
	}
	x, y := endA-start, endB-start
	for d := len(reached) - 1; d >= 0; d-- {
		k := x - y
		from := 0 // where the diagonal steps of this path began
		if d > 0 {
			from, k = step(reached[d-1], d, k)
		}
		for ; x > from; x, y = x-1, y-1 {
			to[start+x-1] = start + y - 1
		}
		if d > 0 {
			x = reached[d-1].at(k)
			y = x - k
		}
	}
	return to, true
}

// frontier holds how far in a the paths with d differences come, for the
// diagonals -d, -d+2, ..., d.
type frontier []int32

func (f frontier) at(diagonal int) int { return int(f[(diagonal+len(f)-1)/2]) }

// step says where on diagonal k the best path with d differences begins, and on
// which diagonal it was before; last is the frontier of d-1.
func step(last frontier, d, k int) (x, from int) {
	if k == -d || k != d && last.at(k-1) < last.at(k+1) {
		return last.at(k + 1), k + 1 // a line of b
	}
	return last.at(k-1) + 1, k - 1 // a line of a
}

// search returns the frontiers of 0, 1, ... differences up to the one that
// reaches the end of both.
func search(a, b []int32) (reached []frontier, ok bool) {
	for d := 0; d <= maxDifferences; d++ {
		now := make(frontier, 0, d+1)
		for k := -d; k <= d; k += 2 {
			x := 0
			if d > 0 {
				x, _ = step(reached[d-1], d, k)
			}
			y := x - k
			for x < len(a) && y >= 0 && y < len(b) && a[x] == b[y] {
				x, y = x+1, y+1
			}
			now = append(now, int32(x))
			if x >= len(a) && y >= len(b) {
				return append(reached, now), true
			}
		}
		reached = append(reached, now)
	}
	return nil, false
}
