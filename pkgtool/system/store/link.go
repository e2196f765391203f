package store

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Link gives the object one more name: path below the open folder dir, where
// nothing may be yet (fs.ErrExist). No component of path may be a symbolic link
// that others can make; path normally is one name. An object that has as many
// links as the file system allows gets a fresh inode. An empty file is created.
func (s *Store) Link(o *Object, dir int, path string) error {
	if o.Size == 0 {
		return createEmpty(o, dir, path)
	}
	store, err := s.dir()
	if err != nil {
		return err
	}
	key := o.Key()
	mutate("link", path)
	err = unix.Linkat(store, key.path(), dir, path, 0)
	if err == unix.EMLINK {
		err = s.linkFresh(store, key, o, dir, path)
	}
	if err != nil {
		return fmt.Errorf("link object %s to %s: %w", key.path(), path, err)
	}
	return nil
}

func createEmpty(o *Object, dir int, path string) error {
	mutate("create", path)
	fd, err := openat(dir, path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err == nil {
		// The folder is not the store's, so nothing is known of what files get.
		err = rawFile(fd).dress(o, o.Time, nil)
		err = closeOrRemove(dir, path, rawFile(fd), err)
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return nil
}

// linkFresh gives an object that cannot have more links a fresh inode, and that
// the new name. The old inode lives on in the trees that have it.
func (s *Store) linkFresh(store int, key Key, o *Object, dir int, path string) error {
	s.claim(key)
	defer s.release(key)
	err := unix.Linkat(store, key.path(), dir, path, 0)
	if err != unix.EMLINK {
		return err // somebody else has just done it
	}
	old, err := open(store, key.path())
	if err != nil {
		return err
	}
	defer old.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(old), &st); err != nil {
		return err
	}
	if err := s.replace(store, key, o, st.Mtim.Sec, old); err != nil {
		return err
	}
	mutate("link", path)
	return unix.Linkat(store, key.path(), dir, path, 0)
}
