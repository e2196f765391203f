// Package measure times whole programs against each other.
//
// In: cases, each a program call with what has to be there before it. Out: their
// times, as a table and as JSON. It promises that all cases of a group run in
// the same process, interleaved (one round of all, then the next), so that what
// else the machine does hits all alike; that a result is the median of the
// rounds; and that a run whose outcome is not what the case says fails the
// benchmark rather than counting as fast.
package measure
