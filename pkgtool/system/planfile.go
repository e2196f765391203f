package system

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

// ConfigNote tells of a configuration file that an administrator has edited.
type ConfigNote struct {
	Path string `json:"path"`
	New  string `json:"new,omitempty"`  // where the package's version was put
	Kept bool   `json:"kept,omitempty"` // its package goes, the file stays
}

// planFile decides where a file that is no folder is written: its own path, or
// path.new, or "" to write nothing. conflict tells of a foreign file there.
func (p *Plan) planFile(pkg *pkgfile.Package, f *pkgfile.File) (to, conflict string, err error) {
	var st *unix.Stat_t
	if i := strings.LastIndexByte(f.Path, '/'); i < 0 || !p.isAbsent(f.Path[:i]) {
		if st, err = p.system.disk.lstat(f.Path); err != nil {
			return "", "", err
		}
		if conflict, err := p.throughLink(f.Path); conflict != "" || err != nil {
			return "", conflict, err
		}
	}
	old := p.gone[f.Path]
	switch {
	case f.Config && f.Type == pkgfile.TypeFile:
		to, err = p.planConfig(f, old, st)
		return to, "", err
	case st == nil:
		return f.Path, "", nil
	case isFolder(st):
		if !p.above[f.Path] && (old == nil || old.Type != pkgfile.TypeDir) {
			return "", fmt.Sprintf("%s (a folder)", f.Path), nil
		}
		p.turned[f.Path] = true // planRemovals takes it away first
		return f.Path, "", nil
	case old != nil:
		if sameContent(old, f) && looksLike(st, f) {
			return "", "", nil
		}
		return f.Path, "", nil
	}
	same, err := p.alreadyThere(pkg, f, st)
	if err != nil || same {
		return f.Path, "", err
	}
	return "", fmt.Sprintf("%s (wanted by %s)", f.Path, pkg.Manifest().Name), nil
}

// isAbsent reports whether nothing at all is at the path of a folder. It
// remembers the answer: a new package asks for each of its files.
func (p *Plan) isAbsent(dir string) bool {
	absent, known := p.absent[dir]
	if known {
		return absent
	}
	if i := strings.LastIndexByte(dir, '/'); i >= 0 && p.isAbsent(dir[:i]) {
		absent = true
	} else {
		_, err := p.system.disk.folder(dir)
		absent = errors.Is(err, fs.ErrNotExist)
	}
	p.absent[dir] = absent
	return absent
}

// throughLink refuses a path one of whose folders is on disk a symbolic link or
// a file, unless that belongs to a leaving package and becomes a folder.
func (p *Plan) throughLink(path string) (conflict string, err error) {
	above := parents(path)
	if len(above) == 0 {
		return "", nil
	}
	if _, err := p.system.disk.folder(above[len(above)-1]); err == nil {
		return "", nil
	}
	for _, parent := range above {
		st, err := p.system.disk.lstat(parent)
		if err != nil {
			return "", err
		}
		if st == nil {
			return "", nil
		}
		if !isFolder(st) {
			if p.gone[parent] != nil {
				return "", nil
			}
			return fmt.Sprintf("%s is %s, but %s needs a folder there", parent, kindOf(st), path), nil
		}
	}
	return "", nil
}

// planConfig decides about a configuration file: unedited ones follow the
// package, edited ones (also deleted ones) stay and the package's version is
// put beside.
func (p *Plan) planConfig(f, old *pkgfile.File, st *unix.Stat_t) (to string, err error) {
	if st == nil && old == nil {
		return f.Path, nil
	}
	var now string // hash of what is there; "" if it is no file
	if st != nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
		if now, err = p.system.disk.hash(f.Path); err != nil {
			return "", err
		}
	}
	switch {
	case old != nil && now == old.SHA256:
		if sameContent(old, f) && looksLike(st, f) {
			return "", nil
		}
		return f.Path, nil
	case now == f.SHA256, old != nil && old.SHA256 == f.SHA256:
		return "", nil
	}
	p.Config = append(p.Config, ConfigNote{Path: f.Path, New: f.Path + ".new"})
	return f.Path + ".new", nil
}

// edited reports whether a configuration file differs from what its package
// put there. A missing one does not need to be kept.
func (p *Plan) edited(path string, f *pkgfile.File) (bool, error) {
	st, err := p.system.disk.lstat(path)
	if err != nil || st == nil {
		return false, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return true, nil
	}
	now, err := p.system.disk.hash(path)
	return now != f.SHA256, err
}

// alreadyThere reports whether the very same file is there though no package
// owns it; then it is taken over.
func (p *Plan) alreadyThere(pkg *pkgfile.Package, f *pkgfile.File, st *unix.Stat_t) (bool, error) {
	if f.Type == pkgfile.TypeHardlink {
		f = pkg.Manifest().File(f.Target)
		if f == nil {
			return false, nil
		}
		f = &pkgfile.File{Path: f.Path, Type: f.Type, Size: f.Size, SHA256: f.SHA256}
	}
	if !looksLike(st, f) {
		return false, nil
	}
	if f.Type == pkgfile.TypeSymlink {
		target, err := p.system.disk.readlink(f.Path)
		return target == f.Target, err
	}
	now, err := p.system.disk.hash(f.Path)
	return now == f.SHA256, err
}

// sameContent reports whether two manifests want the same of a path.
func sameContent(a, b *pkgfile.File) bool {
	return a.Type == b.Type && a.SHA256 == b.SHA256 && a.Target == b.Target && a.Mode == b.Mode && a.Owner == b.Owner &&
		a.Group == b.Group && maps.EqualFunc(a.Xattrs, b.Xattrs, bytes.Equal)
}

// looksLike reports whether what is on disk has the type and size of a file.
func looksLike(st *unix.Stat_t, f *pkgfile.File) bool {
	switch f.Type {
	case pkgfile.TypeFile:
		return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size == f.Size
	case pkgfile.TypeSymlink:
		return st.Mode&unix.S_IFMT == unix.S_IFLNK && st.Size == int64(len(f.Target))
	case pkgfile.TypeHardlink:
		return st.Mode&unix.S_IFMT == unix.S_IFREG
	}
	return isFolder(st)
}

func isFolder(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

// kindOf names a file's type in an error.
func kindOf(st *unix.Stat_t) string {
	kinds := map[uint32]string{unix.S_IFREG: "a file", unix.S_IFLNK: "a symbolic link", unix.S_IFDIR: "a folder"}
	if kind, ok := kinds[st.Mode&unix.S_IFMT]; ok {
		return kind
	}
	return "a special file"
}

// hash returns the sha256 of a regular file.
func (d *disk) hash(path string) (string, error) {
	f, err := d.open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// sortNotes gives the notes an order for people and tests.
func sortNotes(notes []ConfigNote) {
	slices.SortFunc(notes, func(a, b ConfigNote) int { return strings.Compare(a.Path, b.Path) })
}
