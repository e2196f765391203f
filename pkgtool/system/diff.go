package system

import (
	"slices"
	"strings"

	"ashlar/pkgtool/pkgfile"
)

// Diff is what differs between two generations.
type Diff struct {
	From     int             `json:"from"`
	To       int             `json:"to"`
	Packages []PackageChange `json:"packages"` // sorted by name
	Files    []FileChange    `json:"files"`    // sorted by path
}

// PackageChange is a package that came, went or changed. From or To is "" if
// there is no such version on that side.
type PackageChange struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// FileChange is a path that came, went or changed.
type FileChange struct {
	Path string `json:"path"`
	What string `json:"what"` // added, removed, changed
}

// Diff compares the packages and files of two generations. 0 is the empty
// system before the first one.
func (s *System) Diff(from, to int) (*Diff, error) {
	var sides [2]*Generation
	for i, number := range []int{from, to} {
		if number == 0 {
			sides[i] = &Generation{}
			continue
		}
		g, err := s.GenerationAt(number)
		if err != nil {
			return nil, err
		}
		sides[i] = g
	}
	d, err := s.between(sides[0], sides[1], nil, nil)
	if err != nil {
		return nil, err
	}
	return &Diff{From: from, To: to, Packages: packageChanges(sides[0], sides[1]), Files: fileChanges(d)}, nil
}

// packageChanges pairs the builds of each name that only one side has, the
// oldest with the oldest.
func packageChanges(from, to *Generation) []PackageChange {
	only := func(a, b *Generation) []Record {
		there := map[string]bool{}
		for _, r := range b.Packages {
			there[r.Manifest] = true
		}
		var rest []Record
		for _, r := range a.Packages {
			if !there[r.Manifest] {
				rest = append(rest, r)
			}
		}
		return rest
	}
	old, fresh := only(from, to), only(to, from)
	changes := []PackageChange{}
	for len(old) > 0 || len(fresh) > 0 {
		var c PackageChange
		order := 0
		switch {
		case len(old) == 0:
			order = 1
		case len(fresh) == 0:
			order = -1
		default:
			order = strings.Compare(old[0].Name, fresh[0].Name)
		}
		if order <= 0 {
			c.Name, c.From = old[0].Name, old[0].Version.String()
			old = old[1:]
		}
		if order >= 0 {
			c.Name, c.To = fresh[0].Name, fresh[0].Version.String()
			fresh = fresh[1:]
		}
		changes = append(changes, c)
	}
	return changes
}

func fileChanges(d *delta) []FileChange {
	changes := []FileChange{}
	for path, e := range d.come {
		old, was := d.gone[path]
		switch {
		case !was && e.file.Type != pkgfile.TypeDir:
			changes = append(changes, FileChange{path, "added"})
		case was && !sameEntry(old, e):
			changes = append(changes, FileChange{path, "changed"})
		}
	}
	for path, e := range d.gone {
		if _, stays := d.come[path]; !stays && e.file.Type != pkgfile.TypeDir {
			changes = append(changes, FileChange{path, "removed"})
		}
	}
	slices.SortFunc(changes, func(a, b FileChange) int { return strings.Compare(a.Path, b.Path) })
	return changes
}
