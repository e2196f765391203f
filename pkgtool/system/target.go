package system

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/pkgfile"
)

// target is what a plan leads to.
type target struct {
	next     *Generation
	contents map[string]*pkgfile.Package // additions by the hash of their manifest

	again   map[string]bool // manifests of packages that are looked at again
	objects []damagedObject // to make again or to remove

	noTriggers bool
}

// targetOf works out which packages are installed after a change.
func (s *System) targetOf(change Change) (*target, error) {
	t := &target{contents: map[string]*pkgfile.Package{}, noTriggers: change.NoTriggers}
	leaves, err := s.leaving(change.Remove)
	if err != nil {
		return nil, err
	}
	var added []Record
	for _, add := range change.Add {
		r, err := newRecord(add.Package, add.Repo, add.Requested)
		if err != nil {
			return nil, err
		}
		twice := func(o Record) bool {
			return o.Name == r.Name && (!add.Beside || o.Version.Compare(r.Version) == 0)
		}
		if slices.ContainsFunc(added, twice) {
			return nil, fmt.Errorf("package %s is given twice", r.Name)
		}
		for i, old := range s.generation.Packages {
			if twice(old) {
				leaves[i] = true
			}
		}
		added = append(added, r)
		t.contents[r.Manifest] = add.Package
	}
	packages := added
	for i, r := range s.generation.Packages {
		if !leaves[i] {
			packages = append(packages, r)
		}
	}
	for i := range packages {
		r := &packages[i]
		r.Requested = (r.Requested || slices.Contains(change.Request, r.Name)) && !slices.Contains(change.Unrequest, r.Name)
	}
	sortRecords(packages)
	t.next = s.newGeneration(change.Reason, change.Command, change.Time)
	t.next.Packages = packages
	t.next.Generated = s.generation.Generated
	return t, nil
}

// newGeneration is the generation after the current one, still empty.
func (s *System) newGeneration(reason string, command []string, when time.Time) *Generation {
	g := &Generation{Format: formatVersion, Number: s.generation.Number + 1, Time: when.UTC().Truncate(time.Second),
		Reason: reason, Command: command, Packages: []Record{},
		Users: maps.Clone(s.generation.Users), Groups: maps.Clone(s.generation.Groups)}
	return g
}

// leaving finds the packages to remove: "name" is all builds, "name@version"
// one.
func (s *System) leaving(remove []string) (map[int]bool, error) {
	leaves := map[int]bool{}
	for _, what := range remove {
		name, build, one := strings.Cut(what, "@")
		found := false
		for i, r := range s.generation.Packages {
			if r.Name == name && (!one || r.Version.String() == build) {
				leaves[i], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("package %s is not installed", what)
		}
	}
	return leaves, nil
}
