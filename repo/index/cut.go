package index

import (
	"crypto/sha256"
	"encoding/binary"
)

// writer is the number of the rules by which this package cuts and compresses.
// It must be raised with every change that makes other bytes of the same
// entries, one of the zstd library too: Edit copies frames only from indexes of
// its own writer, so that an index depends on nothing but its entries.
// TestWriter notices.
const writer = 1

// frameTarget is twice the bytes that frames have on average, before
// compression. Smaller ones make updates cheaper and the whole larger: with
// 32,000 packages of Debian, whose hashes differ as they do in real life,
// frames of 64 KiB cost 11 % more than one frame, and a changed package 21 KB.
// (A variable so that tests need no large indexes.)
var frameTarget int64 = 128 << 10

// item is what is between two places where a frame may be cut: all lines of one
// name, or a frame of an older index of which nothing changed.
type item struct {
	name  string // of its first line
	plain int64  // bytes
	text  []byte // its lines; nil for a frame
	frame int    // of the older index
}

// cut tells which items begin a frame.
//
// Each name has a number, the hash of it. The range of a name goes from the
// nearest name before it that has a smaller number, which is included, to the
// nearest one after it, which is not; and a name begins a frame if its range
// has more bytes than frameTarget. (These are the inner nodes of a Cartesian
// tree over the numbers whose subtrees are large enough.) So it depends on
// nothing but the entries, and on none that is far: one package more is one
// frame changed, and rarely two. Frames have up to frameTarget bytes, but for
// single names with more, and every length is equally likely; cutting wherever
// a hash has some value would make frames of very different lengths, of which
// most changes hit long ones.
//
// A frame of an older index can stand as one item: all names in it have larger
// numbers than the one that begins it and the one that begins the next, as long
// as these two are still there.
func cut(items []item) []bool {
	n := len(items)
	numbers, sums := make([]uint64, n), make([]int64, n+1)
	before, after := make([]int, n), make([]int, n) // ends of the ranges
	var open []int                                  // items whose range has not ended, their numbers ascending
	for i, it := range items {
		numbers[i], sums[i+1] = number(it.name), sums[i]+it.plain
		for len(open) > 0 && numbers[open[len(open)-1]] > numbers[i] {
			after[open[len(open)-1]] = i
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			before[i] = open[len(open)-1]
		}
		after[i] = n
		open = append(open, i)
	}
	begins := make([]bool, n)
	for i := range items {
		begins[i] = i == 0 || sums[after[i]]-sums[before[i]] > frameTarget
	}
	return begins
}

func number(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:])
}
