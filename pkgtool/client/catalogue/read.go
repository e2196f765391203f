package catalogue

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"sort"
	"sync/atomic"

	"ashlar/repo/index"
)

// Catalogue is an opened one. Its methods can be used concurrently. Their
// errors wrap ErrDamaged, or are those of reading the file.
type Catalogue struct {
	r      io.ReaderAt
	sizes  sizes
	sums   []byte
	blocks []atomic.Pointer[[]byte] // checked
}

// Open reads the head of a catalogue of size bytes and refuses one that was not
// made of the indexes that of stands for. The caller keeps r open.
func Open(r io.ReaderAt, size int64, of [32]byte) (*Catalogue, error) {
	first := make([]byte, headSize)
	if _, err := r.ReadAt(first, 0); err == io.EOF {
		return nil, damaged("cut off")
	} else if err != nil {
		return nil, err
	}
	is, s, err := parseHead(first)
	switch {
	case err != nil:
		return nil, err
	case is != of:
		return nil, damaged("made of another index")
	case s.head()+s.body() != size:
		return nil, damaged("%d bytes instead of %d", size, s.head()+s.body())
	}
	head := make([]byte, s.head())
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint32(head[12:]) != headSum(head) {
		return nil, damaged("checksum of its head")
	}
	return &Catalogue{r: r, sizes: s, sums: head[headSize:], blocks: make([]atomic.Pointer[[]byte], s.blocks())}, nil
}

// Len is the number of packages.
func (c *Catalogue) Len() int { return int(c.sizes.packages) }

// Check reads everything once.
func (c *Catalogue) Check() error {
	const some = 256
	for i := int64(0); i < c.sizes.blocks(); i += some {
		if _, err := c.read(i, min(i+some, c.sizes.blocks())); err != nil {
			return err
		}
	}
	return nil
}

// block returns a block of the body, checked.
func (c *Catalogue) block(i int64) ([]byte, error) {
	if b := c.blocks[i].Load(); b != nil {
		return *b, nil
	}
	return c.read(i, i+1)
}

// read reads and checks the blocks from first up to, not including, end.
func (c *Catalogue) read(first, end int64) ([]byte, error) {
	all := make([]byte, min(end*blockSize, c.sizes.body())-first*blockSize)
	if n, err := c.r.ReadAt(all, c.sizes.head()+first*blockSize); n < len(all) {
		if err == io.EOF {
			err = damaged("cut off")
		}
		return nil, err
	}
	for i := first; i < end; i++ {
		begin := (i - first) * blockSize
		b := all[begin:min(begin+blockSize, int64(len(all)))]
		if crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(c.sums[4*i:]) {
			return nil, damaged("checksum of block %d", i)
		}
		c.blocks[i].Store(&b)
	}
	return all, nil
}

// bytes returns part of the body. It must not be changed.
func (c *Catalogue) bytes(from, end int64) ([]byte, error) {
	if from == end {
		return nil, nil
	}
	first, last := from/blockSize, (end-1)/blockSize
	if first == last {
		b, err := c.block(first)
		if err != nil {
			return nil, err
		}
		return b[from-first*blockSize : end-first*blockSize], nil
	}
	for i := first; i <= last; i++ {
		if c.blocks[i].Load() == nil {
			b, err := c.read(first, last+1)
			if err != nil {
				return nil, err
			}
			return b[from-first*blockSize : end-first*blockSize], nil
		}
	}
	all := make([]byte, 0, end-from)
	for i := first; i <= last; i++ {
		b := *c.blocks[i].Load()
		all = append(all, b[max(from-i*blockSize, 0):min(int64(len(b)), end-i*blockSize)]...)
	}
	return all, nil
}

func (c *Catalogue) uint64(at int64) (uint64, error) {
	b, err := c.bytes(at, at+8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// Entry returns the package of a number from 0 to Len()-1. They are in the
// order of an index: by name, then version.
func (c *Catalogue) Entry(i int) (index.Entry, error) {
	at := c.sizes.offsets() + 8*int64(i)
	from, err := c.uint64(at)
	if err != nil {
		return index.Entry{}, err
	}
	end, err := c.uint64(at + 8)
	if err != nil {
		return index.Entry{}, err
	}
	if from > end || end > uint64(c.sizes.records) {
		return index.Entry{}, damaged("a record outside its section")
	}
	begin := c.sizes.recordBegin()
	data, err := c.bytes(begin+int64(from), begin+int64(end))
	if err != nil {
		return index.Entry{}, err
	}
	return decodeRecord(string(data))
}

// All returns every package.
func (c *Catalogue) All() ([]index.Entry, error) {
	all := make([]index.Entry, c.Len())
	err := c.Check() // reads ahead
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i], err = c.Entry(i); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Related returns the packages that have one of the relations to name.
func (c *Catalogue) Related(name string, relations ...Relation) ([]index.Entry, error) {
	var ordinals []int
	for _, relation := range relations {
		some, err := c.lookUp(key(relation, name))
		if err != nil {
			return nil, err
		}
		ordinals = append(ordinals, some...)
	}
	slices.Sort(ordinals)
	var found []index.Entry
	for _, i := range slices.Compact(ordinals) {
		e, err := c.Entry(i)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(relations, func(r Relation) bool { return slices.Contains(related(r, &e), name) }) {
			found = append(found, e)
		}
	}
	return found, nil
}

// lookUp lists the packages under a key.
func (c *Catalogue) lookUp(key uint64) (ordinals []int, err error) {
	at := sort.Search(int(c.sizes.keys), func(i int) bool {
		k, failed := c.uint64(8 * int64(i))
		if failed != nil {
			err = failed
		}
		return k >= key
	})
	for i := int64(at); i < c.sizes.keys && err == nil; i++ {
		k, err := c.uint64(8 * i)
		if err != nil {
			return nil, err
		}
		if k != key {
			break
		}
		o := c.sizes.ordinals() + 4*i
		b, err := c.bytes(o, o+4)
		if err != nil {
			return nil, err
		}
		n := binary.LittleEndian.Uint32(b)
		if int64(n) >= c.sizes.packages {
			return nil, damaged("package %d of %d", n, c.sizes.packages)
		}
		ordinals = append(ordinals, int(n))
	}
	return ordinals, err
}
