package build

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// entry is one path that a build installed. What is on disk is the build's
// word, to be looked at with care: links are never followed.
type entry struct {
	path       string // relative
	kind       fs.FileMode
	mode       fs.FileMode // permission, setuid and setgid bits
	target     string      // of a symbolic link
	inode      uint64
	links      uint64
	size       int64
	executable bool
}

// walk visits everything below root in path order, without following links.
func walk(root *os.Root, dir string, visit func(entry) error) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	list, err := f.ReadDir(-1)
	f.Close()
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, d := range list {
		name := path.Join(dir, d.Name())
		info, err := root.Lstat(name)
		if err != nil {
			return err
		}
		en := entry{path: name, kind: info.Mode().Type(), mode: info.Mode(), size: info.Size(), executable: info.Mode()&0o111 != 0}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			en.inode, en.links = st.Ino, uint64(st.Nlink)
		}
		if en.kind == fs.ModeSymlink {
			if en.target, err = root.Readlink(name); err != nil {
				return err
			}
		}
		if err := visit(en); err != nil {
			return err
		}
		if en.kind == fs.ModeDir {
			if err := walk(root, name, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// tidy makes what was installed readable by its owner, and removes what never
// belongs into a package.
func tidy(dest string) error {
	root, err := os.OpenRoot(dest)
	if err != nil {
		return err
	}
	defer root.Close()
	var remove []string
	err = walk(root, ".", func(en entry) error {
		switch en.kind {
		case fs.ModeDir:
			if en.mode&0o700 != 0o700 {
				return root.Chmod(en.path, en.mode.Perm()|0o700)
			}
		case fs.ModeSymlink:
		case 0:
			if strings.HasSuffix(en.path, ".la") && isLibtool(root, en.path) || en.path == "usr/share/info/dir" ||
				path.Base(en.path) == "perllocal.pod" {
				remove = append(remove, en.path)
			} else if en.mode&0o600 != 0o600 {
				// Strip writes to it; the bits that others get stay.
				return root.Chmod(en.path, en.mode|0o600)
			}
		default:
			return fmt.Errorf("the build installed /%s, a %s; devices, sockets and pipes belong into tmpfiles.d", en.path, kindName(en.kind))
		}
		return nil
	})
	for _, name := range remove {
		err = errors.Join(err, root.Remove(name))
	}
	return err
}

func kindName(kind fs.FileMode) string {
	switch kind {
	case fs.ModeNamedPipe:
		return "named pipe"
	case fs.ModeSocket:
		return "socket"
	}
	return "device"
}

// isLibtool tells a libtool archive from other files called *.la.
func isLibtool(root *os.Root, name string) bool {
	return strings.Contains(string(head(root, name, 256)), "libtool")
}

// head returns the first bytes of a file, or nothing.
func head(root *os.Root, name string, n int) []byte {
	f, err := root.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	buf := make([]byte, n)
	got, _ := io.ReadFull(f, buf)
	return buf[:got]
}
