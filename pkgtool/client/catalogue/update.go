package catalogue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sort"

	"ashlar/repo/index"
)

// Update makes the catalogue that Encode would make, of one that was made of
// older indexes, without the entries that are gone, and with those that came,
// which are valid. It takes a fraction of the time if these are few. It sorts
// came. The error wraps ErrDamaged if old does not have what is gone.
func Update(old *Catalogue, of [32]byte, gone, came []index.Entry) ([]byte, error) {
	if err := index.Sort(came); err != nil {
		return nil, err
	}
	body, err := old.bytes(0, old.sizes.body())
	if err != nil {
		return nil, err
	}
	u := &updating{old: old, body: body, gone: make([]bool, old.Len()), number: make([]uint32, old.Len())}
	u.sizeUp(came)
	if err := u.markGone(gone); err != nil {
		return nil, err
	}
	if err := u.merge(came); err != nil {
		return nil, err
	}
	return u.file(of)
}

// updating is a catalogue that becomes another one.
type updating struct {
	parts
	old    *Catalogue
	body   []byte
	gone   []bool   // by old number of a package
	number []uint32 // new ones, by old number
}

// sizeUp makes room for all that will be there, about.
func (u *updating) sizeUp(came []index.Entry) {
	s := u.old.sizes
	more := int64(len(came))
	u.offsets = make([]uint64, 0, s.packages+more+1)
	u.texts = make([]byte, 0, s.texts+more<<8)
	u.records = make([]byte, 0, s.records+more<<10)
}

func (u *updating) markGone(gone []index.Entry) error {
next:
	for i := range gone {
		g := &gone[i]
		ordinals, err := u.old.lookUp(key(Name, g.Name))
		if err != nil {
			return err
		}
		for _, n := range ordinals {
			e, err := u.old.Entry(n)
			if err != nil {
				return err
			}
			if !u.gone[n] && e.SHA256 == g.SHA256 && e.ID() == g.ID() {
				u.gone[n] = true
				continue next
			}
		}
		return damaged("it does not have %s", g.ID())
	}
	return nil
}

// merge puts records and texts in order: of old packages, with new ones between
// them.
func (u *updating) merge(came []index.Entry) error {
	s := u.old.sizes
	records, text := u.body[s.recordBegin():], u.body[s.textsBegin():s.recordBegin()]
	offset := func(n int) uint64 { return binary.LittleEndian.Uint64(u.body[s.offsets()+8*int64(n):]) }
	begin := 0
	for next := range len(came) + 1 {
		end := u.old.Len()
		if next < len(came) {
			var err error
			if end, err = u.place(&came[next]); err != nil {
				return err
			}
		}
		for n := begin; n < end; n++ {
			length := bytes.IndexByte(text, '\n') + 1
			from, to := offset(n), offset(n+1)
			if length == 0 || from > to || to > uint64(s.records) {
				return damaged("package %d is not where it should be", n)
			}
			if !u.gone[n] {
				u.number[n] = uint32(len(u.offsets))
				u.offsets = append(u.offsets, uint64(len(u.records)))
				u.records = append(u.records, records[from:to]...)
				u.texts = append(u.texts, text[:length]...)
			}
			text = text[length:]
		}
		begin = max(begin, end)
		if next < len(came) {
			if err := u.add(&came[next]); err != nil {
				return err
			}
		}
	}
	return u.mergeKeys()
}

// place returns the number of the first old package that comes after e.
func (u *updating) place(e *index.Entry) (int, error) {
	var failure error
	n := sort.Search(u.old.Len(), func(n int) bool {
		o, err := u.old.Entry(n)
		order := 0
		if err == nil {
			if order, err = index.Compare(&o, e); err != nil {
				err = damaged("package %d: %w", n, err)
			}
		}
		failure = errors.Join(failure, err)
		return order > 0
	})
	return n, failure
}

// mergeKeys puts the old keys, with new numbers, before and between those of
// packages that came. Numbers stay in the same order.
func (u *updating) mergeKeys() error {
	s := u.old.sizes
	came := sortedKeys(u.keys)
	u.keys = make([]pair, 0, s.keys+int64(len(came)))
	for i := range s.keys {
		n := binary.LittleEndian.Uint32(u.body[s.ordinals()+4*i:])
		if int64(n) >= s.packages {
			return damaged("package %d of %d", n, s.packages)
		}
		if u.gone[n] {
			continue
		}
		k := pair{binary.LittleEndian.Uint64(u.body[8*i:]), u.number[n]}
		for len(came) > 0 && came[0].compare(k) < 0 {
			u.keys = append(u.keys, came[0])
			came = came[1:]
		}
		u.keys = append(u.keys, k)
	}
	u.keys = append(u.keys, came...)
	return nil
}
