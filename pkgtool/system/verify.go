package system

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

// Problem is a difference between what is installed and what is on disk.
type Problem struct {
	Package string `json:"package"`
	Path    string `json:"path"`
	What    string `json:"what"`
	Config  bool   `json:"config,omitempty"` // an edited configuration file, which is nothing bad
}

// VerifyOptions say what Verify looks at.
type VerifyOptions struct {
	Names []string // packages; all if there are none
	Store bool     // also prove every object of the store
	Quick bool     // compare types, sizes, modes and owners, but not contents
}

// Verify compares the installed packages of these names (all if none is given)
// with the disk: types, contents, link targets, modes, and as root owners too.
func (s *System) Verify(ctx context.Context, opts VerifyOptions) ([]Problem, error) {
	names := opts.Names
	for _, name := range names {
		if s.Package(name) == nil {
			return nil, fmt.Errorf("package %s is not installed", name)
		}
	}
	var known *owners
	if privileged {
		known = newOwners()
		if err := known.addDisk(s.disk); err != nil {
			return nil, err
		}
	}
	var problems []Problem
	for _, r := range s.Installed() {
		if len(names) > 0 && !slices.Contains(names, r.Name) {
			continue
		}
		m, err := s.Manifest(r)
		if err != nil {
			return nil, err
		}
		for i := range m.Files {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			f := &m.Files[i]
			what, err := s.difference(m, f, known)
			if err != nil {
				return nil, fmt.Errorf("verify %s: %w", f.Path, err)
			}
			if what != "" {
				problems = append(problems, Problem{r.Name, f.Path, what, f.Config})
			}
		}
	}
	return problems, nil
}

// difference says what is wrong with one path, or "".
func (s *System) difference(m *pkgfile.Manifest, f *pkgfile.File, known *owners) (string, error) {
	st, err := s.disk.lstat(f.Path)
	if err != nil || st == nil {
		return "missing", err
	}
	if f.Type == pkgfile.TypeHardlink {
		other, err := s.disk.lstat(f.Target)
		if err != nil || other == nil || other.Ino != st.Ino {
			return "is not the same file as " + f.Target, err
		}
		return "", nil
	}
	sized := *f
	sized.Size = st.Size // told apart from the type below
	if !looksLike(st, &sized) && f.Type != pkgfile.TypeSymlink || f.Type == pkgfile.TypeSymlink && st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "is " + kindOf(st), nil
	}
	switch f.Type {
	case pkgfile.TypeSymlink:
		if target, err := s.disk.readlink(f.Path); err != nil || target != f.Target {
			return fmt.Sprintf("points to %q", target), err
		}
		return ownerDifference(st, f, known), nil
	case pkgfile.TypeFile:
		if st.Size != f.Size {
			return fmt.Sprintf("has %d bytes instead of %d", st.Size, f.Size), nil
		}
		if now, err := s.disk.hash(f.Path); err != nil || now != f.SHA256 {
			return "content changed", err
		}
	}
	if mode := st.Mode & 0o7777; mode != f.Mode {
		return fmt.Sprintf("mode %04o instead of %04o", mode, f.Mode), nil
	}
	return ownerDifference(st, f, known), nil
}

func ownerDifference(st *unix.Stat_t, f *pkgfile.File, known *owners) string {
	if known == nil {
		return ""
	}
	uid, gid, err := known.of(f)
	if err != nil {
		return err.Error()
	}
	if st.Uid != uid || st.Gid != gid {
		return fmt.Sprintf("belongs to %d:%d instead of %s:%s", st.Uid, st.Gid, f.Owner, f.Group)
	}
	return ""
}

// Owners returns the names of the installed packages that own a path.
func (s *System) Owners(path string) ([]string, error) {
	found := map[string]bool{}
	for _, r := range s.Installed() {
		m, err := s.Manifest(r)
		if err != nil {
			return nil, err
		}
		if m.File(path) != nil {
			found[r.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}
