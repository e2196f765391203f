package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"ashlar/repo/index"
)

func someEntries(n int) []index.Entry {
	rng := rand.New(rand.NewPCG(1, 2))
	entries := make([]index.Entry, n)
	for i := range entries {
		e := index.Entry{Name: fmt.Sprintf("p%d", rng.IntN(n)), Version: fmt.Sprintf("%d.0.%d", rng.IntN(12), i), Release: 1, Arch: []string{"noarch", "x86_64"}[i%2],
			Summary: fmt.Sprintf("Does %d", i), SHA256: fmt.Sprintf("%064x", i), Manifest: fmt.Sprintf("%064x", i), Size: 9, MetaSize: 1}
		for range rng.IntN(5) {
			e.Requires = append(e.Requires, fmt.Sprintf("p%d >=1", rng.IntN(n)))
			e.Provides = append(e.Provides, fmt.Sprintf("soname(%d)", rng.IntN(n)))
		}
		e.Path = e.PoolPath()
		entries[i] = e
	}
	return entries
}

// TestUpdate: a catalogue that is brought up to date is the one that is made anew.
func TestUpdate(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	all := someEntries(400)
	listed := slices.Clone(all[:200])
	file, err := Encode([32]byte{0}, slices.Clone(listed))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		var gone, came []index.Entry
		if i == 30 {
			gone, listed = listed, nil
		}
		for _, n := range rng.Perm(len(all))[:rng.IntN(1+i)] {
			if e := all[n]; slices.ContainsFunc(listed, func(l index.Entry) bool { return l.SHA256 == e.SHA256 }) {
				gone = append(gone, e)
				listed = slices.DeleteFunc(listed, func(l index.Entry) bool { return l.SHA256 == e.SHA256 })
			} else {
				came = append(came, e)
				listed = append(listed, e)
			}
		}
		old, err := Open(file, [32]byte{byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		of := [32]byte{byte(i + 1)}
		if file, err = Update(old, of, gone, came); err != nil {
			t.Fatal(err)
		}
		want, err := Encode(of, slices.Clone(listed))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(file, want) {
			t.Fatalf("step %d: %d gone, %d came: it differs from one that is made anew", i, len(gone), len(came))
		}
	}
}

func TestUpdateRefuses(t *testing.T) {
	all := someEntries(50)
	file, err := Encode([32]byte{}, slices.Clone(all[:40]))
	if err != nil {
		t.Fatal(err)
	}
	old, err := Open(file, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	for name, gone := range map[string][]index.Entry{"never there": all[45:46], "twice": {all[1], all[1]}} {
		if _, err := Update(old, [32]byte{}, gone, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	file[len(file)-1] ^= 1
	if old, err = Open(file, [32]byte{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Update(old, [32]byte{}, nil, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
}
