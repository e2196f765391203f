package system

import (
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/pkgfile"
)

// checker looks for contradictions between the packages of a generation. The
// paths of those that come are compared with each other and, by the index, with
// those that stay, of which only the suspects' manifests are read.
type checker struct {
	system    *System
	next      *Generation
	d         *delta
	after     *ownership
	coming    map[int]bool // numbers of those that come
	folders   map[string]string
	conflicts []string
}

// check returns an error that lists what does not fit together.
func (p *Plan) check(found []string) error {
	c := &checker{system: p.system, next: p.next, d: p.live, after: p.after, coming: map[int]bool{}, folders: map[string]string{}, conflicts: found}
	for _, m := range p.live.coming {
		c.coming[m.number] = true
	}
	for path, e := range p.live.come {
		if e.member.number == len(p.next.Packages) {
			continue // made by triggers, which take second place
		}
		if path == stateDir || strings.HasPrefix(path, stateDir+"/") || path == identityPath {
			c.conflicts = append(c.conflicts, fmt.Sprintf("%s of %s: it belongs to pkgtool", path, e.member.manifest.Name))
			continue
		}
		if err := c.path(path, e); err != nil {
			return err
		}
		for dir := folderOf(path); dir != ""; dir = folderOf(dir) {
			above, err := c.folder(dir)
			if err != nil {
				return err
			}
			if above != "" {
				c.conflicts = append(c.conflicts, fmt.Sprintf("%s of %s lies below %s, which is a %s", path, e.member.manifest.Name, dir, above))
			}
		}
	}
	return listConflicts("the packages do not fit together", c.conflicts)
}

// staying returns those of the numbers that belong to packages that stay.
func (c *checker) staying(numbers []int) []int {
	return slices.DeleteFunc(numbers, func(n int) bool { return c.coming[n] || n >= len(c.next.Packages) })
}

// path compares a coming path with the packages that stay.
func (c *checker) path(path string, e entry) error {
	suspects := c.staying(c.after.file(path))
	if e.file.Type != pkgfile.TypeDir {
		suspects = append(suspects, c.staying(c.after.listed(path))...)
		suspects = append(suspects, c.staying(c.after.index.Lookup(path, neededFolder))...)
	} else if old, was := c.d.gone[path]; !was || !sameFolder(old.file, e.file) {
		listed := c.staying(c.after.listed(path))
		// They agree with each other: one that is read already will do.
		slices.SortStableFunc(listed, func(a, b int) int { return c.read(b) - c.read(a) })
		for _, n := range listed {
			other, err := c.prove(n, path)
			if err != nil {
				return err
			}
			if other != nil {
				suspects = append(suspects, n)
				break
			}
		}
	}
	for _, n := range suspects {
		if err := c.suspect(n, path, e); err != nil {
			return err
		}
	}
	return nil
}

// suspect reads the manifest of a package that may contradict.
func (c *checker) suspect(n int, path string, e entry) error {
	m, err := c.system.Manifest(c.next.Packages[n])
	if err != nil {
		return err
	}
	if f := m.File(path); f != nil {
		if text := disagreement(claim{e.member.manifest, e.file}, claim{m, f}); text != "" {
			c.conflicts = append(c.conflicts, text)
		}
		return nil
	}
	for i := range m.Files {
		if strings.HasPrefix(m.Files[i].Path, path+"/") && e.file.Type != pkgfile.TypeDir {
			c.conflicts = append(c.conflicts, fmt.Sprintf("%s of %s lies below %s, which is a %s of %s",
				m.Files[i].Path, m.Name, path, e.file.Type, e.member.manifest.Name))
			return nil
		}
	}
	return nil
}

// read is 1 if the manifest of a package is in memory.
func (c *checker) read(n int) int {
	if c.system.manifests[c.next.Packages[n].Manifest] != nil {
		return 1
	}
	return 0
}

func (c *checker) prove(n int, path string) (*pkgfile.File, error) {
	m, err := c.system.Manifest(c.next.Packages[n])
	if err != nil {
		return nil, err
	}
	return m.File(path), nil
}

// folder says what a path is that must be a folder, and of whom, or "" if it is
// one.
func (c *checker) folder(dir string) (what string, err error) {
	what, known := c.folders[dir]
	if known {
		return what, nil
	}
	if e, comes := c.d.come[dir]; comes && e.file.Type != pkgfile.TypeDir && e.member.number < len(c.next.Packages) {
		what = e.file.Type + " of " + e.member.manifest.Name
	}
	// What two packages own is a folder.
	if owners := c.staying(c.after.file(dir)); len(owners) == 1 && what == "" {
		f, err := c.prove(owners[0], dir)
		if err != nil {
			return "", err
		}
		if f != nil && f.Type != pkgfile.TypeDir {
			what = f.Type + " of " + c.next.Packages[owners[0]].Name
		}
	}
	c.folders[dir] = what
	return what, nil
}
