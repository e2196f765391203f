package catalogue

import (
	"encoding/binary"
	"encoding/hex"

	"ashlar/repo/index"
)

// lists are the fields of an entry that hold several texts, in the order of a
// record.
func lists(e *index.Entry) [6]*[]string {
	return [6]*[]string{&e.Requires, &e.Provides, &e.Conflicts, &e.Replaces, &e.Recommends, &e.Supplements}
}

// texts are those that hold one.
func texts(e *index.Entry) [7]*string {
	return [7]*string{&e.Name, &e.Version, &e.Arch, &e.Upstream, &e.Summary, &e.Recipe, &e.Vendor}
}

// appendRecord writes all of an entry: texts with their lengths, lists with
// their counts, numbers as varints, hashes as bytes.
func appendRecord(b []byte, e *index.Entry) ([]byte, error) {
	for _, s := range texts(e) {
		b = appendText(b, *s)
	}
	for _, list := range lists(e) {
		b = binary.AppendUvarint(b, uint64(len(*list)))
		for _, s := range *list {
			b = appendText(b, s)
		}
	}
	only := uint64(0)
	if e.InstallOnly {
		only = 1
	}
	for _, n := range []uint64{uint64(e.Release), uint64(e.Epoch), only, uint64(e.Size), uint64(e.InstalledSize), uint64(e.MetaSize)} {
		b = binary.AppendUvarint(b, n)
	}
	for _, sum := range []string{e.SHA256, e.Manifest} {
		raw, err := hex.DecodeString(sum)
		if err != nil {
			return nil, err
		}
		b = append(b, raw...)
	}
	return b, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// record is what is left to read of one. All texts share its memory.
type record struct {
	text string
	bad  bool
}

func (r *record) number() uint64 {
	var n uint64
	for i := 0; i < len(r.text) && i < binary.MaxVarintLen64; i++ {
		c := r.text[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.text = r.text[i+1:]
			return n
		}
	}
	r.bad, r.text = true, ""
	return 0
}

func (r *record) take(n uint64) string {
	if n > uint64(len(r.text)) {
		r.bad, r.text = true, ""
		return ""
	}
	s := r.text[:n]
	r.text = r.text[n:]
	return s
}

func (r *record) sum() string { return hex.EncodeToString([]byte(r.take(32))) }

func decodeRecord(data string) (index.Entry, error) {
	var e index.Entry
	r := &record{text: data}
	for _, s := range texts(&e) {
		*s = r.take(r.number())
	}
	for _, list := range lists(&e) {
		n := r.number()
		if n > uint64(len(r.text)) { // each takes a byte at least
			return e, damaged("a record with %d texts in a list", n)
		}
		if n > 0 {
			*list = make([]string, n)
		}
		for i := range *list {
			(*list)[i] = r.take(r.number())
		}
	}
	e.Release, e.Epoch, e.InstallOnly = uint32(r.number()), uint32(r.number()), r.number() == 1
	e.Size, e.InstalledSize, e.MetaSize = int64(r.number()), int64(r.number()), int64(r.number())
	e.SHA256, e.Manifest = r.sum(), r.sum()
	if r.bad || r.text != "" {
		return e, damaged("a record that does not end where it should")
	}
	e.Path = e.PoolPath()
	return e, nil
}
