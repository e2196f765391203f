package solver

// lists maps small numbers to lists of small numbers, all in one piece of
// memory: a universe has hundreds of thousands of such lists, most of them of
// one element.
type lists struct {
	start, end []int32 // by key
	values     []int32
}

// newLists puts values[i] into the list of keys[i]; keys are below n.
func newLists(n int, keys, values []int32) lists {
	l := lists{start: make([]int32, n), end: make([]int32, n), values: make([]int32, len(values))}
	for _, key := range keys {
		l.end[key]++
	}
	sum := int32(0)
	for key := range n {
		l.start[key] = sum
		sum += l.end[key]
		l.end[key] = l.start[key]
	}
	for i, key := range keys {
		l.values[l.end[key]] = values[i]
		l.end[key]++
	}
	return l
}

// of returns the list of a key; none for a negative one.
func (l *lists) of(key int32) []int32 {
	if key < 0 {
		return nil
	}
	return l.values[l.start[key]:l.end[key]]
}

// shorten keeps the first n elements of a key's list.
func (l *lists) shorten(key int32, n int) { l.end[key] = l.start[key] + int32(n) }
