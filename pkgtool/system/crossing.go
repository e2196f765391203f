package system

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// besideSuffix marks a file that is being copied to another file system.
const besideSuffix = ".ashlar-new"

// copyStaged puts a staged file on another file system: a flushed copy beside,
// then one rename. The staged file stays until the transaction ends, so this can
// be done again.
func (d *disk) copyStaged(staging int, name, path string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(staging, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	beside := path + besideSuffix
	if err := d.unlink(beside); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return d.copyLink(staging, name, beside, path, &st)
	}
	fd, err := unix.Openat(staging, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	from := os.NewFile(uintptr(fd), name)
	defer from.Close()
	to, err := d.create(beside, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err == nil {
		err = dress(int(to), st.Uid, st.Gid, st.Mode&0o7777)
	}
	if err == nil {
		err = copyXattrs(fd, int(to))
	}
	if err == nil {
		err = unix.Fsync(int(to))
	}
	if err := errors.Join(err, to.Close()); err != nil {
		return err
	}
	if err := d.setTime(beside, st.Mtim.Sec); err != nil {
		return err
	}
	return d.renameAndFlush(beside, path)
}

func (d *disk) copyLink(staging int, name, beside, path string, st *unix.Stat_t) error {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(staging, name, buf)
	if err != nil {
		return err
	}
	if err := d.symlink(string(buf[:n]), beside); err != nil {
		return err
	}
	if privileged {
		err := d.at("set", beside, func(fd int, base string) error {
			return unix.Fchownat(fd, base, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW)
		})
		if err != nil {
			return err
		}
	}
	return d.renameAndFlush(beside, path)
}

func (d *disk) renameAndFlush(from, to string) error {
	if err := d.rename(from, to); err != nil {
		return err
	}
	if dir := folderOf(to); dir != "" {
		return d.syncFolder(dir)
	}
	return d.syncFolder(".")
}

func copyXattrs(from, to int) error {
	xattrs, err := xattrsOf(from)
	if err != nil {
		return err
	}
	return setXattrs(to, xattrs)
}

// xattrsOf reads the extended attributes of an open file.
func xattrsOf(fd int) (map[string][]byte, error) {
	names := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Flistxattr(fd, names)
	if errors.Is(err, unix.ENOTSUP) || err == nil && n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list attributes: %w", err)
	}
	xattrs := map[string][]byte{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		size, err := unix.Fgetxattr(fd, name, value)
		if err != nil {
			return nil, fmt.Errorf("read attribute %s: %w", name, err)
		}
		xattrs[name] = value[:size]
	}
	return xattrs, nil
}
