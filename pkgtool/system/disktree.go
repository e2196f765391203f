package system

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"ashlar/pkgtool/mounts"

	"golang.org/x/sys/unix"
)

// clone returns a disk for use by another goroutine. Close its folders with
// forget; the root stays the original's.
func (d *disk) clone() *disk { return &disk{root: d.root, mutate: d.mutate} }

// entry is a name in a folder.
type dirEntry struct {
	name   string
	folder bool
	link   bool // a symbolic link
	file   bool // a regular file
}

// entries returns what is in a folder.
func (d *disk) entries(path string) ([]dirEntry, error) {
	f, err := d.openFolder(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	entries := make([]dirEntry, 0, len(list))
	for _, e := range list {
		entries = append(entries, dirEntry{e.Name(), e.IsDir(), e.Type() == fs.ModeSymlink, e.Type().IsRegular()})
	}
	return entries, nil
}

// openFolder opens a folder for reading.
func (d *disk) openFolder(path string) (*os.File, error) {
	fd, err := d.folder(path)
	if err != nil {
		return nil, err
	}
	n, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(n), path), nil
}

// both runs an operation that needs the folders of two paths at once.
func (d *disk) both(op, from, to string, do func(fromFD int, fromBase string, toFD int, toBase string) error) error {
	fromFD, fromBase, err := d.parent(from)
	if err != nil {
		return err
	}
	if fromFD != int(d.root.Fd()) {
		// The cache holds the folders of one path only.
		if fromFD, err = unix.FcntlInt(uintptr(fromFD), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return err
		}
		defer unix.Close(fromFD)
	}
	return d.change(op, to, func(fd int, base string) error { return do(fromFD, fromBase, fd, base) })
}

// linkAt gives a file, or a symbolic link itself, one more name.
func (d *disk) linkAt(from, to string) error {
	return d.both("link", from, to, func(fromFD int, fromBase string, toFD int, toBase string) error {
		return unix.Linkat(fromFD, fromBase, toFD, toBase, 0)
	})
}

// exchange swaps the names of two folders in one step.
func (d *disk) exchange(a, b string) error {
	d.forget("")
	return d.both("exchange", a, b, func(fromFD int, fromBase string, toFD int, toBase string) error {
		return unix.Renameat2(fromFD, fromBase, toFD, toBase, unix.RENAME_EXCHANGE)
	})
}

// move renames whatever is at from, unless something is at to. It tells whether
// it did; nothing at from is fine.
func (d *disk) move(from, to string) (moved bool, err error) {
	st, err := d.lstat(from)
	if err != nil || st == nil {
		return false, err
	}
	d.forget("")
	err = d.both("move to", to, from, func(toFD int, toBase string, fromFD int, fromBase string) error {
		err := unix.Renameat2(fromFD, fromBase, toFD, toBase, unix.RENAME_NOREPLACE)
		if err == unix.EINVAL || err == unix.ENOSYS { // the file system cannot refuse by itself
			var st unix.Stat_t
			if err := unix.Fstatat(toFD, toBase, &st, unix.AT_SYMLINK_NOFOLLOW); err != unix.ENOENT {
				return errors.Join(err, unix.EEXIST)
			}
			err = unix.Renameat(fromFD, fromBase, toFD, toBase)
		}
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// setTime sets the modification time, in seconds since 1970, of what is at path
// itself.
func (d *disk) setTime(path string, seconds int64) error {
	return d.change("set the time of", path, func(fd int, base string) error {
		t := unix.Timespec{Sec: seconds}
		return unix.UtimesNanoAt(fd, base, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// makeAll makes a folder of our own, and those above it, with the given mode
// where they are missing.
func (d *disk) makeAll(path string, perm uint32) error {
	for _, dir := range append(parents(path), path) {
		if _, err := d.folder(dir); err == nil {
			continue
		}
		if err := d.mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// mounts returns where something is mounted below the root, relative to it.
func (d *disk) mounts() ([]string, error) {
	root, err := os.Readlink("/proc/self/fd/" + itoa(int(d.root.Fd())))
	if err != nil {
		return nil, err
	}
	return mounts.Below(root)
}

// mountedBelow reports whether something is mounted at or below a path, as far
// as the kernel tells: where it does not, the answer is yes.
func (d *disk) mountedBelow(path string) bool {
	places, err := d.mounts()
	return err != nil || slices.ContainsFunc(places, func(at string) bool { return at == path || strings.HasPrefix(at, path+"/") })
}
