package catalogue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// FormatVersion is the version of the format. Other ones are made anew.
const FormatVersion = 1

// ErrDamaged is wrapped by every error about a catalogue that is not what was
// written, or that was made of another index. Make it anew.
var ErrDamaged = errors.New("damaged catalogue")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}

const (
	magic       = "ASHLARCT"
	headSize    = 72
	blockSize   = 4 << 10
	maxPackages = 1 << 20
	maxKeys     = 1 << 26
	maxBody     = 1 << 32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sizes are the numbers of the head that say where everything lies.
type sizes struct {
	packages, keys int64
	texts, records int64 // bytes
}

// The sections of the body, in this order. Numbers never lie across blocks.
func (s sizes) offsets() int64     { return 8 * s.keys }                     // of records: packages+1 times 8 bytes
func (s sizes) ordinals() int64    { return s.offsets() + 8*(s.packages+1) } // of packages, one for each key, 4 bytes
func (s sizes) textsBegin() int64  { return s.ordinals() + 4*s.keys }
func (s sizes) recordBegin() int64 { return s.textsBegin() + s.texts }
func (s sizes) body() int64        { return s.recordBegin() + s.records }
func (s sizes) blocks() int64      { return (s.body() + blockSize - 1) / blockSize }
func (s sizes) head() int64        { return headSize + 4*s.blocks() }

func (s sizes) plausible() bool {
	return s.packages >= 0 && s.packages <= maxPackages && s.keys >= 0 && s.keys <= maxKeys &&
		s.texts >= 0 && s.texts <= maxBody && s.records >= 0 && s.records <= maxBody
}

// putHead writes everything before the body, which begins at s.head().
func putHead(file []byte, of [32]byte, s sizes) {
	body := file[s.head():]
	copy(file, magic)
	le := binary.LittleEndian
	le.PutUint32(file[8:], FormatVersion)
	copy(file[16:], of[:])
	le.PutUint32(file[48:], uint32(s.packages))
	le.PutUint32(file[52:], uint32(s.keys))
	le.PutUint64(file[56:], uint64(s.texts))
	le.PutUint64(file[64:], uint64(s.records))
	for i := range s.blocks() {
		block := body[i*blockSize : min((i+1)*blockSize, s.body())]
		le.PutUint32(file[headSize+4*i:], crc32.Checksum(block, castagnoli))
	}
	le.PutUint32(file[12:], headSum(file[:s.head()]))
}

// headSum is the checksum of a head without the field that holds it.
func headSum(head []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:12], castagnoli), castagnoli, head[16:])
}

func parseHead(head []byte) (of [32]byte, s sizes, err error) {
	le := binary.LittleEndian
	switch {
	case string(head[:8]) != magic:
		return of, s, damaged("it does not begin as one")
	case le.Uint32(head[8:]) != FormatVersion:
		return of, s, damaged("format %d; this program reads format %d", le.Uint32(head[8:]), FormatVersion)
	}
	copy(of[:], head[16:])
	s = sizes{packages: int64(le.Uint32(head[48:])), keys: int64(le.Uint32(head[52:])),
		texts: int64(le.Uint64(head[56:])), records: int64(le.Uint64(head[64:]))}
	if !s.plausible() {
		return of, s, damaged("impossible sizes")
	}
	return of, s, nil
}

// Relation is a way in which a package can name another one.
type Relation byte

// The relations by which packages can be found.
const (
	Name        Relation = 'n' // its own
	Provides    Relation = 'p'
	Requires    Relation = 'r'
	Replaces    Relation = 'x'
	Supplements Relation = 's'
)

// key is where a relation to a name is looked up: FNV-1a. Names that share a
// key are told apart by their records.
func key(relation Relation, name string) uint64 {
	h := (uint64(14695981039346656037) ^ uint64(relation)) * 1099511628211
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return h
}
