package trigger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

// makeFolder makes a folder with just this mode, whatever the umask.
func makeFolder(path string, mode fs.FileMode) error {
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// copyFolder makes a folder with the mode and, for root, the owner of another.
func copyFolder(path, like string) error {
	var st unix.Stat_t
	if err := unix.Lstat(like, &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: like, Err: err}
	}
	return put(path, File{Path: path, Type: pkgfile.TypeDir, Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid})
}

// put makes a file of the target at path.
func put(path string, f File) error {
	switch f.Type {
	case pkgfile.TypeDir:
		if os.Geteuid() != 0 {
			f.Mode |= 0o700 // we must be able to fill it
		}
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case pkgfile.TypeSymlink:
		if err := os.Symlink(f.Target, path); err != nil {
			return err
		}
	case pkgfile.TypeFile:
		if done, err := linkFile(path, f); done || err != nil {
			return err
		}
		if err := copyFile(path, f.Source); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s: a %s cannot be shown to triggers", f.Path, f.Type)
	}
	if os.Geteuid() == 0 {
		if err := unix.Lchown(path, int(f.UID), int(f.GID)); err != nil {
			return &fs.PathError{Op: "chown", Path: path, Err: err}
		}
	}
	if f.Type == pkgfile.TypeSymlink {
		return nil
	}
	if err := unix.Chmod(path, f.Mode&0o7777); err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: err}
	}
	return nil
}

// linkFile makes path another name of the file's source if that has the right
// mode and owner, and is on the same file system.
func linkFile(path string, f File) (bool, error) {
	var st unix.Stat_t
	if err := unix.Stat(f.Source, &st); err != nil {
		return false, &fs.PathError{Op: "stat", Path: f.Source, Err: err}
	}
	if st.Mode != unix.S_IFREG|f.Mode&0o7777 || os.Geteuid() == 0 && (st.Uid != f.UID || st.Gid != f.GID) {
		return false, nil
	}
	err := os.Link(f.Source, path)
	for _, reason := range []error{unix.EXDEV, unix.EMLINK, unix.EPERM} {
		if errors.Is(err, reason) {
			return false, nil
		}
	}
	return err == nil, err
}

func copyFile(path, source string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
