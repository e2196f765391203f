package ext4

import "errors"

// bitmap has one bit for each block, set where it is taken.
type bitmap []uint64

func (b bitmap) has(i uint64) bool { return b[i/64]>>(i%64)&1 != 0 }

func (b bitmap) set(from, count uint64) {
	for i := from; i < from+count; i++ {
		b[i/64] |= 1 << (i % 64)
	}
}

// extent is a run of blocks.
type extent struct {
	start uint64
	count uint32
}

var errFull = errors.New("the content does not fit; make the file system larger")

// run takes count blocks in a row and returns the first. Callers are the
// tables at the start of a flexible group, where that room always is.
func (fs *FileSystem) run(count uint64) uint64 {
	for start := fs.next; ; start++ {
		free := uint64(0)
		for free < count && !fs.used.has(start+free) {
			free++
		}
		if free == count {
			fs.used.set(start, count)
			fs.next = start + count
			return start
		}
		start += free
	}
}

// take takes count blocks, in as few runs as what is in between allows.
func (fs *FileSystem) take(count uint64) ([]extent, error) {
	var list []extent
	for count > 0 {
		for fs.next < fs.blocks && fs.used.has(fs.next) {
			fs.next++
		}
		start := fs.next
		for fs.next < fs.blocks && fs.next-start < min(count, maxExtent) && !fs.used.has(fs.next) {
			fs.next++
		}
		got := fs.next - start
		if got == 0 {
			return nil, errFull
		}
		fs.used.set(start, got)
		list = append(list, extent{start, uint32(got)})
		count -= got
	}
	return list, nil
}
