package client

import (
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/transport"
)

// smallData is the most data that comes with the manifest unasked: a request
// more would cost more time.
const smallData = 64 << 10

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
func spansOf(frames []pkgfile.Frame, missing []int) (spans []span) {
	pieces := make([]transport.Piece, len(frames))
	for i, f := range frames {
		pieces[i] = transport.Piece{Offset: f.Offset, Size: f.Size}
	}
	for _, run := range transport.Runs(pieces, missing) {
		spans = append(spans, span{run.First, run.End})
	}
	return spans
}
