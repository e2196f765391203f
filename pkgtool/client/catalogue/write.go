package catalogue

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/version"
	"ashlar/repo/index"
)

// Encode makes the catalogue of entries, which are valid and come from the
// indexes that of stands for. It sorts entries as an index does.
func Encode(of [32]byte, entries []index.Entry) ([]byte, error) {
	if err := index.Sort(entries); err != nil {
		return nil, err
	}
	p := parts{offsets: make([]uint64, 0, len(entries)+1)}
	for i := range entries {
		if err := p.add(&entries[i]); err != nil {
			return nil, err
		}
	}
	p.keys = sortedKeys(p.keys)
	return p.file(of)
}

// parts are what a catalogue is made of.
type parts struct {
	keys           []pair   // sorted in the end
	offsets        []uint64 // of records, one for each package
	texts, records []byte
}

// add appends a package. The caller sorts.
func (p *parts) add(e *index.Entry) (err error) {
	number := uint32(len(p.offsets))
	p.offsets = append(p.offsets, uint64(len(p.records)))
	if p.records, err = appendRecord(p.records, e); err != nil {
		return fmt.Errorf("package %s: %w", e.ID(), err)
	}
	p.texts = append(append(p.texts, e.Name...), 0)
	p.texts = append(append(p.texts, strings.ToLower(e.Summary)...), '\n')
	p.keys = appendKeys(p.keys, number, e)
	return nil
}

// file puts the parts together.
func (p *parts) file(of [32]byte) ([]byte, error) {
	s := sizes{int64(len(p.offsets)), int64(len(p.keys)), int64(len(p.texts)), int64(len(p.records))}
	if !s.plausible() {
		return nil, fmt.Errorf("a catalogue of %d packages, which is more than it can hold", len(p.offsets))
	}
	file := make([]byte, s.head(), s.head()+s.body())
	for _, k := range p.keys {
		file = binary.LittleEndian.AppendUint64(file, k.key)
	}
	for _, o := range p.offsets {
		file = binary.LittleEndian.AppendUint64(file, o)
	}
	file = binary.LittleEndian.AppendUint64(file, uint64(len(p.records)))
	for _, k := range p.keys {
		file = binary.LittleEndian.AppendUint32(file, k.ordinal)
	}
	file = append(append(file, p.texts...), p.records...)
	putHead(file, of, s)
	return file, nil
}

// pair says that the package of this number has a relation.
type pair struct {
	key     uint64
	ordinal uint32
}

func (p pair) compare(o pair) int {
	return cmp.Or(cmp.Compare(p.key, o.key), cmp.Compare(p.ordinal, o.ordinal))
}

// sortedKeys sorts keys, and leaves each there once.
func sortedKeys(keys []pair) []pair {
	slices.SortFunc(keys, pair.compare)
	return slices.Compact(keys)
}

func appendKeys(keys []pair, i uint32, e *index.Entry) []pair {
	keys = append(keys, pair{key(Name, e.Name), i})
	for _, relation := range []Relation{Provides, Requires, Replaces, Supplements} {
		for _, name := range related(relation, e) {
			keys = append(keys, pair{key(relation, name), i})
		}
	}
	return keys
}

// related lists the names to which an entry has a relation.
func related(relation Relation, e *index.Entry) (names []string) {
	var list []string
	switch relation {
	case Name:
		return []string{e.Name}
	case Provides:
		list = e.Provides
	case Requires:
		list = e.Requires
	case Replaces:
		list = e.Replaces
	case Supplements:
		list = e.Supplements
	}
	for _, text := range list {
		names = append(names, version.Names(text)...)
	}
	return names
}
