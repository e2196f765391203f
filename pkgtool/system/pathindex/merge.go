package pathindex

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
)

// Gone stands in Merge's renumber for a package that left.
const Gone = -1

// Added is a package that came: its number in the new list and its paths.
type Added struct {
	Number int
	Paths  []string
}

// Merge makes the index of a new list of packages, to be written to a file as it
// is. renumber gives for each package of the old list its number in the new one,
// or Gone; a package that changed is gone and added. old may be nil, for a list
// that is new completely. of is what the index is of (see Open).
func Merge(old *Index, renumber []int, added []Added, packages int, of [32]byte) ([]byte, error) {
	if old == nil {
		old = &Index{}
	}
	if len(renumber) != old.packages {
		return nil, fmt.Errorf("path index of %d packages, of which %d have a new number", old.packages, len(renumber))
	}
	numbers, monotone, err := checkNumbers(renumber, packages)
	if err != nil {
		return nil, err
	}
	fresh, err := sortedEntries(added, packages)
	if err != nil {
		return nil, err
	}
	b := builder{out: make([]byte, headSize, headSize+len(old.entries)+len(fresh)*entrySize+sha256.Size)}
	for e := range kept(old, numbers, monotone) {
		for len(fresh) > 0 && fresh[0].compare(e) <= 0 {
			b.put(fresh[0])
			fresh = fresh[1:]
		}
		b.put(e)
	}
	for _, e := range fresh {
		b.put(e)
	}
	return b.finish(packages, of)
}

// gone stands for Gone among 32-bit numbers.
const gone = ^uint32(0)

func checkNumbers(renumber []int, packages int) (numbers []uint32, monotone bool, err error) {
	numbers, monotone = make([]uint32, len(renumber)), true
	last := -1
	for i, n := range renumber {
		switch {
		case n == Gone:
			numbers[i] = gone
			continue
		case n < 0 || n >= packages || int64(n) >= int64(gone):
			return nil, false, fmt.Errorf("path index: number %d of %d packages", n, packages)
		}
		numbers[i] = uint32(n)
		monotone = monotone && n > last
		last = n
	}
	return numbers, monotone, nil
}

func sortedEntries(added []Added, packages int) ([]entry, error) {
	count := 0
	for _, a := range added {
		if a.Number < 0 || a.Number >= packages || int64(a.Number) >= int64(gone) {
			return nil, fmt.Errorf("path index: number %d of %d packages", a.Number, packages)
		}
		count += len(a.Paths)
	}
	entries := make([]entry, 0, count)
	for _, a := range added {
		for _, path := range a.Paths {
			entries = append(entries, entry{hashOf(path), uint32(a.Number)})
		}
	}
	slices.SortFunc(entries, entry.compare)
	return entries, nil
}

// kept are the entries of packages that stay, with their new numbers, in order.
func kept(old *Index, numbers []uint32, monotone bool) iter.Seq[entry] {
	renumbered := func(yield func(entry) bool) {
		for i := range old.Len() {
			e := old.at(i)
			if e.number = numbers[e.number]; e.number != gone && !yield(e) {
				return
			}
		}
	}
	if monotone { // always, as long as lists of packages are sorted
		return renumbered
	}
	return slices.Values(slices.SortedFunc(renumbered, entry.compare))
}

// builder writes entries that come in order, each once.
type builder struct {
	out  []byte
	last entry
}

func (b *builder) put(e entry) {
	if e == b.last && len(b.out) > headSize {
		return
	}
	b.out = binary.LittleEndian.AppendUint64(b.out, e.hash)
	b.out = binary.LittleEndian.AppendUint32(b.out, e.number)
	b.last = e
}

func (b *builder) finish(packages int, of [32]byte) ([]byte, error) {
	count := (len(b.out) - headSize) / entrySize
	if count > maxEntries {
		return nil, fmt.Errorf("path index of %d entries, more than the %d allowed", count, maxEntries)
	}
	copy(b.out, magic)
	copy(b.out[len(magic):], of[:])
	binary.LittleEndian.PutUint32(b.out[headSize-8:], uint32(packages))
	binary.LittleEndian.PutUint32(b.out[headSize-4:], uint32(count))
	sum := sha256.Sum256(b.out)
	return append(b.out, sum[:]...), nil
}
