package store

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// ErrDiffers is wrapped by errors about a file or content that is not what the
// object says.
var ErrDiffers = errors.New("differs from what it should be")

// Put makes an object of content that the caller has verified. mtime is in
// seconds since 1970. An object that is there is fine.
func (s *Store) Put(o *Object, mtime int64, data []byte) error {
	if int64(len(data)) != o.Size {
		return fmt.Errorf("object %s: %d bytes of content instead of %d: %w", o.SHA256, len(data), o.Size, ErrDiffers)
	}
	return s.make(o, mtime, func(f rawFile) error {
		_, err := f.Write(data)
		return err
	})
}

// PutFrom is Put for content that comes in pieces and is verified by r itself,
// which returns io.EOF only if all was right, like the streams of
// pkgfile.Unpack. If the object is there, r is not read.
func (s *Store) PutFrom(o *Object, mtime int64, r io.Reader) error {
	return s.make(o, mtime, func(f rawFile) error {
		n, err := io.Copy(f, r)
		if err == nil && n != o.Size {
			err = fmt.Errorf("%d bytes of content instead of %d: %w", n, o.Size, ErrDiffers)
		}
		return err
	})
}

// make creates an object unless it is there.
func (s *Store) make(o *Object, mtime int64, fill func(rawFile) error) error {
	if o.Size == 0 {
		return nil
	}
	key := o.Key()
	s.claim(key)
	defer s.release(key)
	dir, path, f, err := s.start(o, key)
	if err != nil || f == there {
		return err
	}
	mutate("write", path)
	return s.finish(o, mtime, dir, path, f, fill(f))
}

// there stands for an object that needs no making.
const there = rawFile(-1)

// start creates the file of an object, which the caller has claimed.
func (s *Store) start(o *Object, key Key) (dir int, path string, f rawFile, err error) {
	if dir, err = s.dir(); err != nil {
		return
	}
	path = key.path()
	f, err = s.create(dir, path, key.folder(), o)
	if err == unix.EEXIST {
		var fits bool
		if fits, err = has(dir, path, o); err != nil || fits {
			return dir, path, there, err
		}
		// Left by a crash, or damaged: trees that have it keep theirs.
		mutate("unlink", path)
		if err = unix.Unlinkat(dir, path, 0); err == nil {
			f, err = s.create(dir, path, key.folder(), o)
		}
	}
	if err != nil {
		err = fmt.Errorf("make object %s: %w", path, err)
	}
	return
}

// create creates a file of the store and the folder that it needs.
func (s *Store) create(dir int, path, folder string, o *Object) (rawFile, error) {
	mutate("create", path)
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW
	fd, err := openat(dir, path, flags, o.Mode&0o777)
	if err == unix.ENOENT {
		mutate("mkdir", folder)
		if err := unix.Mkdirat(dir, folder, 0o700); err != nil && err != unix.EEXIST {
			return there, err
		}
		fd, err = openat(dir, path, flags, o.Mode&0o777)
	}
	return rawFile(fd), err
}

// finish gives a filled file its attributes and closes it; if that or the
// filling failed, it removes it.
func (s *Store) finish(o *Object, mtime int64, dir int, path string, f rawFile, err error) error {
	if err == nil {
		mutate("set attributes of", path)
		err = f.dress(o, mtime, s.made.Load())
	}
	if err := closeOrRemove(dir, path, f, err); err != nil {
		return fmt.Errorf("make object %s: %w", path, err)
	}
	return nil
}

// closeOrRemove ends the writing of a file: if anything went wrong, nothing is
// left of it.
func closeOrRemove(dir int, path string, f rawFile, err error) error {
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		mutate("unlink", path)
		unix.Unlinkat(dir, path, 0)
	}
	return err
}
