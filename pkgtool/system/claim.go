package system

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ashlar/pkgtool/pkgfile"
)

// claim says which package owns a path. A folder can have several owners; the
// first one is noted.
type claim struct {
	owner *pkgfile.Manifest
	file  *pkgfile.File
}

// claims is the whole tree that a set of packages makes, by path.
type claims map[string]claim

// maxConflicts bounds how many conflicts one error lists.
const maxConflicts = 20

// claimAll puts the files of all packages together. It is an error if two
// packages own one path (folders excepted, which must agree in mode and
// owner), or if a path lies below one that is no folder.
func claimAll(manifests []*pkgfile.Manifest) (claims, error) {
	size := 0
	for _, m := range manifests {
		size += len(m.Files)
	}
	all := make(claims, size)
	var conflicts []string
	for _, m := range manifests {
		for i := range m.Files {
			f := &m.Files[i]
			if f.Path == stateDir || strings.HasPrefix(f.Path, stateDir+"/") || f.Path == identityPath {
				conflicts = append(conflicts, fmt.Sprintf("%s of %s: it belongs to pkgtool", f.Path, m.Name))
				continue
			}
			old, taken := all[f.Path]
			if !taken {
				all[f.Path] = claim{m, f}
				continue
			}
			if text := disagreement(old, claim{m, f}); text != "" {
				conflicts = append(conflicts, text)
			}
		}
	}
	for path, c := range all {
		for _, parent := range parents(path) {
			if above, ok := all[parent]; ok && above.file.Type != pkgfile.TypeDir {
				conflicts = append(conflicts, fmt.Sprintf("%s of %s lies below %s, which is a %s of %s",
					path, c.owner.Name, parent, above.file.Type, above.owner.Name))
			}
		}
	}
	return all, listConflicts("the packages do not fit together", conflicts)
}

// disagreement says why two packages cannot both have a path, or "".
func disagreement(a, b claim) string {
	f, g := a.file, b.file
	switch {
	case f.Type != pkgfile.TypeDir || g.Type != pkgfile.TypeDir:
		return fmt.Sprintf("%s belongs to both %s and %s", f.Path, a.owner.Name, b.owner.Name)
	case f.Mode != g.Mode || f.Owner != g.Owner || f.Group != g.Group:
		return fmt.Sprintf("folder %s is %04o %s:%s in %s and %04o %s:%s in %s",
			f.Path, f.Mode, f.Owner, f.Group, a.owner.Name, g.Mode, g.Owner, g.Group, b.owner.Name)
	}
	return ""
}

func listConflicts(what string, conflicts []string) error {
	if len(conflicts) == 0 {
		return nil
	}
	slices.Sort(conflicts)
	if more := len(conflicts) - maxConflicts; more > 0 {
		conflicts = append(conflicts[:maxConflicts], fmt.Sprintf("and %d more", more))
	}
	return errors.New(what + ":\n  " + strings.Join(conflicts, "\n  "))
}

// parents lists the folders above a path, the outermost first.
func parents(path string) []string {
	var list []string
	for i := range len(path) {
		if path[i] == '/' {
			list = append(list, path[:i])
		}
	}
	return list
}

// missingFolders returns the folders above the claimed paths that no package
// owns, sorted. They are made with mode 0755 for root.
func (all claims) missingFolders() []string {
	missing := map[string]bool{}
	for path := range all {
		for _, parent := range parents(path) {
			if _, owned := all[parent]; !owned {
				missing[parent] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(missing))
}

// paths returns the claimed paths, sorted.
func (all claims) paths() []string { return slices.Sorted(maps.Keys(all)) }
