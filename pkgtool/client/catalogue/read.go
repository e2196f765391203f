package catalogue

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/bits"
	"slices"
	"sort"
	"sync/atomic"

	"ashlar/repo/index"
)

// Catalogue is an opened one. Its methods can be used concurrently. Their
// errors wrap ErrDamaged.
type Catalogue struct {
	body    []byte
	sizes   sizes
	sums    []byte
	checked []atomic.Bool // of the body's blocks
}

// Open reads the head of a catalogue and refuses one that was not made of the
// indexes that of stands for. data, which may be a mapped file, must stay as it
// is while the catalogue is in use; what its methods return is copied.
func Open(data []byte, of [32]byte) (*Catalogue, error) {
	if len(data) < headSize {
		return nil, damaged("cut off")
	}
	is, s, err := parseHead(data)
	switch {
	case err != nil:
		return nil, err
	case is != of:
		return nil, damaged("made of another index")
	case s.head()+s.body() != int64(len(data)):
		return nil, damaged("%d bytes instead of %d", len(data), s.head()+s.body())
	}
	head := data[:s.head()]
	if binary.LittleEndian.Uint32(head[12:]) != headSum(head) {
		return nil, damaged("checksum of its head")
	}
	return &Catalogue{body: data[s.head():], sizes: s, sums: head[headSize:], checked: make([]atomic.Bool, s.blocks())}, nil
}

// Len is the number of packages.
func (c *Catalogue) Len() int { return int(c.sizes.packages) }

// Check reads everything once.
func (c *Catalogue) Check() error {
	_, err := c.bytes(0, c.sizes.body())
	return err
}

// bytes returns part of the body, of which every block was checked once.
func (c *Catalogue) bytes(from, end int64) ([]byte, error) {
	for i := from / blockSize; i*blockSize < end; i++ {
		if c.checked[i].Load() {
			continue
		}
		b := c.body[i*blockSize : min((i+1)*blockSize, c.sizes.body())]
		if crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(c.sums[4*i:]) {
			return nil, damaged("checksum of block %d", i)
		}
		c.checked[i].Store(true)
	}
	return c.body[from:end], nil
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
	var err error
	for i := range all {
		if all[i], err = c.Entry(i); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Related returns the packages that have one of the relations to name.
func (c *Catalogue) Related(name string, relations ...Relation) ([]index.Entry, error) {
	ordinals, err := c.Candidates(name, relations...)
	if err != nil {
		return nil, err
	}
	var found []index.Entry
	for _, i := range ordinals {
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

// Candidates returns the numbers of the packages that have one of the relations
// to name, without reading the packages: rarely, one is among them that has it
// to another name with the same key.
func (c *Catalogue) Candidates(name string, relations ...Relation) ([]int, error) {
	var ordinals []int
	for _, relation := range relations {
		some, err := c.lookUp(key(relation, name))
		if err != nil {
			return nil, err
		}
		ordinals = append(ordinals, some...)
	}
	slices.Sort(ordinals)
	return slices.Compact(ordinals), nil
}

// lookUp lists the packages under a key.
func (c *Catalogue) lookUp(key uint64) (ordinals []int, err error) {
	at, err := c.firstKey(key)
	for ; err == nil && at < c.sizes.keys; at++ {
		if k, err := c.uint64(8 * at); err != nil || k != key {
			return ordinals, err
		}
		o := c.sizes.ordinals() + 4*at
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

// firstKey returns where the first key is that is not less. Keys are spread
// evenly, so it looks where the key should be and from there as far as needed:
// fewer blocks are read than by halving.
func (c *Catalogue) firstKey(key uint64) (int64, error) {
	var failure error
	less := func(i int64) bool {
		k, err := c.uint64(8 * i)
		failure = errors.Join(failure, err)
		return err == nil && k < key
	}
	n := c.sizes.keys
	guess, _ := bits.Mul64(key, uint64(n))
	first, end := int64(guess), int64(guess)
	for step := int64(64); first > 0 && !less(first); step *= 4 {
		first = max(0, first-step)
	}
	for step := int64(64); end < n && less(end); step *= 4 {
		end = min(n, end+step)
	}
	at := first + int64(sort.Search(int(end-first), func(i int) bool { return !less(first + int64(i)) }))
	return at, failure
}
