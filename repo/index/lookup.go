package index

import (
	"bytes"
	"errors"
)

// ReadHeader returns the header of a verified index, and decompresses no more
// than that of one that has a table.
func ReadHeader(data []byte) (Header, error) {
	t, err := readTable(data)
	if errors.Is(err, ErrNoTable) {
		h, _, err := Decode(bytes.NewReader(data), Limits{})
		return h, err
	}
	if err != nil {
		return Header{}, err
	}
	e, err := newEditor(data, t)
	if err != nil {
		return Header{}, err
	}
	e.header.Plain = t.plain()
	return e.header, nil
}

// Lookup returns the packages of a name, in the order of their versions, from a
// verified index, and decompresses no more than their frame of one that has a
// table.
func Lookup(data []byte, name string) ([]Entry, error) {
	t, err := readTable(data)
	if errors.Is(err, ErrNoTable) {
		_, entries, err := Decode(bytes.NewReader(data), Limits{})
		return named(entries, name), err
	}
	if err != nil {
		return nil, err
	}
	e, err := newEditor(data, t)
	if err != nil {
		return nil, err
	}
	i := t.find(name)
	if i == 0 {
		return nil, nil
	}
	text, err := e.text(i)
	if err != nil {
		return nil, err
	}
	entries, err := parseFrame(t.frames[i], text, e.header.Arch)
	return named(entries, name), err
}

func named(entries []Entry, name string) (some []Entry) {
	for _, e := range entries {
		if e.Name == name {
			some = append(some, e)
		}
	}
	return some
}
