package system

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"sync"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

// planFile decides where a file that is no folder is written in place: its own
// path, or path.new, or "" to write nothing. conflict tells of a foreign file
// there.
func (p *Plan) planFile(e entry) (to, conflict string, err error) {
	f := e.file
	var st *unix.Stat_t
	if dir := folderOf(f.Path); dir == "" || !p.isAbsent(dir) {
		if st, err = p.system.disk.lstat(f.Path); err != nil {
			return "", "", err
		}
		if conflict, err := p.throughLink(f.Path); conflict != "" || err != nil {
			return "", conflict, err
		}
	}
	old, was := p.live.gone[f.Path]
	switch {
	case isConfig(f):
		to, err = p.planConfig(e, st)
		return to, "", err
	case st == nil:
		return f.Path, "", nil
	case isFolder(st):
		if !p.above[f.Path] && (!was || old.file.Type != pkgfile.TypeDir) {
			return "", fmt.Sprintf("%s (a folder)", f.Path), nil
		}
		p.turned[f.Path] = true // planRemovals takes it away first
		return f.Path, "", nil
	case was:
		if sameEntry(old, e) && looksLike(st, f) {
			return "", "", nil
		}
		return f.Path, "", nil
	}
	same, err := p.alreadyThere(e, f.Path, st)
	if err != nil || same {
		return f.Path, "", err
	}
	return "", fmt.Sprintf("%s (wanted by %s)", f.Path, e.member.manifest.Name), nil
}

// isConfig reports whether an administrator may edit the file. What lies in /usr
// is the packages'.
func isConfig(f *pkgfile.File) bool {
	return f.Config && f.Type == pkgfile.TypeFile && !inTree(f.Path)
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
			if _, was := p.live.gone[parent]; was {
				return "", nil
			}
			return fmt.Sprintf("%s is %s, but %s needs a folder there", parent, kindOf(st), path), nil
		}
	}
	return "", nil
}

// alreadyThere reports whether the very same file is there, at a path on disk,
// though no package owns it; then it is taken over.
func (p *Plan) alreadyThere(e entry, path string, st *unix.Stat_t) (bool, error) {
	if e.object == nil || !looksLike(st, e.object) {
		return false, nil
	}
	if e.object.Type == pkgfile.TypeSymlink {
		target, err := p.system.disk.readlink(path)
		return target == e.object.Target, err
	}
	now, err := p.system.disk.hash(path)
	return now == e.object.SHA256, err
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

func isRegular(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFREG }

// kindOf names a file's type in an error.
func kindOf(st *unix.Stat_t) string {
	kinds := map[uint32]string{unix.S_IFREG: "a file", unix.S_IFLNK: "a symbolic link", unix.S_IFDIR: "a folder"}
	if kind, ok := kinds[st.Mode&unix.S_IFMT]; ok {
		return kind
	}
	return "a special file"
}

// hash returns the sha256 of a regular file.
func (d *disk) hash(path string) (hash string, err error) {
	err = d.at("read", path, func(dir int, base string) error {
		fd, err := unix.Openat(dir, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		if !isRegular(&st) { // a device would never end
			return errors.New("not a regular file")
		}
		hash, err = hashDescriptor(fd)
		return err
	})
	return hash, err
}

// hashDescriptor costs no memory and no system calls but the needed ones, which
// counts with a hundred thousand files.
func hashDescriptor(fd int) (string, error) {
	buffer := hashBuffers.Get().(*[]byte)
	defer hashBuffers.Put(buffer)
	sum := sha256.New()
	for {
		n, err := unix.Read(fd, *buffer)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return "", err
		case n == 0:
			return hex.EncodeToString(sum.Sum(nil)), nil
		}
		sum.Write((*buffer)[:n])
	}
}

var hashBuffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}
