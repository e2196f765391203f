package solver

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"ashlar/pkgtool/version"
)

// syntheticUniverse has the shape of a distribution: a few packages that all
// need, layers above them, two builds of each, sonames, virtual providers.
func syntheticUniverse(tb testing.TB, size int) []*Package {
	random := rand.New(rand.NewPCG(1, 2))
	need := func(text string) version.Dependency {
		d, err := version.ParseDependency(text)
		if err != nil {
			tb.Fatal(err)
		}
		return d
	}
	var universe []*Package
	for i := range size {
		for release := uint32(1); release <= 2; release++ {
			v, err := version.New(0, "1.0.0", release)
			if err != nil {
				tb.Fatal(err)
			}
			p := &Package{Name: fmt.Sprintf("p%d", i), Version: v, Arch: "x86_64", Repo: "main"}
			p.Provides = []version.Provide{{Name: fmt.Sprintf("soname(lib%d.so.1)", i)}, {Name: fmt.Sprintf("virtual%d", i/7)}}
			for range min(i, random.IntN(8)) {
				target := int(float64(i) * random.Float64() * random.Float64())
				p.Requires = append(p.Requires, need(fmt.Sprintf("soname(lib%d.so.1)", target)))
			}
			if i > 20 && random.IntN(5) == 0 {
				p.Requires = append(p.Requires, need(fmt.Sprintf("virtual%d", random.IntN(i/7))))
			}
			if i > 20 && random.IntN(30) == 0 {
				p.Conflicts = append(p.Conflicts, need(fmt.Sprintf("p%d", i-1-random.IntN(20))))
			}
			universe = append(universe, p)
		}
	}
	return universe
}

func BenchmarkInstall(b *testing.B) {
	for _, size := range []int{1000, 10000} {
		universe := syntheticUniverse(b, size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			for b.Loop() {
				d, _ := version.ParseDependency(fmt.Sprintf("p%d", size-7))
				s, err := Solve(b.Context(), universe, Request{Install: []version.Dependency{d}})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(s.Install)), "packages")
			}
		})
	}
}
