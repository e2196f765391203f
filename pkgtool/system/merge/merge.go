package merge

import (
	"bytes"
	"slices"
)

// Limits of what is merged. A text beyond them is a conflict.
const (
	maxBytes = 1 << 20
	maxLines = 50_000
)

// The lines between which a conflict stands.
const (
	markOurs   = "<<<<<<< ours"
	markBase   = "||||||| base"
	markMiddle = "======="
	markTheirs = ">>>>>>> theirs"
)

// Three merges ours and theirs, which both come from base, and counts the
// places where they contradict each other. With conflicts, merged holds both
// sides of each between markers; it is nil if the texts cannot be merged line
// by line at all: a NUL byte, more than 1 MiB or 50,000 lines, or thousands of
// differing lines.
//
// A side that is equal to base yields the other one, whatever it holds.
func Three(base, ours, theirs []byte) (merged []byte, conflicts int) {
	switch {
	case bytes.Equal(ours, theirs), bytes.Equal(base, theirs):
		return slices.Clone(ours), 0
	case bytes.Equal(base, ours):
		return slices.Clone(theirs), 0
	}
	var texts [3][][]byte
	for i, text := range [][]byte{base, ours, theirs} {
		if len(text) > maxBytes || bytes.IndexByte(text, 0) >= 0 {
			return nil, 1
		}
		if texts[i] = splitLines(text); len(texts[i]) > maxLines {
			return nil, 1
		}
	}
	numbers := intern(texts)
	toOurs, ok := match(numbers[0], numbers[1])
	if !ok {
		return nil, 1
	}
	toTheirs, ok := match(numbers[0], numbers[2])
	if !ok {
		return nil, 1
	}
	var out bytes.Buffer
	for _, c := range chunks(toOurs, toTheirs, len(texts[1]), len(texts[2])) {
		if !c.write(&out, texts) {
			conflicts++
		}
	}
	return out.Bytes(), conflicts
}

// Marked reports whether text has a line that [Three] writes around a conflict.
func Marked(text []byte) bool {
	for line := range bytes.Lines(text) {
		switch string(bytes.TrimRight(line, "\r\n")) {
		case markOurs, markBase, markTheirs:
			return true
		}
	}
	return false
}

// splitLines splits a text after each newline.
func splitLines(text []byte) [][]byte {
	return slices.Collect(bytes.Lines(text))
}

// intern gives equal lines equal numbers.
func intern(texts [3][][]byte) (numbers [3][]int32) {
	known := map[string]int32{}
	for i, lines := range texts {
		numbers[i] = make([]int32, len(lines))
		for j, line := range lines {
			n, ok := known[string(line)]
			if !ok {
				n = int32(len(known))
				known[string(line)] = n
			}
			numbers[i][j] = n
		}
	}
	return numbers
}

// span is a run of lines, from inclusive to exclusive.
type span struct{ from, to int }

// chunk is a run of lines of base (0), ours (1) and theirs (2). In a stable one
// all three are equal, line by line.
type chunk struct {
	spans  [3]span
	stable bool
}

// chunks divides the texts. toOurs and toTheirs name for each line of base the
// equal one of that side, or -1; ours and theirs are the sides' numbers of lines.
func chunks(toOurs, toTheirs []int, ours, theirs int) []chunk {
	var list []chunk
	done := [3]int{}
	end := [3]int{len(toOurs), ours, theirs}
	for done != end {
		next, stable := done, false
		for next[0] < end[0] && next[0] < len(toOurs) && toOurs[next[0]] == next[1] && toTheirs[next[0]] == next[2] {
			next, stable = [3]int{next[0] + 1, next[1] + 1, next[2] + 1}, true
		}
		if !stable {
			next = nextStable(toOurs, toTheirs, done[0], end)
		}
		c := chunk{stable: stable}
		for i := range c.spans {
			c.spans[i] = span{done[i], next[i]}
		}
		list = append(list, c)
		done = next
	}
	return list
}

// nextStable finds the first line at or after from that all three have.
func nextStable(toOurs, toTheirs []int, from int, end [3]int) [3]int {
	for i := from; i < len(toOurs); i++ {
		if toOurs[i] >= 0 && toTheirs[i] >= 0 {
			return [3]int{i, toOurs[i], toTheirs[i]}
		}
	}
	return end
}

// write adds the merge of a chunk and reports whether there was one.
func (c *chunk) write(out *bytes.Buffer, texts [3][][]byte) (clean bool) {
	var parts [3][]byte
	for i, s := range c.spans {
		parts[i] = bytes.Join(texts[i][s.from:s.to], nil)
	}
	base, ours, theirs := parts[0], parts[1], parts[2]
	switch {
	case c.stable, bytes.Equal(base, theirs), bytes.Equal(ours, theirs):
		out.Write(ours)
		return true
	case bytes.Equal(base, ours):
		out.Write(theirs)
		return true
	}
	for _, side := range []struct {
		mark string
		text []byte
	}{{markOurs, ours}, {markBase, base}, {markMiddle, theirs}} {
		out.WriteString(side.mark + "\n")
		out.Write(side.text)
		// A last line without a newline must not swallow the marker.
		if n := len(side.text); n > 0 && side.text[n-1] != '\n' {
			out.WriteByte('\n')
		}
	}
	out.WriteString(markTheirs + "\n")
	return false
}
