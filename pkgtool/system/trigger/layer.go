package trigger

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

// What a layer says about a path.
type presence int

const (
	absent presence = iota // nothing; ask the next layer
	here                   // it is here
	hidden                 // it is nowhere: something here is in its way
)

// lookIn looks for a path in one layer without following symbolic links.
func lookIn(layer, path string) (string, presence) {
	at := layer
	parts := strings.Split(path, "/")
	if path == "" {
		parts = nil
	}
	for i, part := range parts {
		at = filepath.Join(at, part)
		var st unix.Stat_t
		if err := unix.Lstat(at, &st); err != nil {
			return "", absent
		}
		if isWhiteout(&st) || i < len(parts)-1 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return "", hidden
		}
	}
	return at, here
}

// special is the type of devices, sockets and FIFOs.
const special = "special"

func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// describe reads what is at a place on disk.
func describe(at, path string) (*Change, error) {
	var st unix.Stat_t
	if err := unix.Lstat(at, &st); err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: at, Err: err}
	}
	c := &Change{Path: path, Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		c.Type, c.Size, c.Source = pkgfile.TypeFile, st.Size, at
	case unix.S_IFDIR:
		c.Type = pkgfile.TypeDir
	case unix.S_IFLNK:
		target, err := os.Readlink(at)
		if err != nil {
			return nil, err
		}
		c.Type, c.Mode, c.Target = pkgfile.TypeSymlink, 0o777, target
		return c, nil
	default:
		if isWhiteout(&st) {
			return &Change{Path: path, Type: Removed}, nil
		}
		c.Type = special
		return c, nil
	}
	var err error
	c.Xattrs, err = attributes(at)
	return c, err
}

// attributes reads the extended attributes but for SELinux's labels, which the
// running system's policy gives.
func attributes(at string) (map[string][]byte, error) {
	size, err := unix.Llistxattr(at, nil)
	if errors.Is(err, unix.ENOTSUP) || size == 0 {
		return nil, nil
	}
	buf := make([]byte, max(size, 0))
	if err == nil {
		size, err = unix.Llistxattr(at, buf)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "listxattr", Path: at, Err: err}
	}
	attrs := map[string][]byte{}
	for name := range strings.SplitSeq(string(buf[:size]), "\x00") {
		// Overlayfs counts attributes of its own for the size and then leaves them out.
		if name == "" || name == "security.selinux" {
			continue
		}
		n, err := unix.Lgetxattr(at, name, nil)
		if err != nil {
			return nil, &fs.PathError{Op: "getxattr " + name, Path: at, Err: err}
		}
		value := make([]byte, n)
		if n > 0 {
			if n, err = unix.Lgetxattr(at, name, value); err != nil {
				return nil, &fs.PathError{Op: "getxattr " + name, Path: at, Err: err}
			}
		}
		attrs[name] = value[:n]
	}
	return attrs, nil
}

// equal reports whether a path is as it was before.
func equal(a, b *Change) (bool, error) {
	if a.Type != b.Type || a.Mode != b.Mode || a.UID != b.UID || a.GID != b.GID || a.Target != b.Target || a.Size != b.Size ||
		!maps.EqualFunc(a.Xattrs, b.Xattrs, bytes.Equal) {
		return false, nil
	}
	if a.Type != pkgfile.TypeFile {
		return true, nil
	}
	return sameContent(a.Source, b.Source)
}

func sameContent(a, b string) (bool, error) {
	x, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer x.Close()
	y, err := os.Open(b)
	if err != nil {
		return false, err
	}
	defer y.Close()
	p, q := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errX := io.ReadFull(x, p)
		m, errY := io.ReadFull(y, q)
		if !bytes.Equal(p[:n], q[:m]) {
			return false, nil
		}
		if end := errors.Is(errX, io.EOF) || errors.Is(errX, io.ErrUnexpectedEOF); end || errX != nil || errY != nil {
			if end {
				return true, nil
			}
			return false, errors.Join(errX, errY)
		}
	}
}
