package index

import (
	"bytes"
	"errors"
	"fmt"
)

// Diff returns the packages that one verified index has and a newer one has not,
// and those that came, each in the order of an index. A package of which
// something is said that was not said before is in both. Only frames that
// differ are decompressed, and the ones before them. The newer index is as
// good as one that Decode reads if the old one is; h is its header.
func Diff(old, newer []byte) (h Header, gone, came []Entry, err error) {
	was, err := readTable(old)
	is, errNewer := readTable(newer)
	if errors.Is(err, ErrNoTable) || errors.Is(errNewer, ErrNoTable) {
		return diffAll(old, newer)
	}
	if err := errors.Join(err, errNewer); err != nil {
		return h, nil, nil, err
	}
	a, err := newEditor(old, was)
	if err != nil {
		return h, nil, nil, err
	}
	b, err := newEditor(newer, is)
	if err != nil {
		return h, nil, nil, err
	}
	if gone, err = a.entriesNotIn(was, is); err != nil {
		return h, nil, nil, err
	}
	if came, err = b.entriesNotIn(is, was); err != nil {
		return h, nil, nil, err
	}
	if h = b.header; h.Packages != a.header.Packages-len(gone)+len(came) || h.Arch != a.header.Arch {
		return h, nil, nil, fmt.Errorf("index of %s states %d packages; the one of %s with %d, and the changes, do not give that",
			h.Arch, h.Packages, a.header.Arch, a.header.Packages)
	}
	h.Plain = is.plain()
	gone, came = without(gone, came), without(came, gone)
	return h, gone, came, nil
}

func diffAll(old, newer []byte) (h Header, gone, came []Entry, err error) {
	if _, gone, err = Decode(bytes.NewReader(old), Limits{}); err != nil {
		return h, nil, nil, err
	}
	if h, came, err = Decode(bytes.NewReader(newer), Limits{}); err != nil {
		return h, nil, nil, err
	}
	gone, came = without(gone, came), without(came, gone)
	return h, gone, came, nil
}

// entriesNotIn reads the frames of t, the table of e, that other does not have.
func (e *editor) entriesNotIn(t, other table) (entries []Entry, err error) {
	known := map[[32]byte]Frame{}
	for _, f := range other.frames[1:] {
		known[f.SHA256] = f
	}
	same := func(i int) bool {
		f := t.frames[i]
		k, ok := known[f.SHA256]
		return ok && k.First == f.First && k.Size == f.Size && k.Plain == f.Plain
	}
	for i := 1; i < len(t.frames); i++ {
		if same(i) && (i+1 == len(t.frames) || same(i+1)) {
			continue
		}
		text, err := e.text(i)
		if err != nil {
			return nil, err
		}
		some, err := parseFrame(t.frames[i], text, e.header.Arch)
		if err != nil {
			return nil, err
		}
		if i+1 < len(t.frames) && t.frames[i+1].First <= some[len(some)-1].Name {
			return nil, fmt.Errorf("index frame of package %s: the frame before it goes further", t.frames[i+1].First)
		}
		if !same(i) {
			entries = append(entries, some...)
		}
	}
	return entries, nil
}

// without returns the entries that are not in other.
func without(entries, other []Entry) (rest []Entry) {
	has := make(map[string][]*Entry, len(other))
	for i := range other {
		has[other[i].SHA256] = append(has[other[i].SHA256], &other[i])
	}
next:
	for i := range entries {
		for _, o := range has[entries[i].SHA256] {
			if field, _, _ := Difference(&entries[i], o); field == "" {
				continue next
			}
		}
		rest = append(rest, entries[i])
	}
	return rest
}
