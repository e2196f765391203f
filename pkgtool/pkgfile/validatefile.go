package pkgfile

import (
	"errors"
	"fmt"

	"golang.org/x/text/unicode/norm"
)

func (m *Manifest) checkFiles() error {
	types := make(map[string]*File, len(m.Files))
	folded := map[string]string{}
	var total int64
	for i := range m.Files {
		f := &m.Files[i]
		if err := f.check(); err != nil {
			return fmt.Errorf("file %.200q: %w", f.Path, err)
		}
		if i > 0 && m.Files[i-1].Path >= f.Path {
			return fmt.Errorf("file %.200q: not in order, or twice", f.Path)
		}
		for _, parent := range parents(f.Path) {
			if p := types[parent]; p != nil && p.Type != TypeDir {
				return fmt.Errorf("file %.200q: its folder %.200q is a %s in this package", f.Path, parent, p.Type)
			}
		}
		if f.Type == TypeHardlink {
			if t := types[f.Target]; t == nil || t.Type != TypeFile {
				return fmt.Errorf("file %.200q: hard link to %.200q, which is not a file standing before it", f.Path, f.Target)
			}
		}
		if !isASCII(f.Path) {
			same := norm.NFKC.String(f.Path)
			if other, ok := folded[same]; ok {
				return fmt.Errorf("file %.200q: looks the same as %.200q", f.Path, other)
			}
			folded[same] = f.Path
		}
		types[f.Path] = f
		if total += f.Size; total > maxTotalSize {
			return fmt.Errorf("more than %d bytes of files", int64(maxTotalSize))
		}
	}
	// A path of ASCII is its own normal form, so it need not stand in folded.
	for same, path := range folded {
		if types[same] != nil && same != path {
			return fmt.Errorf("file %.200q: looks the same as %.200q", path, same)
		}
	}
	if m.InstalledSize != total {
		return fmt.Errorf("installed_size is %d; the files sum up to %d", m.InstalledSize, total)
	}
	return nil
}

// check looks at one file without the others.
func (f *File) check() error {
	if err := CheckPath(f.Path); err != nil {
		return err
	}
	bare := File{Path: f.Path, Type: f.Type, Target: f.Target}
	switch f.Type {
	case TypeHardlink:
		if !sameFile(*f, bare) {
			return errors.New("a hard link has nothing but a target")
		}
		return CheckPath(f.Target)
	case TypeSymlink:
		bare.Mode, bare.Owner, bare.Group = 0o777, f.Owner, f.Group
		if !sameFile(*f, bare) {
			return errors.New("a symlink has only a target, owner, group and mode 0777")
		}
		if err := checkSymlink(f.Path, f.Target); err != nil {
			return err
		}
	case TypeDir:
		bare.Target = ""
		bare.Mode, bare.Owner, bare.Group, bare.Xattrs = f.Mode, f.Owner, f.Group, f.Xattrs
		if !sameFile(*f, bare) {
			return errors.New("a folder has no content, no target and is not configuration")
		}
	case TypeFile:
		if f.Target != "" {
			return errors.New("a file has no target")
		}
		if f.Size < 0 || f.Size > maxFileSize {
			return fmt.Errorf("size %d is not possible", f.Size)
		}
		if !isSHA256(f.SHA256) {
			return errors.New("no sha256 of its content")
		}
	default:
		return fmt.Errorf("type %.200q; file, dir, symlink and hardlink exist", f.Type)
	}
	if f.Mode > 0o7777 {
		return fmt.Errorf("mode %o has bits that are not permissions", f.Mode)
	}
	if !isOwner(f.Owner) || !isOwner(f.Group) {
		return fmt.Errorf("owner %.200q or group %.200q is not a name", f.Owner, f.Group)
	}
	return checkXattrs(f.Xattrs)
}

func checkXattrs(xattrs map[string][]byte) error {
	total := 0
	for name, value := range xattrs {
		if !xattrForm.MatchString(name) {
			return fmt.Errorf("extended attribute %.200q is not allowed", name)
		}
		total += len(name) + len(value)
	}
	if total > maxXattrs {
		return fmt.Errorf("%d bytes of extended attributes, more than the %d allowed", total, maxXattrs)
	}
	return nil
}

// sameFile compares all but the values of xattrs.
func sameFile(a, b File) bool {
	if len(a.Xattrs) != len(b.Xattrs) {
		return false
	}
	return a.Config == b.Config && a.Frame == b.Frame && a.Group == b.Group && a.Mode == b.Mode &&
		a.Offset == b.Offset && a.Owner == b.Owner && a.Path == b.Path && a.SHA256 == b.SHA256 &&
		a.Size == b.Size && a.Target == b.Target && a.Type == b.Type
}

// parents lists the folders above a path, the nearest last.
func parents(p string) []string {
	var list []string
	for i, c := range p {
		if c == '/' {
			list = append(list, p[:i])
		}
	}
	return list
}

func isOwner(s string) bool { return s == "root" || ownerForm.MatchString(s) }
