package solver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/version"
)

// pigeons is a universe in which n+1 packages need each a hole of its own, of
// which there are n: what clause learning is worst at.
func pigeons(t testing.TB, n int) testCase {
	c := testCase{}
	all := parsePackage(t, "all 1.0.0-1")
	for pigeon := range n + 1 {
		need := version.Dependency{Name: fmt.Sprintf("pigeon%d", pigeon)}
		all.Requires = append(all.Requires, need)
		for hole := range n {
			p := parsePackage(t, fmt.Sprintf("pigeon%d-in%d 1.0.0-1 provides pigeon%d, hole%d", pigeon, hole, pigeon, hole))
			p.Conflicts = []version.Dependency{{Name: fmt.Sprintf("hole%d", hole)}}
			c.universe = append(c.universe, p)
		}
	}
	c.universe = append(c.universe, all)
	c.request.Install = []version.Dependency{{Name: "all"}}
	return c
}

func TestPigeons(t *testing.T) {
	c := pigeons(t, 6)
	_, err := Solve(t.Context(), c.universe, c.request)
	if unsolvable := (*Unsolvable)(nil); !errors.As(err, &unsolvable) {
		t.Fatal(err)
	}
	if lines := strings.Count(err.Error(), "\n"); lines > 20 {
		t.Errorf("an explanation of %d lines", lines)
	}
}

// What cannot be decided in time ends in time, and says how far it came.
func TestTimeUp(t *testing.T) {
	c := pigeons(t, 14)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := Solve(ctx, c.universe, c.request)
	var timeout *Timeout
	if !errors.As(err, &timeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if late := time.Since(start) - 300*time.Millisecond; late > 3*time.Second {
		t.Errorf("%s late", late)
	}
	if timeout.Best != nil || timeout.Conflicts == 0 || len(timeout.Decided) != 1 || timeout.Decided[0] != "all 1.0.0-1" || len(timeout.Trouble) == 0 {
		t.Errorf("%+v", timeout)
	}
}

// Many independent choices, each of which costs one package: what a bound on the
// whole sum takes exponential time to prove, cores prove one by one.
func TestManyChoices(t *testing.T) {
	all := parsePackage(t, "all 1.0.0-1")
	universe := []*Package{all}
	for i := range 300 {
		all.Requires = append(all.Requires, version.Dependency{Name: fmt.Sprintf("choice%d", i)})
		for j := range 4 {
			p := parsePackage(t, fmt.Sprintf("p%d-%d 1.0.0-1 provides choice%d", i, j, i))
			if j < 3 {
				p.Requires = []version.Dependency{{Name: fmt.Sprintf("p%d-%d", (i+1)%300, 3)}, {Name: fmt.Sprintf("p%d-%d", (i+2)%300, j)}}
			}
			universe = append(universe, p)
		}
	}
	s, err := Solve(t.Context(), universe, Request{Install: []version.Dependency{{Name: "all"}}})
	if err != nil || !s.Exact || len(s.Install) != 301 {
		t.Fatalf("%v, %v", s, err)
	}
}
