package index

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestEditEqualsEncode: whatever the history, the same entries give the same
// bytes; and a change of one package changes one frame, rarely more.
func TestEditEqualsEncode(t *testing.T) {
	defer func(was int64) { frameTarget = was }(frameTarget)
	frameTarget = 16 << 10
	rng := rand.New(rand.NewPCG(5, 6))
	all := universe(800)
	listed := map[string]Entry{}
	data := mustEncode(t, nil)
	step := func(n int) (changes []Change) {
		for range n {
			e := all[rng.IntN(len(all))]
			if rng.IntN(3) == 0 { // all of a name, now and then: a frame may lose what began it
				for _, other := range listed {
					if other.Name == e.Name {
						ref := RefOf(&other)
						changes = append(changes, Change{Remove: &ref})
						delete(listed, other.ID())
					}
				}
				continue
			}
			if rng.IntN(4) == 0 {
				e.Summary = strings.Repeat("long ", rng.IntN(300)+1) + "text"
				e.SHA256 = fmt.Sprintf("%064x", rng.Uint64())
				e.Path = e.PoolPath()
			}
			changes = append(changes, Change{Add: &e, Replace: true})
			listed[e.ID()] = e
		}
		return changes
	}
	touched := map[int]int{}
	for i := range 60 {
		n := 1
		if i%10 == 0 {
			n = 1 + rng.IntN(200)
		}
		before := data
		changes := step(n)
		var plain int64
		var err error
		if data, plain, err = Edit(before, changes); err != nil {
			t.Fatal(err)
		}
		var entries []Entry
		for _, e := range listed {
			entries = append(entries, e)
		}
		want, wantPlain, err := Encode("stable", "x86_64", entries)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(data, want) || plain != wantPlain {
			t.Fatalf("step %d: editing gives other bytes than writing anew", i)
		}
		again, _, err := Edit(data, changes)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("step %d: repeating changes gives other bytes, %v", i, err)
		}
		if n == 1 && len(changes) > 0 {
			touched[newFrames(t, before, data)]++
		}
	}
	if touched[0]+touched[1] < 3*touched[2] || len(touched) > 3 {
		t.Errorf("frames written for one change: %v", touched)
	}
	t.Logf("frames written for one change: %v", touched)
}

// newFrames counts the frames of packages that an index has and another has not.
func newFrames(t *testing.T, old, data []byte) (n int) {
	t.Helper()
	was, err := Table(old)
	if err != nil {
		t.Fatal(err)
	}
	is, err := Table(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range is[1:] {
		if !slices.ContainsFunc(was, func(o Frame) bool { return o.SHA256 == f.SHA256 }) {
			n++
		}
	}
	return n
}

func TestEditRefuses(t *testing.T) {
	entries := universe(3000)
	data := mustEncode(t, entries)
	other := entries[10]
	other.SHA256 = strings.Repeat("ab", 32)
	other.Path = other.PoolPath()
	if _, _, err := Edit(data, []Change{{Add: &other}}); !errors.Is(err, ErrListed) {
		t.Errorf("other content of the same ID: %v", err)
	}
	if _, _, err := Edit(data, []Change{{Add: &other, Replace: true}}); err != nil {
		t.Error(err)
	}
	bad := other
	bad.Size = -1
	foreign := other
	foreign.Arch = "noarch"
	foreign.Path = foreign.PoolPath()
	damaged := slices.Clone(data)
	damaged[len(damaged)-1] ^= 1
	last := entries[0]
	ref := RefOf(&last)
	for name, tc := range map[string]struct {
		old    []byte
		change Change
		says   string
	}{
		"nothing":             {data, Change{}, "adds or removes"},
		"both":                {data, Change{Add: &other, Remove: &ref}, "adds or removes"},
		"invalid":             {data, Change{Add: &bad}, "impossible size"},
		"of another arch":     {data, Change{Add: &foreign}, "does not belong"},
		"damage elsewhere":    {damaged, Change{Remove: &ref}, "sha256"},
		"an index cut off":    {data[:len(data)-1], Change{Remove: &ref}, "bytes"},
		"bytes behind it":     {append(slices.Clone(data), 0), Change{Remove: &ref}, "bytes"},
		"table cut off":       {data[:100], Change{Remove: &ref}, "cut off"},
		"nothing to speak of": {nil, Change{Remove: &ref}, "header"},
	} {
		if _, _, err := Edit(tc.old, []Change{tc.change}); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want %q", name, err, tc.says)
		}
	}
}

// TestEditOlder: an index of one frame, or of another writer, becomes one of ours.
func TestEditOlder(t *testing.T) {
	entries := universe(1000)
	want := mustEncode(t, entries)
	out, err := plainOf(want)
	if err != nil {
		t.Fatal(err)
	}
	foreign := slices.Clone(want)
	foreign[tableHead]++
	one := mustEncode(t, entries[:1])
	for name, old := range map[string][]byte{"one frame": compress(string(out)), "another writer": foreign, "few packages": one} {
		var changes []Change
		for i := range entries {
			changes = append(changes, Change{Add: &entries[i]})
		}
		got, _, err := Edit(old, changes)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// plainOf decompresses an index with the program that everybody has.
func plainOf(data []byte) ([]byte, error) {
	cmd := exec.Command("zstd", "-dc")
	cmd.Stdin = bytes.NewReader(data)
	return cmd.Output()
}

func TestLookup(t *testing.T) {
	entries := universe(3000)
	data := mustEncode(t, entries)
	text, err := plainOf(data)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"frames": data, "one frame": compress(string(text))} {
		for _, i := range []int{0, 1, 1500, 2998, 2999} {
			got, err := Lookup(data, entries[i].Name)
			if err != nil || len(got) != 2 || got[0].Name != entries[i].Name {
				t.Errorf("%s: %s is listed as %v, %v", name, entries[i].Name, got, err)
			}
		}
		for _, absent := range []string{"a", "package01000x", "zzz"} {
			if got, err := Lookup(data, absent); err != nil || len(got) != 0 {
				t.Errorf("%s: %s is listed as %v, %v", name, absent, got, err)
			}
		}
		h, err := ReadHeader(data)
		if err != nil || h != (Header{FormatVersion, "stable", "x86_64", 3000, int64(len(text))}) {
			t.Errorf("%s: header %+v, %v", name, h, err)
		}
	}
	if got, err := Lookup(mustEncode(t, nil), "a"); err != nil || len(got) != 0 {
		t.Errorf("an empty index lists %v, %v", got, err)
	}
}

// TestWriter: bytes may change only together with the number of the writer.
func TestWriter(t *testing.T) {
	got := fmt.Sprintf("%x", sha256.Sum256(mustEncode(t, universe(1000))))
	if want := map[int]string{1: "b29a76717e0160d70e5727e09b93446703e2888fd866d66668d4dbb2627a5d1e"}[writer]; got != want {
		t.Errorf("writer %d makes an index with sha256 %s instead of %s: raise writer", writer, got, want)
	}
}
