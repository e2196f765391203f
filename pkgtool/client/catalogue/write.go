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
	var texts, records []byte
	var keys []pair
	offsets := make([]uint64, 0, len(entries)+1)
	for i := range entries {
		e := &entries[i]
		offsets = append(offsets, uint64(len(records)))
		var err error
		if records, err = appendRecord(records, e); err != nil {
			return nil, fmt.Errorf("package %s: %w", e.ID(), err)
		}
		texts = append(append(texts, e.Name...), 0)
		texts = append(append(texts, strings.ToLower(e.Summary)...), '\n')
		keys = appendKeys(keys, uint32(i), e)
	}
	offsets = append(offsets, uint64(len(records)))
	slices.SortFunc(keys, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.ordinal, b.ordinal))
	})
	keys = slices.Compact(keys)
	s := sizes{int64(len(entries)), int64(len(keys)), int64(len(texts)), int64(len(records))}
	if !s.plausible() {
		return nil, fmt.Errorf("a catalogue of %d packages, which is more than it can hold", len(entries))
	}
	file := make([]byte, s.head(), s.head()+s.body())
	for _, k := range keys {
		file = binary.LittleEndian.AppendUint64(file, k.key)
	}
	for _, o := range offsets {
		file = binary.LittleEndian.AppendUint64(file, o)
	}
	for _, k := range keys {
		file = binary.LittleEndian.AppendUint32(file, k.ordinal)
	}
	file = append(append(file, texts...), records...)
	putHead(file, of, s)
	return file, nil
}

// pair says that the package of this number has a relation.
type pair struct {
	key     uint64
	ordinal uint32
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
