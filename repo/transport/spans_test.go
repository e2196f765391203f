package transport

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// piecesOf makes pieces of sizes, in KiB, one behind the other.
func piecesOf(sizes ...int64) (pieces []Piece) {
	var at int64
	for _, s := range sizes {
		pieces = append(pieces, Piece{Offset: at, Size: s << 10})
		at += s << 10
	}
	return pieces
}

func TestRuns(t *testing.T) {
	equal := make([]int64, 100)
	for i := range equal {
		equal[i] = 100
	}
	every5th := []int{}
	for i := 0; i < 100; i += 5 {
		every5th = append(every5th, i)
	}
	for _, test := range []struct {
		name    string
		sizes   []int64
		missing []int
		want    string
	}{
		{"nothing", []int64{1000}, nil, "[]"},
		{"one", []int64{1000, 1000, 1000, 1000}, []int{2}, "[{2 3}]"},
		{"neighbours", []int64{1000, 1000, 1000, 1000}, []int{1, 2}, "[{1 3}]"},
		{"a small gap", []int64{10, 31, 10, 1000}, []int{0, 2}, "[{0 3}]"},
		{"a gap", []int64{10, 32, 10, 1000}, []int{0, 2}, "[{0 1} {2 3}]"},
		{"most of it", []int64{1000, 100, 1000, 1000}, []int{0, 2}, "[{0 3}]"},
		{"too many", equal, every5th, "[{0 21} {25 26} {30 31} {35 36} {40 41} {45 46} {50 51} {55 56} {60 61} {65 66} {70 71} {75 76} {80 81} {85 86} {90 91} {95 96}]"},
	} {
		if got := fmt.Sprint(Runs(piecesOf(test.sizes...), test.missing)); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestRunsCover: whatever is missing is asked for, once, in order, in few
// requests, and never more than from the first missing frame to the last.
func TestRunsCover(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		sizes := make([]int64, 1+rng.IntN(120))
		for i := range sizes {
			sizes[i] = 1 + rng.Int64N(400)
		}
		pieces := piecesOf(sizes...)
		var missing []int
		for i := range pieces {
			if rng.IntN(8) == 0 {
				missing = append(missing, i)
			}
		}
		runs := Runs(pieces, missing)
		if len(runs) > maxSpans {
			t.Fatalf("%d requests", len(runs))
		}
		end := 0
		for n, s := range runs {
			if s.First >= s.End || n > 0 && s.First <= end {
				t.Fatalf("%v", runs)
			}
			end = s.End
		}
		for _, i := range missing {
			if !slices.ContainsFunc(runs, func(s Run) bool { return s.First <= i && i < s.End }) {
				t.Fatalf("piece %d is not in %v", i, runs)
			}
		}
		if len(missing) == 0 != (len(runs) == 0) || len(missing) > 0 && (runs[0].First != missing[0] || end != missing[len(missing)-1]+1) {
			t.Fatalf("%v for %v", runs, missing)
		}
	}
}
