package system

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// disk does file operations below a root folder. Every component of a path is
// opened without following symbolic links, so nothing outside can be reached,
// whatever somebody put into the tree. Paths are relative and clean; "." is
// the root. A disk is not safe for concurrent use.
type disk struct {
	root    *os.File
	folders []folder // the open folders on the way to the last path used
	mutate  func(what string)
}

type folder struct { // an open one
	path string
	fd   int
}

// errNoFolder says that a component of a path is missing or is no folder.
var errNoFolder = errors.New("not a folder")

func openDisk(root string) (*disk, error) {
	f, err := os.OpenFile(root, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &disk{root: f, mutate: beforeMutation}, nil
}

// beforeMutation, if set, is called before every change on disk, with what it
// is. Crash tests set it.
var beforeMutation func(what string)

func (d *disk) close() {
	d.forget("")
	d.root.Close()
}

// forget closes cached folders at and below path; "" is all of them.
func (d *disk) forget(path string) {
	for i, f := range d.folders {
		if path == "" || f.path == path || strings.HasPrefix(f.path, path+"/") {
			for _, f := range d.folders[i:] {
				unix.Close(f.fd)
			}
			d.folders = d.folders[:i]
			return
		}
	}
}

// parent opens the folder that path is in and returns it with the last element.
func (d *disk) parent(path string) (fd int, base string, err error) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return int(d.root.Fd()), path, nil
	}
	fd, err = d.folder(path[:i])
	return fd, path[i+1:], err
}

// folder opens a folder. The descriptor stays valid until the next call.
func (d *disk) folder(path string) (int, error) {
	for len(d.folders) > 0 {
		last := d.folders[len(d.folders)-1]
		if path == last.path {
			return last.fd, nil
		}
		if strings.HasPrefix(path, last.path+"/") {
			break
		}
		unix.Close(last.fd)
		d.folders = d.folders[:len(d.folders)-1]
	}
	fd, done := int(d.root.Fd()), 0
	if n := len(d.folders); n > 0 {
		fd, done = d.folders[n-1].fd, len(d.folders[n-1].path)+1
	}
	if path == "." {
		return fd, nil
	}
	for done < len(path) {
		end := strings.IndexByte(path[done:], '/') + done
		if end < done {
			end = len(path)
		}
		next, err := unix.Openat(fd, path[done:end], unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			err = &fs.PathError{Op: "open", Path: path[:end], Err: err}
			if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOENT) {
				err = fmt.Errorf("%w: %w", errNoFolder, err)
			}
			return 0, err
		}
		d.folders = append(d.folders, folder{path[:end], next})
		fd, done = next, end+1
	}
	return fd, nil
}

// at runs an operation on the last element of path inside its folder.
func (d *disk) at(op, path string, do func(fd int, base string) error) error {
	fd, base, err := d.parent(path)
	if err != nil {
		return err
	}
	if err := do(fd, base); err != nil {
		return &fs.PathError{Op: op, Path: path, Err: err}
	}
	return nil
}

// change is at for what changes the disk.
func (d *disk) change(op, path string, do func(fd int, base string) error) error {
	if d.mutate != nil {
		d.mutate(op + " " + path)
	}
	return d.at(op, path, do)
}

// lstat returns what is at path, or nil if nothing is there.
func (d *disk) lstat(path string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	err := d.at("lstat", path, func(fd int, base string) error {
		return unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &st, nil
}

func (d *disk) readlink(path string) (target string, err error) {
	err = d.at("readlink", path, func(fd int, base string) error {
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, base, buf)
		target = string(buf[:max(n, 0)])
		return err
	})
	return target, err
}

// open opens a regular file for reading. It never waits for a FIFO.
func (d *disk) open(path string) (f *os.File, err error) {
	err = d.at("open", path, func(fd int, base string) error {
		n, err := unix.Openat(fd, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		f = os.NewFile(uintptr(n), path)
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			f.Close()
			return errors.Join(err, errors.New("not a regular file"))
		}
		return nil
	})
	return f, err
}

// readFile reads a file of at most limit bytes. A larger one is refused before
// anything of it is read.
func (d *disk) readFile(path string, limit int64) ([]byte, error) {
	f, err := d.open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d allowed", path, info.Size(), limit)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}

// list returns the names in a folder, sorted.
func (d *disk) list(path string) ([]string, error) {
	fd, err := d.folder(path)
	if err != nil {
		return nil, err
	}
	n, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(n), path)
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}

// rawFile is a file being written. Unlike os.File it costs no system calls but
// the needed ones, which counts with a hundred thousand small files.
type rawFile int

func (f rawFile) Write(data []byte) (written int, err error) {
	for written < len(data) {
		n, err := unix.Write(int(f), data[written:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

func (f rawFile) Close() error { return unix.Close(int(f)) }

// create creates a file that must not exist yet.
func (d *disk) create(path string, perm uint32) (f rawFile, err error) {
	err = d.change("create", path, func(fd int, base string) error {
		n, err := unix.Openat(fd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, perm)
		f = rawFile(n)
		return err
	})
	return f, err
}

func (d *disk) mkdir(path string, perm uint32) error {
	return d.change("mkdir", path, func(fd int, base string) error { return unix.Mkdirat(fd, base, perm) })
}

func (d *disk) symlink(target, path string) error {
	return d.change("symlink", path, func(fd int, base string) error { return unix.Symlinkat(target, fd, base) })
}

// link makes newBase another name of oldBase, both in one folder.
func (d *disk) link(dir, oldBase, newBase string) error {
	return d.change("link", dir+"/"+newBase, func(fd int, base string) error {
		return unix.Linkat(fd, oldBase, fd, base, 0)
	})
}

// rename moves a file that is not a folder, replacing what is there.
func (d *disk) rename(from, to string) error {
	// Two folders are needed at once, and the cache holds one path.
	fromFD, fromBase, err := d.parent(from)
	if err != nil {
		return err
	}
	if fromFD != int(d.root.Fd()) {
		if fromFD, err = unix.FcntlInt(uintptr(fromFD), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return err
		}
		defer unix.Close(fromFD)
	}
	return d.renameFrom(fromFD, fromBase, to)
}

func (d *disk) renameFrom(fromFD int, fromBase, to string) error {
	return d.change("rename to", to, func(fd int, base string) error {
		return unix.Renameat(fromFD, fromBase, fd, base)
	})
}

// unlink removes what is at path unless it is a folder. Nothing there, or a
// folder, is fine: then an earlier run has done it.
func (d *disk) unlink(path string) error {
	err := d.change("unlink", path, func(fd int, base string) error {
		var st unix.Stat_t
		if err := unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return nil
		}
		return unix.Unlinkat(fd, base, 0)
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) {
		return nil
	}
	return err
}

// rmdir removes a folder if it is there, is a folder and is empty.
func (d *disk) rmdir(path string) error {
	d.forget(path)
	err := d.change("rmdir", path, func(fd int, base string) error {
		return unix.Unlinkat(fd, base, unix.AT_REMOVEDIR)
	})
	for _, fine := range []error{fs.ErrNotExist, errNoFolder, unix.ENOTEMPTY, unix.EEXIST, unix.ENOTDIR, unix.EBUSY} {
		if errors.Is(err, fine) {
			return nil
		}
	}
	return err
}

// removeAll removes a folder of our own with all that is in it, also where a
// trigger of an ordinary user, or overlayfs, took away its permissions.
func (d *disk) removeAll(path string) error {
	err := d.removeFolder(path)
	if privileged || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if d.openUp(path) != nil {
		return err // of a file: the folder that it is in has to be opened up
	}
	return d.removeFolder(path)
}

func (d *disk) removeFolder(path string) error {
	names, err := d.list(path)
	if errors.Is(err, errNoFolder) || errors.Is(err, fs.ErrNotExist) {
		return d.unlink(path)
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := d.removeAll(path + "/" + name); err != nil {
			return err
		}
	}
	return d.rmdir(path)
}

// openUp makes a folder usable by its owner, even if he may not read it now.
func (d *disk) openUp(path string) error {
	return d.change("open up", path, func(fd int, base string) error {
		n, err := unix.Openat(fd, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(n)
		return unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", n), 0o700)
	})
}

// syncFolder flushes the names in a folder.
func (d *disk) syncFolder(path string) error {
	fd, err := d.folder(path)
	if err != nil {
		return err
	}
	n, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(n)
	if err := unix.Fsync(n); err != nil {
		return &fs.PathError{Op: "flush", Path: path, Err: err}
	}
	return nil
}

// syncAll flushes the whole file system that the state is on.
func (d *disk) syncAll() error {
	fd, err := d.folder(stateDir)
	if err != nil {
		return err
	}
	n, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(n)
	if err := unix.Syncfs(n); err != nil {
		return fmt.Errorf("flush the file system: %w", err)
	}
	return nil
}

// moveInto renames within a folder and flushes the folder.
func (d *disk) moveInto(from, to string) error {
	if err := d.rename(from, to); err != nil {
		return err
	}
	return d.syncFolder(to[:strings.LastIndexByte(to, '/')])
}
