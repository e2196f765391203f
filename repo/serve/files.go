package serve

import (
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// folder opens files below one folder, never through a symbolic link.
type folder struct{ dir *os.File }

func openFolder(dir string) (folder, error) {
	f, err := os.Open(dir)
	if err != nil {
		return folder{}, err
	}
	if info, err := f.Stat(); err != nil || !info.IsDir() {
		f.Close()
		return folder{}, fmt.Errorf("%s is not a folder", dir)
	}
	return folder{f}, nil
}

// identity changes whenever another file takes a name, or is written to.
type identity struct {
	dev, ino       uint64
	size           int64
	mtime, changed unix.Timespec
}

func identityOf(st *unix.Stat_t) identity {
	return identity{st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim}
}

// is reports whether name still is the file that had an identity. One system
// call; links on the way do not matter, as only the same file has the identity.
func (f folder) is(name string, id *identity) bool {
	var st unix.Stat_t
	err := unix.Fstatat(int(f.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && identityOf(&st) == *id
}

// open opens a regular file that clients may read. Whatever the reason, a file
// that cannot be shown is fs.ErrNotExist, unless the system is out of files.
func (f folder) open(name string) (*os.File, identity, error) {
	if !showable(name) {
		return nil, identity{}, fs.ErrNotExist
	}
	// O_NONBLOCK: opening a fifo would wait for its writer.
	fd, err := unix.Openat2(int(f.dir.Fd()), name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOFOLLOW | unix.O_NOCTTY,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	switch err {
	case nil:
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EIO, unix.ENOSYS:
		return nil, identity{}, fmt.Errorf("open %s: %w", name, err)
	default:
		return nil, identity{}, fs.ErrNotExist
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return nil, identity{}, fs.ErrNotExist
	}
	return os.NewFile(uintptr(fd), name), identityOf(&st), nil
}

// showable reports whether a path, relative to the repository, may name a file
// for clients: clean, below a folder, and no part hidden.
func showable(name string) bool {
	if !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") || !strings.Contains(name, "/") {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") {
			return false
		}
	}
	return true
}
