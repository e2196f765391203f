package pathindex

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var generation = [32]byte{1, 2, 3}

func build(t testing.TB, old *Index, renumber []int, added []Added, packages int) []byte {
	t.Helper()
	data, err := Merge(old, renumber, added, packages, generation)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func open(t testing.TB, data []byte) *Index {
	t.Helper()
	x, err := Open(data, generation)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestLookup(t *testing.T) {
	x := open(t, build(t, nil, nil, []Added{
		{2, []string{"usr/bin", "usr/bin/b"}},
		{0, []string{"usr/bin", "usr/bin/a", "usr/bin/a"}},
	}, 3))
	for path, want := range map[string][]int{"usr/bin": {0, 2}, "usr/bin/a": {0}, "usr/bin/b": {2}, "usr/bin/c": nil, "": nil} {
		half := len(path) / 2
		if got := x.Lookup(path[:half], path[half:]); !slices.Equal(got, want) || x.Contains(path) != (want != nil) {
			t.Errorf("Lookup(%q) = %v, want %v", path, got, want)
		}
	}
	if x.Packages() != 3 || x.Len() != 4 {
		t.Errorf("%d packages, %d entries", x.Packages(), x.Len())
	}
}

// A list of packages changes in random steps; the index merged along must stay
// byte for byte what one made anew from all paths is, and find every owner.
func TestMergeIsLikeBuildingAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		paths := rapid.SliceOfDistinct(rapid.StringMatching(`[ab]{1,3}(/[ab]{1,2})?`), rapid.ID[string])
		var list [][]string // the paths of each package
		var x *Index
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			order := rapid.Permutation(indices(len(list))).Draw(t, "order")
			keep := rapid.IntRange(0, len(list)).Draw(t, "keep")
			renumber := slices.Repeat([]int{Gone}, len(list))
			var next [][]string
			var added []Added
			for _, old := range order[:keep] {
				for rapid.Bool().Draw(t, "insert") {
					added = append(added, Added{len(next), paths.Draw(t, "paths")})
					next = append(next, added[len(added)-1].Paths)
				}
				renumber[old] = len(next)
				next = append(next, list[old])
			}
			next = append(next, paths.Draw(t, "last"))
			added = append(added, Added{len(next) - 1, next[len(next)-1]})
			merged, err := Merge(x, renumber, added, len(next), generation)
			if err != nil {
				t.Fatal(err)
			}
			if x, err = Open(merged, generation); err != nil {
				t.Fatal(err)
			}
			list = next
			checkAgainst(t, merged, x, list)
		}
	})
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func checkAgainst(t *rapid.T, merged []byte, x *Index, list [][]string) {
	owners := map[string][]int{}
	var all []Added
	for n, paths := range list {
		all = append(all, Added{n, paths})
		for _, path := range paths {
			owners[path] = append(owners[path], n)
		}
	}
	anew, err := Merge(nil, nil, all, len(list), generation)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(anew, merged) {
		t.Fatal("the merged index differs from one made anew")
	}
	for path, want := range owners {
		if got := x.Lookup(path); !slices.Equal(got, want) {
			t.Fatalf("Lookup(%q) = %v, want %v", path, got, want)
		}
	}
	if got := x.Lookup("c"); got != nil {
		t.Fatalf("a path of nobody: %v", got)
	}
}

// collide returns entries as hostile paths with equal hashes would make them:
// several packages, some of them twice.
func collide(hash uint64, numbers ...uint32) (entries []entry) {
	for _, n := range numbers {
		entries = append(entries, entry{hash, n})
	}
	return entries
}

// Colliding paths are only further candidates, before and after a merge that
// puts the packages into another order.
func TestCollisions(t *testing.T) {
	hash := hashOf("usr/bin/su")
	b := builder{out: make([]byte, headSize)}
	for _, e := range slices.Concat(collide(hash-1, 2, 3), collide(hash, 0, 0, 1, 3, 3), collide(hash+1, 0)) {
		b.put(e)
	}
	data, err := b.finish(4, generation)
	if err != nil {
		t.Fatal(err)
	}
	x := open(t, data)
	if got := x.Lookup("usr/bin/su"); !slices.Equal(got, []int{0, 1, 3}) {
		t.Fatalf("candidates %v", got)
	}
	for _, test := range []struct{ renumber, want []int }{
		{[]int{3, 2, 1, 0}, []int{0, 2, 3, 4}},
		{[]int{Gone, 5, 6, 2}, []int{2, 4, 5}},
		{[]int{Gone, Gone, 0, Gone}, []int{4}},
	} {
		merged := open(t, build(t, x, test.renumber, []Added{{4, []string{"usr/bin/su"}}}, 7))
		if got := merged.Lookup("usr/bin/su"); !slices.Equal(got, test.want) {
			t.Errorf("numbers %v: candidates %v, want %v", test.renumber, got, test.want)
		}
	}
}

func TestDamage(t *testing.T) {
	good := build(t, nil, nil, []Added{{0, []string{"a", "b", "c"}}, {1, []string{"b"}}}, 2)
	refused := func(what string, data []byte, of [32]byte) {
		t.Helper()
		if _, err := Open(data, of); !errors.Is(err, ErrUnusable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			refused(fmt.Sprintf("bit %d of byte %d changed", bit, i), bad, generation)
		}
		refused(fmt.Sprintf("%d bytes", i), good[:i], generation)
	}
	refused("longer", append(bytes.Clone(good), 0), generation)
	refused("of another generation", good, [32]byte{9})
}

// What has a right checksum can still be nonsense: then somebody else wrote it.
func TestNonsense(t *testing.T) {
	for what, entries := range map[string][]entry{
		"out of order":    {{5, 0}, {4, 0}},
		"numbers falling": {{5, 1}, {5, 0}},
		"no such package": {{5, 2}},
	} {
		b := builder{out: make([]byte, headSize)}
		for _, e := range entries {
			b.put(e)
		}
		data, err := b.finish(2, generation)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(data, generation); !errors.Is(err, ErrUnusable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWrongNumbers(t *testing.T) {
	x := open(t, build(t, nil, nil, []Added{{0, []string{"a"}}}, 1))
	for what, merge := range map[string]func() ([]byte, error){
		"too few new numbers": func() ([]byte, error) { return Merge(x, nil, nil, 1, generation) },
		"too high":            func() ([]byte, error) { return Merge(x, []int{1}, nil, 1, generation) },
		"negative":            func() ([]byte, error) { return Merge(x, []int{-2}, nil, 1, generation) },
		"added too high":      func() ([]byte, error) { return Merge(x, []int{0}, []Added{{1, nil}}, 1, generation) },
	} {
		if _, err := merge(); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// Hashes that are all at one end, as hostile paths could make them, are found.
func TestUnevenHashes(t *testing.T) {
	for _, at := range []uint64{0, 1 << 63, ^uint64(0) - 1000} {
		b := builder{out: make([]byte, headSize)}
		for i := range uint64(500) {
			b.put(entry{at + 2*i, uint32(i % 2)})
		}
		data, err := b.finish(2, generation)
		if err != nil {
			t.Fatal(err)
		}
		x := open(t, data)
		for i := range uint64(500) {
			if got := x.first(at + 2*i); got != int(i) {
				t.Fatalf("entry %d found at %d", i, got)
			}
			if got := x.first(at + 2*i - 1); at+2*i > 0 && got != int(i) {
				t.Fatalf("what is before entry %d found at %d", i, got)
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(build(f, nil, nil, []Added{{0, []string{"a", "b"}}}, 1))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Behind the checksum as behind a forger: it is made right.
		if len(data) > headSize {
			b := builder{out: bytes.Clone(data)}
			count := (len(data) - headSize) / entrySize
			b.out = b.out[:headSize+count*entrySize]
			data, _ = b.finish(int(data[0]), generation)
		}
		x, err := Open(data, generation)
		if err != nil {
			if !errors.Is(err, ErrUnusable) {
				t.Fatal(err)
			}
			return
		}
		renumber := indices(x.Packages())
		slices.Reverse(renumber)
		once := open(t, build(t, x, renumber, nil, x.Packages()))
		if again := build(t, once, renumber, nil, x.Packages()); !bytes.Equal(again, data) {
			t.Fatal("turned around twice, it is another index")
		}
	})
}

// packagePaths makes the lists of a system of that many paths.
func packagePaths(paths int) (list []Added) {
	random := rand.New(rand.NewPCG(1, 2))
	for len(list) < paths/100 {
		a := Added{Number: len(list)}
		for i := range 100 {
			a.Paths = append(a.Paths, fmt.Sprintf("usr/share/doc/package-%d/section-%d/%x", len(list), i%7, random.Uint64()))
		}
		list = append(list, a)
	}
	return list
}

// BenchmarkMerge replaces 14 packages of a system, with ten times as many files
// in the second case; BenchmarkOpenAndLookup is what `owns` costs. The floor is
// copying the index once.
func BenchmarkMerge(b *testing.B) {
	for _, paths := range []int{26_000, 260_000} {
		list := packagePaths(paths)
		data := build(b, nil, nil, list, len(list))
		renumber := indices(len(list))
		for n := range 14 {
			renumber[n*10] = Gone
		}
		var added []Added
		for n := range 14 {
			added = append(added, list[n*10])
		}
		b.Run(fmt.Sprint("merge-", paths), func(b *testing.B) {
			var floor time.Duration
			for b.Loop() {
				x := open(b, data)
				build(b, x, renumber, added, len(list))
				start := time.Now()
				_ = bytes.Clone(data)
				floor += time.Since(start)
			}
			b.ReportMetric(float64(b.Elapsed()-floor)/float64(floor), "x-copy")
		})
		b.Run(fmt.Sprint("lookup-", paths), func(b *testing.B) {
			for b.Loop() {
				if got := open(b, data).Lookup(list[7].Paths[3]); !slices.Contains(got, 7) {
					b.Fatal(got)
				}
			}
		})
		b.Run(fmt.Sprint("contains-", paths), func(b *testing.B) {
			x, n := open(b, data), 0
			for b.Loop() {
				if n++; !x.Contains(list[n%len(list)].Paths[n%100]) {
					b.Fatal(n)
				}
			}
		})
		b.Run(fmt.Sprint("anew-", paths), func(b *testing.B) {
			for b.Loop() {
				build(b, nil, nil, list, len(list))
			}
		})
	}
}
