package main

import (
	"math/rand/v2"
	"slices"
	"strings"

	"ashlar/tests/bench/debian"
)

// request is the names that are to be installed together.
type request []string

// text is the request as one line.
func (r request) text() string { return strings.Join(r, " ") }

// makeRequests returns n seeded requests: two in five for one package, two in
// five for several, one in five for a package and one that it conflicts with.
func makeRequests(lines []debian.Line, n int) []request {
	random := rand.New(rand.NewPCG(42, 63))
	byName := map[string]bool{}
	var fighters []debian.Line
	for _, l := range lines {
		byName[l.Name] = true
	}
	// Without a condition: most that have one are about versions of the past.
	foes := func(l debian.Line) []string {
		return slices.DeleteFunc(slices.Clone(l.Conflicts), func(c string) bool { return !byName[c] || c == l.Name })
	}
	for _, l := range lines {
		if len(foes(l)) > 0 {
			fighters = append(fighters, l)
		}
	}
	any := func() string { return lines[random.IntN(len(lines))].Name }
	var all []request
	for i := range n {
		var r request
		switch i % 5 {
		case 0, 1:
			r = request{any()}
		case 2, 3:
			for range 2 + random.IntN(7) {
				r = append(r, any())
			}
		default:
			l := fighters[random.IntN(len(fighters))]
			enemies := foes(l)
			r = request{l.Name, enemies[random.IntN(len(enemies))]}
		}
		slices.Sort(r)
		all = append(all, slices.Compact(r))
	}
	return all
}

// nameOf is the name in the text of a dependency without alternatives.
func nameOf(dependency string) string {
	name, _, _ := strings.Cut(dependency, " ")
	return name
}
