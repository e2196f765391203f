package trigger

import (
	"cmp"
	"slices"
	"strings"

	"ashlar/pkgtool/pkgfile"

	"github.com/bmatcuk/doublestar/v4"
)

// Trigger is a trigger of an installed package.
type Trigger struct {
	Package string
	pkgfile.Trigger
}

// Due returns the triggers that watch one of the changed paths (added, changed
// or removed; relative), in the order of their names. Triggers of several
// packages with the same name and command run once.
func Due(all []Trigger, changed []string) []Trigger {
	var due []Trigger
	for _, t := range all {
		if slices.ContainsFunc(t.Watch, func(glob string) bool { return matches(glob, changed) }) {
			due = append(due, t)
		}
	}
	slices.SortFunc(due, func(a, b Trigger) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.Run, b.Run), cmp.Compare(a.Package, b.Package))
	})
	return slices.CompactFunc(due, func(a, b Trigger) bool { return a.Name == b.Name && slices.Equal(a.Run, b.Run) })
}

// matches reports whether a glob matches one of the paths. Most paths differ
// from most globs before the first wildcard.
func matches(glob string, paths []string) bool {
	literal := glob
	if i := strings.IndexAny(glob, `*?[\{`); i >= 0 {
		literal = glob[:i]
	}
	// "a/**" also matches "a".
	literal = strings.TrimSuffix(literal, "/")
	return slices.ContainsFunc(paths, func(path string) bool {
		return strings.HasPrefix(path, literal) && doublestar.MatchUnvalidated(glob, path)
	})
}
