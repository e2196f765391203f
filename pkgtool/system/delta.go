package system

import (
	"ashlar/pkgtool/pkgfile"
)

// member is one package of a generation whose files are looked at.
type member struct {
	manifest *pkgfile.Manifest
	content  *pkgfile.Package // nil if its content can only come from the store
	number   int              // in its generation's list
}

// entry is a path that a member has.
type entry struct {
	member *member
	file   *pkgfile.File
	object *pkgfile.File // the file itself, or the one that a hard link names
}

// delta is what differs between the files of two generations: the paths of the
// packages that leave, and of those that come. A path can be in both.
type delta struct {
	leaving, coming []*member
	gone, come      map[string]entry
}

// newDelta puts the files of the members together. claimed, if given, is told of
// each path that two coming members have.
func newDelta(leaving, coming []*member, claimed func(a, b entry)) *delta {
	d := &delta{leaving: leaving, coming: coming, gone: entriesOf(leaving, nil), come: entriesOf(coming, claimed)}
	return d
}

func entriesOf(members []*member, claimed func(a, b entry)) map[string]entry {
	size := 0
	for _, m := range members {
		size += len(m.manifest.Files)
	}
	all := make(map[string]entry, size)
	for _, m := range members {
		for i := range m.manifest.Files {
			f := &m.manifest.Files[i]
			e := entry{m, f, f}
			if f.Type == pkgfile.TypeHardlink {
				e.object = m.manifest.File(f.Target)
			}
			if other, taken := all[f.Path]; taken && claimed != nil {
				claimed(other, e)
				continue
			}
			all[f.Path] = e
		}
	}
	return all
}

// same reports whether a path is on both sides and the same.
func (d *delta) same(path string) bool {
	a, gone := d.gone[path]
	b, comes := d.come[path]
	return gone && comes && sameEntry(a, b)
}

// sameEntry reports whether two generations want the same of a path.
func sameEntry(a, b entry) bool {
	return sameContent(a.file, b.file) && (a.file == a.object || sameContent(a.object, b.object))
}

// touched returns every path of both sides, with the folders above them.
func (d *delta) touched() map[string]bool {
	all := make(map[string]bool, len(d.gone)+len(d.come))
	for _, side := range []map[string]entry{d.gone, d.come} {
		for path := range side {
			for path != "" && !all[path] {
				all[path] = true
				path = folderOf(path)
			}
		}
	}
	return all
}

// membersOf returns the packages of a generation that are not, byte for byte, in
// another one. t may be nil; it knows where content can be read, and which
// packages to look at though nothing of them changes.
func (s *System) membersOf(g, other *Generation, t *target) ([]*member, error) {
	there := map[string]bool{}
	for _, r := range other.Packages {
		there[r.Manifest] = t == nil || !t.again[r.Manifest]
	}
	var unread []Record
	for _, r := range g.Packages {
		if !there[r.Manifest] && (t == nil || t.contents[r.Manifest] == nil) {
			unread = append(unread, r)
		}
	}
	s.loadManifests(unread)
	var members []*member
	for i, r := range g.Packages {
		if there[r.Manifest] {
			continue
		}
		m := &member{number: i}
		if t != nil {
			m.content = t.contents[r.Manifest]
		}
		if m.content != nil {
			m.manifest = m.content.Manifest()
		} else {
			var err error
			if m.manifest, err = s.Manifest(r); err != nil {
				return nil, err
			}
		}
		members = append(members, m)
	}
	if g.Generated != other.Generated {
		made, err := s.generated(g)
		if err != nil {
			return nil, err
		}
		members = append(members, &member{manifest: made, number: len(g.Packages)})
	}
	return members, nil
}

// between returns what differs between two generations.
func (s *System) between(from, to *Generation, t *target, claimed func(a, b entry)) (*delta, error) {
	leaving, err := s.membersOf(from, to, t)
	if err != nil {
		return nil, err
	}
	coming, err := s.membersOf(to, from, t)
	if err != nil {
		return nil, err
	}
	return newDelta(leaving, coming, claimed), nil
}
