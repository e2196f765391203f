package index

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestDiff: what is gone and what came is what two lists of entries say.
func TestDiff(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	all := universe(3000)
	pick := func(like []Entry, n int) []Entry {
		some := slices.Clone(like)
		for range n {
			if i := rng.IntN(len(all)); len(some) > 0 && rng.IntN(2) == 0 {
				some = slices.Delete(some, i%len(some), i%len(some)+1)
			} else if !slices.ContainsFunc(some, func(e Entry) bool { return e.SHA256 == all[i].SHA256 }) {
				some = append(some, all[i])
			}
		}
		if len(some) > 0 && rng.IntN(2) == 0 {
			some[0].Summary = "changed without a new file"
		}
		return some
	}
	for _, n := range []int{0, 1, 1, 1, 5, 40, 3000} {
		a := pick(all[:rng.IntN(len(all))], 10)
		b := pick(a, n)
		if err := Sort(a); err != nil {
			t.Fatal(err)
		}
		if err := Sort(b); err != nil {
			t.Fatal(err)
		}
		old, newer := mustEncode(t, a), mustEncode(t, b)
		plain, err := plainOf(old)
		if err != nil {
			t.Fatal(err)
		}
		for _, old := range [][]byte{old, compress(string(plain))} {
			h, gone, came, err := Diff(old, newer)
			if err != nil || h.Packages != len(b) {
				t.Fatal(h, err)
			}
			if want := without(a, b); !reflect.DeepEqual(gone, want) {
				t.Errorf("%d gone, %d wanted", len(gone), len(want))
			}
			if want := without(b, a); !reflect.DeepEqual(came, want) {
				t.Errorf("%d came, %d wanted", len(came), len(want))
			}
		}
	}
}

// TestDiffRefuses: an index whose new frames do not fit the others is refused.
func TestDiffRefuses(t *testing.T) {
	entries := universe(3000)
	old := mustEncode(t, entries)
	lie := func(header Header, change func(frames []packed) []packed) []byte {
		table, err := readTable(old)
		if err != nil {
			t.Fatal(err)
		}
		var frames []packed
		for _, f := range table.frames[1:] {
			frames = append(frames, packed{frame: f, data: old[f.Offset : f.Offset+f.Size]})
		}
		data, _, err := assemble(header, change(frames))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	good := Header{FormatVersion, "stable", "x86_64", 3000, 0}
	more := good
	more.Packages++
	other := good
	other.Arch = "noarch"
	for name, tc := range map[string]struct {
		header Header
		change func(frames []packed) []packed
		says   string
	}{
		"count":            {more, func(f []packed) []packed { return f }, "3001"},
		"arch":             {other, func(f []packed) []packed { return f }, "noarch"},
		"a frame left out": {good, func(f []packed) []packed { return slices.Delete(f, 2, 3) }, "3000"},
		"a frame that begins before the end of the one before it": {good, func(f []packed) []packed {
			late := entries[1500]
			late.Name = f[1].frame.First + "0"
			late.Path = late.PoolPath()
			text, _ := appendLines(nil, []Entry{late})
			return append(f[:1:1], append([]packed{{frame: Frame{First: late.Name}, text: text}}, f[1:]...)...)
		}, "order"},
		"a frame of two names twice": {good, func(f []packed) []packed {
			late := entries[0]
			late.Name += "0"
			late.Path = late.PoolPath()
			text, _ := appendLines(nil, []Entry{late})
			f[1] = packed{frame: Frame{First: late.Name}, text: text}
			return f
		}, "goes further"},
	} {
		if _, _, _, err := Diff(old, lie(tc.header, tc.change)); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want %q", name, err, tc.says)
		}
	}
}
