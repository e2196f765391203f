package store

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// Adopt makes an existing file an object, without copying: it gets one more
// name. It proves first that the file is what the object says, else ErrDiffers.
// The object shares the file's inode and keeps its time. One that is there is
// fine. dir and the store must be on one file system.
func (s *Store) Adopt(o *Object, dir int, name string) error {
	if o.Size == 0 {
		return nil
	}
	store, err := s.dir()
	if err != nil {
		return err
	}
	key := o.Key()
	s.claim(key)
	defer s.release(key)
	path := key.path()
	if fits, err := has(store, path, o); err != nil || fits {
		return err
	}
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("adopt %s: %w", name, err)
	}
	f := rawFile(fd)
	defer f.Close()
	if err := match(context.Background(), f, o); err != nil {
		return fmt.Errorf("adopt %s: %w", name, err)
	}
	if err := adopt(store, key, f, dir, name); err != nil {
		return fmt.Errorf("adopt %s: %w", name, err)
	}
	return nil
}

// adopt links a proved file into the store, and proves that it was that one:
// the name may have been given to another meanwhile.
func adopt(store int, key Key, f rawFile, dir int, name string) error {
	path := key.path()
	mutate("link", path)
	err := unix.Linkat(dir, name, store, path, 0)
	if err == unix.ENOENT {
		mutate("mkdir", key.folder())
		if err := unix.Mkdirat(store, key.folder(), 0o700); err != nil && err != unix.EEXIST {
			return err
		}
		err = unix.Linkat(dir, name, store, path, 0)
	}
	if err == unix.EEXIST { // what is there does not fit, as the caller found
		mutate("unlink", path)
		if err := unix.Unlinkat(store, path, 0); err != nil {
			return err
		}
		err = unix.Linkat(dir, name, store, path, 0)
	}
	if err != nil {
		return err
	}
	var proved, linked unix.Stat_t
	if err := unix.Fstat(int(f), &proved); err != nil {
		return err
	}
	err = unix.Fstatat(store, path, &linked, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && (proved.Ino != linked.Ino || proved.Dev != linked.Dev) {
		err = fmt.Errorf("it was replaced meanwhile: %w", ErrDiffers)
	}
	if err != nil {
		mutate("unlink", path)
		unix.Unlinkat(store, path, 0)
	}
	return err
}
