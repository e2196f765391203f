package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Replace makes the object anew from r, whether it is there or not, and flushes
// it: for one that is damaged. The content is verified (ErrDiffers); trees that
// have the old file keep it.
func (s *Store) Replace(o *Object, mtime int64, r io.Reader) error {
	if o.Size == 0 {
		return nil
	}
	dir, err := s.dir()
	if err != nil {
		return err
	}
	key := o.Key()
	s.claim(key)
	defer s.release(key)
	return s.replace(dir, key, o, mtime, r)
}

// newSuffix marks a file that is not an object yet. Prune removes such.
const newSuffix = ".new"

// replace writes beside, flushes and renames. The caller has claimed the key.
func (s *Store) replace(dir int, key Key, o *Object, mtime int64, r io.Reader) error {
	path := key.path()
	beside := path + newSuffix
	mutate("unlink", beside)
	if err := unix.Unlinkat(dir, beside, 0); err != nil && err != unix.ENOENT {
		return fmt.Errorf("replace object %s: %w", path, err)
	}
	f, err := s.create(dir, beside, key.folder(), o)
	if err != nil {
		return fmt.Errorf("replace object %s: %w", path, err)
	}
	mutate("write", beside)
	err = copyVerified(f, o, r)
	if err == nil {
		mutate("set attributes of", beside)
		err = f.dress(o, mtime, s.made.Load())
	}
	if err == nil {
		err = unix.Fsync(int(f))
	}
	if err := closeOrRemove(dir, beside, f, err); err != nil {
		return fmt.Errorf("replace object %s: %w", path, err)
	}
	mutate("rename", path)
	if err := unix.Renameat(dir, beside, dir, path); err != nil {
		mutate("unlink", beside)
		unix.Unlinkat(dir, beside, 0)
		return fmt.Errorf("replace object %s: %w", path, err)
	}
	return syncFolder(dir, key.folder())
}

// copyVerified copies exactly the object's content.
func copyVerified(w io.Writer, o *Object, r io.Reader) error {
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(r, o.Size+1))
	if err != nil {
		return err
	}
	if n != o.Size || hex.EncodeToString(sum.Sum(nil)) != o.SHA256 {
		return fmt.Errorf("its content: %w", ErrDiffers)
	}
	return nil
}

func syncFolder(dir int, name string) error {
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Fsync(fd); err != nil {
		return fmt.Errorf("flush the store's folder %s: %w", name, err)
	}
	return nil
}
