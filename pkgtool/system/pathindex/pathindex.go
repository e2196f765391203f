// Package pathindex answers which packages of a generation own a path, without
// reading their manifests: a sorted file of hashes of paths, each with the
// number of a package in the generation's list.
//
// The old generation's index and the paths of the packages that came go in
// ([Merge]), a new index comes out, in one linear pass. [Index.Lookup] gives
// candidates: hashes can collide, by chance or by malice, so a package's
// manifest has the last word. No owner is ever missing from the candidates.
//
// The index is derived: [Open] refuses what is damaged or of another
// generation, and the caller builds it again from all manifests.
package pathindex

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// ErrUnusable is wrapped by errors of Open: the index must be built again.
var ErrUnusable = errors.New("unusable path index")

// The format: magic, 32 bytes that say what it is the index of, the number of
// packages and of entries (32 bits each), the entries in strictly ascending
// order, and the SHA-256 of all that. An entry is the hash of a path (64 bits)
// and the number of a package (32 bits). Numbers are little-endian.
const (
	magic      = "ASHPATH2"
	headSize   = len(magic) + sha256.Size + 4 + 4
	entrySize  = 8 + 4
	maxEntries = 1 << 30
)

// Index is an index in memory. It can be used concurrently.
type Index struct {
	packages int
	entries  []byte
}

// Open checks an index completely. of is what it must be the index of: 32 bytes
// that Merge was given. The data must not be changed while the index is in use.
func Open(data []byte, of [32]byte) (*Index, error) {
	if len(data) < headSize+sha256.Size || string(data[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: not a path index", ErrUnusable)
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if sha256.Sum256(body) != [32]byte(sum) {
		return nil, fmt.Errorf("%w: damaged", ErrUnusable)
	}
	if !bytes.Equal(body[len(magic):len(magic)+sha256.Size], of[:]) {
		return nil, fmt.Errorf("%w: of another generation", ErrUnusable)
	}
	packages := binary.LittleEndian.Uint32(body[headSize-8:])
	count := binary.LittleEndian.Uint32(body[headSize-4:])
	x := &Index{int(packages), body[headSize:]}
	if count > maxEntries || len(x.entries) != int(count)*entrySize {
		return nil, fmt.Errorf("%w: %d bytes for %d entries", ErrUnusable, len(x.entries), count)
	}
	last := entry{}
	for i := range x.Len() {
		e := x.at(i)
		if i > 0 && last.compare(e) >= 0 || e.number >= packages {
			return nil, fmt.Errorf("%w: entry %d is out of order", ErrUnusable, i)
		}
		last = e
	}
	return x, nil
}

// Packages is the number of packages in the generation's list.
func (x *Index) Packages() int { return x.packages }

// Len is the number of entries: of pairs of path and package.
func (x *Index) Len() int { return len(x.entries) / entrySize }

// Lookup returns the numbers of the packages that may own the path, ascending:
// all that do, and with bad luck others. The path may come in parts, which are
// taken as one text.
func (x *Index) Lookup(parts ...string) []int {
	hash := hashOf(parts...)
	var numbers []int
	for i := x.first(hash); i < x.Len() && x.hash(i) == hash; i++ {
		numbers = append(numbers, int(x.at(i).number))
	}
	return numbers
}

// Contains says whether Lookup finds anybody.
func (x *Index) Contains(parts ...string) bool {
	hash := hashOf(parts...)
	i := x.first(hash)
	return i < x.Len() && x.hash(i) == hash
}

// first is the first entry with this hash or a higher one. Hashes are evenly
// spread, so it is near where the hash's size says; who spoils that with paths
// of his making gets a binary search.
func (x *Index) first(hash uint64) int {
	guess, _ := bits.Mul64(hash, uint64(x.Len()))
	low, high := int(guess), int(guess) // below low all are lower, from high on none is
	for step := 1; low > 0 && x.hash(low-1) >= hash; step *= 2 {
		high = low - 1
		low = max(low-1-step, 0)
	}
	for step := 1; high < x.Len() && x.hash(high) < hash; step *= 2 {
		low = high + 1
		high = min(high+1+step, x.Len())
	}
	for low < high {
		if middle := int(uint(low+high) >> 1); x.hash(middle) < hash {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

func (x *Index) hash(i int) uint64 { return binary.LittleEndian.Uint64(x.entries[i*entrySize:]) }

func (x *Index) at(i int) entry {
	b := x.entries[i*entrySize:]
	return entry{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])}
}

type entry struct {
	hash   uint64
	number uint32
}

func (e entry) compare(o entry) int {
	switch {
	case e.hash != o.hash && e.hash < o.hash, e.hash == o.hash && e.number < o.number:
		return -1
	case e == o:
		return 0
	}
	return 1
}

// hashOf is FNV-1a with 64 bits and, because its high bits depend little on the
// last letters, the last steps of MurmurHash3. Who makes paths with equal hashes
// only makes the index answer with a candidate more.
func hashOf(parts ...string) uint64 {
	h := uint64(14695981039346656037)
	for _, part := range parts {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * 1099511628211
		}
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
