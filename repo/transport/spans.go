package transport

import (
	"cmp"
	"slices"
)

// Requests cost time: ranges with a smaller gap between them are asked for as
// one, a file is asked for in at most so many, and if they are most of it, in
// one.
const (
	smallGap   = 32 << 10
	maxSpans   = 16
	mostOfFile = 0.6
)

// Piece is a part of a file that is of use for itself.
type Piece struct {
	Offset, Size int64 // bytes
}

// Run is pieces that are asked for at once: First up to, not including, End.
type Run struct{ First, End int }

// Bytes is the length of a run, with the gaps in it.
func (r Run) Bytes(pieces []Piece) int64 {
	last := pieces[r.End-1]
	return last.Offset + last.Size - pieces[r.First].Offset
}

// SumOf is the length of all runs.
func SumOf(pieces []Piece, runs []Run) (sum int64) {
	for _, r := range runs {
		sum += r.Bytes(pieces)
	}
	return sum
}

// Runs says by which ranges the missing ones of the pieces of a file are best
// fetched. missing is in ascending order, without duplicates.
func Runs(pieces []Piece, missing []int) []Run {
	var runs []Run
	gap := func(i int) int64 { // before runs[i]
		return pieces[runs[i].First].Offset - pieces[runs[i-1].End-1].Offset - pieces[runs[i-1].End-1].Size
	}
	for _, i := range missing {
		runs = append(runs, Run{i, i + 1})
		if last := len(runs) - 1; last > 0 && gap(last) < smallGap {
			runs[last-1].End = i + 1
			runs = runs[:last]
		}
	}
	if len(runs) > maxSpans {
		// Fill the smallest gaps.
		order := make([]int, 0, len(runs)-1)
		for i := 1; i < len(runs); i++ {
			order = append(order, i)
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(gap(a), gap(b)) })
		fill := make([]bool, len(runs))
		for _, i := range order[:len(runs)-maxSpans] {
			fill[i] = true
		}
		var fewer []Run
		for i, r := range runs {
			if fill[i] {
				fewer[len(fewer)-1].End = r.End
			} else {
				fewer = append(fewer, r)
			}
		}
		runs = fewer
	}
	if len(runs) > 1 && float64(SumOf(pieces, runs)) > mostOfFile*float64(Run{0, len(pieces)}.Bytes(pieces)) {
		runs = []Run{{runs[0].First, runs[len(runs)-1].End}}
	}
	return runs
}
