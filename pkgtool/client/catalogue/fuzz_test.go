package catalogue

import (
	"encoding/binary"
	"errors"
	"testing"

	"ashlar/repo/index"
)

// seal gives a catalogue the checksums and the length that its head asks for,
// so that fuzzing gets past them.
func seal(data []byte) []byte {
	if len(data) < headSize {
		return data
	}
	copy(data, magic)
	binary.LittleEndian.PutUint32(data[8:], FormatVersion)
	of, s, err := parseHead(data)
	if err != nil || s.body() > 1<<20 {
		return data
	}
	file := make([]byte, s.head()+s.body())
	copy(file[s.head():], data[headSize:])
	putHead(file, of, s)
	return file
}

// FuzzCatalogue: whatever a file holds, reading it and making another of it ends, in an answer or in
// ErrDamaged, without more memory than the file's size justifies.
func FuzzCatalogue(f *testing.F) {
	sum := "00000000000000000000000000000000000000000000000000000000000000ff"
	good, err := Encode([32]byte{}, []index.Entry{
		{Name: "a", Version: "1.0.0", Release: 1, Arch: "noarch", Summary: "first", Requires: []string{"b"}, SHA256: sum, Manifest: sum},
		{Name: "b", Version: "2.0.0", Release: 1, Arch: "noarch", Provides: []string{"c = 1.0.0"}, SHA256: sum, Manifest: sum},
	})
	if err != nil {
		f.Fatal(err)
	}
	_, s, err := parseHead(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(good[:headSize:headSize], good[s.head():]...))
	f.Add([]byte("ASHLARCT"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := seal(data)
		var of [32]byte
		if len(file) >= headSize {
			copy(of[:], file[16:])
		}
		c, err := Open(file, of)
		if err == nil {
			all, a := c.All()
			_, b := c.Search([]string{"a", "f"})
			_, d := c.Names("", 2)
			_, e := c.Related("c", Name, Provides, Requires)
			_, u := Update(c, of, all[:len(all)/2], []index.Entry{{Name: "c", Version: "1.0.0", Release: 1, Arch: "noarch", SHA256: sum, Manifest: sum}})
			err = errors.Join(a, b, d, e, u)
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
}
