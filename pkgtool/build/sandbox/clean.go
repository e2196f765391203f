package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"ashlar/pkgtool/fault"

	"golang.org/x/sys/unix"
)

// RemoveTree removes a folder that a build wrote to, whatever it left there:
// folders without permissions, trees of any depth and with paths of any length,
// sockets, pipes, files that may not be changed (as root). Symbolic links are
// not followed. It is no error when dir is not there. Nobody else may write to
// the tree meanwhile: the processes of the build have ended.
func RemoveTree(dir string) error {
	parent, err := unix.Open(filepath.Dir(dir), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: filepath.Dir(dir), Err: err}
	}
	defer unix.Close(parent)
	err = removeAt(parent, filepath.Base(dir))
	switch {
	case err == nil || errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		err = fault.Mark(err, fault.Failed, "remove it as root, after chattr -R -i -a")
	}
	return fmt.Errorf("remove what a build left in %s: %w", dir, err)
}

// Flags of a file, from linux/fs.h.
const (
	flagImmutable = 0x10
	flagAppend    = 0x20
)

// batch is how many names of a folder are held at a time.
const batch = 1024

// level is a folder on the way from the top to where removing has come to.
type level struct {
	name     string   // in the folder above
	dev, ino uint64   // of the folder above, to which ".." must lead back
	folders  []string // still to be removed, of the names read so far
}

// removeAt removes name below the folder parent. It keeps one folder open, not
// one for each level, and goes back by ".."; so depth costs no descriptors.
func removeAt(parent int, name string) error {
	if err := unlink(parent, name); err == nil || !isFilled(err) {
		return err
	}
	here, err := unix.FcntlInt(uintptr(parent), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { unix.Close(here) }()
	move := func(name string, flags int) error {
		next, err := unix.Openat(here, name, flags|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		unix.Close(here)
		here = next
		return nil
	}
	var above []level
	down := func(name string) error {
		var st unix.Stat_t
		if err := unix.Fstat(here, &st); err != nil {
			return err
		}
		if err := openFolder(here, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		above = append(above, level{name: name, dev: st.Dev, ino: st.Ino})
		return move(name, unix.O_RDONLY)
	}
	if err := down(name); err != nil {
		return err
	}
	for len(above) > 0 {
		current := &above[len(above)-1]
		if len(current.folders) == 0 {
			if current.folders, err = emptyFiles(here); err != nil {
				return err
			}
		}
		if n := len(current.folders); n > 0 {
			next := current.folders[n-1]
			current.folders = current.folders[:n-1]
			if err := down(next); err != nil {
				return err
			}
			continue
		}
		done := *current
		above = above[:len(above)-1]
		if err := move("..", unix.O_RDONLY); err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Fstat(here, &st); err != nil {
			return err
		}
		if st.Dev != done.dev || st.Ino != done.ino {
			return fmt.Errorf("%s was moved while it was removed", done.name)
		}
		if err := unlink(here, done.name); err != nil {
			return err
		}
	}
	return nil
}

// openFolder gives a folder's owner all rights, where something lacks.
func openFolder(dir int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	if st.Mode&0o700 == 0o700 {
		return nil
	}
	return unix.Fchmodat(dir, name, 0o700, 0)
}

// emptyFiles removes files and empty folders from the open folder until it
// meets folders that are not empty, and returns these; none when nothing is
// left.
func emptyFiles(dir int) ([]string, error) {
	for {
		names, err := someNames(dir)
		if err != nil || len(names) == 0 {
			return nil, err
		}
		var folders []string
		for _, name := range names {
			switch err := unlink(dir, name); {
			case err == nil:
			case isFilled(err):
				folders = append(folders, name)
			default:
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		if len(folders) > 0 {
			return folders, nil
		}
	}
}

// someNames reads a batch of the names in the open folder, from its beginning.
func someNames(dir int) ([]string, error) {
	copied, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	folder := os.NewFile(uintptr(copied), ".")
	defer folder.Close()
	names, err := folder.Readdirnames(batch)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

// isFilled says that an unlink met a folder with something in it, or one that
// cannot be looked into.
func isFilled(err error) bool {
	return errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST)
}

// unlink removes a file or an empty folder. Where the file system says that one
// of them or the folder above may not be changed, it takes that away and tries
// again.
func unlink(dir int, name string) error {
	err := unlinkOnce(dir, name)
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return err
	}
	makeChangeable(dir, ".")
	makeChangeable(dir, name)
	return unlinkOnce(dir, name)
}

func unlinkOnce(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
		if again := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); !errors.Is(again, unix.ENOTDIR) {
			return again
		}
	}
	return err
}

// makeChangeable takes the flags immutable and append-only from a file or
// folder. Only root can; what fails is seen by the next attempt to remove.
func makeChangeable(dir int, name string) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return // nothing else has flags, and opening a pipe waits
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err == nil && flags&(flagImmutable|flagAppend) != 0 {
		unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags&^(flagImmutable|flagAppend))
	}
	runtime.KeepAlive(file)
}
