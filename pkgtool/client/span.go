package client

import (
	"cmp"
	"slices"

	"ashlar/pkgtool/pkgfile"
)

// Requests cost time: ranges with a smaller gap between them are asked for as
// one, a package is asked for in at most so many, and if they are most of it,
// in one. What is no longer than smallData comes with the manifest.
const (
	smallGap      = 32 << 10
	smallData     = 64 << 10
	maxSpans      = 16
	mostOfPackage = 0.6
)

// span is frames that are asked for at once: first up to, not including, end.
type span struct{ first, end int }

func (s span) bytes(frames []pkgfile.Frame) int64 {
	last := frames[s.end-1]
	return last.Offset + last.Size - frames[s.first].Offset
}

func sumOfSpans(frames []pkgfile.Frame, spans []span) (sum int64) {
	for _, s := range spans {
		sum += s.bytes(frames)
	}
	return sum
}

// spansOf says by which ranges the missing frames are best fetched. missing is
// in ascending order, without duplicates.
func spansOf(frames []pkgfile.Frame, missing []int) []span {
	var spans []span
	gap := func(i int) int64 { // before spans[i]
		return frames[spans[i].first].Offset - frames[spans[i-1].end-1].Offset - frames[spans[i-1].end-1].Size
	}
	for _, i := range missing {
		spans = append(spans, span{i, i + 1})
		if last := len(spans) - 1; last > 0 && gap(last) < smallGap {
			spans[last-1].end = i + 1
			spans = spans[:last]
		}
	}
	if len(spans) > maxSpans {
		// Fill the smallest gaps.
		order := make([]int, 0, len(spans)-1)
		for i := 1; i < len(spans); i++ {
			order = append(order, i)
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(gap(a), gap(b)) })
		fill := make([]bool, len(spans))
		for _, i := range order[:len(spans)-maxSpans] {
			fill[i] = true
		}
		var fewer []span
		for i, s := range spans {
			if fill[i] {
				fewer[len(fewer)-1].end = s.end
			} else {
				fewer = append(fewer, s)
			}
		}
		spans = fewer
	}
	if len(spans) > 1 && float64(sumOfSpans(frames, spans)) > mostOfPackage*float64(span{0, len(frames)}.bytes(frames)) {
		spans = []span{{spans[0].first, spans[len(spans)-1].end}}
	}
	return spans
}
