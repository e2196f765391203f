package store

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	folderName = "store"
	openMark   = ".open"
)

// BeforeMutation, if set, is called before every change on disk, with what it
// is. Crash tests set it, before the store is used.
var BeforeMutation func(what string)

func mutate(what, name string) {
	if BeforeMutation != nil {
		BeforeMutation("store: " + what + " " + name)
	}
}

// Store is the folder of objects of one system.
type Store struct {
	state  int                      // the state's folder, our own descriptor
	folder atomic.Pointer[int]      // the store's own folder, once it exists
	made   atomic.Pointer[creation] // what a new file gets without our asking, once that is known

	mu   sync.Mutex
	free *sync.Cond       // an object is not being changed any more
	busy map[Key]struct{} // objects being made, replaced or removed
}

// creation is what the kernel gives to a new file in the store: the owner, and
// which permission bits stay. Where it fits, nothing needs to be set.
type creation struct {
	uid, gid uint32
	stays    uint32 // of 0777
}

// Open prepares the use of the store in the state's folder (/.ashlar), given as
// a descriptor, which it duplicates. Nothing is made on disk. Close the store.
func Open(stateDir int) (*Store, error) {
	fd, err := unix.FcntlInt(uintptr(stateDir), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	s := &Store{state: fd, busy: map[Key]struct{}{}}
	s.free = sync.NewCond(&s.mu)
	return s, nil
}

// Close closes the store's descriptors. It changes nothing on disk.
func (s *Store) Close() error {
	if folder := s.folder.Load(); folder != nil {
		unix.Close(*folder)
	}
	return unix.Close(s.state)
}

// dir is the descriptor of the store's folder. It is an error of fs.ErrNotExist
// if nobody has called Begin yet.
func (s *Store) dir() (int, error) {
	if folder := s.folder.Load(); folder != nil {
		return *folder, nil
	}
	fd, err := openat(s.state, folderName, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, fmt.Errorf("open the store: %w", err)
	}
	if !s.folder.CompareAndSwap(nil, &fd) {
		unix.Close(fd) // somebody else was faster
	}
	return *s.folder.Load(), nil
}

// Begin allows objects to be added: it makes the store's folder if need be, and
// leaves a durable mark that there may be objects which are not flushed.
func (s *Store) Begin() error {
	mutate("mkdir", folderName)
	if err := unix.Mkdirat(s.state, folderName, 0o700); err != nil && err != unix.EEXIST {
		return fmt.Errorf("make the store: %w", err)
	}
	dir, err := s.dir()
	if err != nil {
		return err
	}
	mutate("create", openMark)
	// The mark is also the probe for what new files get.
	fd, err := openat(dir, openMark, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o777)
	if err == unix.EEXIST {
		return nil // an earlier run's; its time counts
	}
	if err != nil {
		return fmt.Errorf("mark the store as open: %w", err)
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil {
		err = unix.Fsync(fd)
	}
	unix.Close(fd)
	for _, folder := range []int{dir, s.state} {
		if err == nil {
			err = unix.Fsync(folder)
		}
	}
	if err != nil {
		return fmt.Errorf("mark the store as open: %w", err)
	}
	s.made.Store(&creation{st.Uid, st.Gid, st.Mode & 0o777})
	return nil
}

// Interrupted says that a run between Begin and Seal has ended, or is under way:
// objects may be incomplete.
func (s *Store) Interrupted() (bool, error) {
	st, err := s.mark()
	return st != nil, err
}

// mark returns the mark that Begin leaves, or nil.
func (s *Store) mark() (*unix.Stat_t, error) {
	dir, err := s.dir()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	switch err := unix.Fstatat(dir, openMark, &st, unix.AT_SYMLINK_NOFOLLOW); err {
	case nil:
		return &st, nil
	case unix.ENOENT:
		return nil, nil
	default:
		return nil, fmt.Errorf("look at the store: %w", err)
	}
}

// Seal takes the mark away. Call it when the objects belong to a committed
// generation and are flushed, or after Prune has dealt with an interrupted run.
func (s *Store) Seal() error {
	dir, err := s.dir()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	mutate("unlink", openMark)
	if err := unix.Unlinkat(dir, openMark, 0); err != nil && err != unix.ENOENT {
		return fmt.Errorf("seal the store: %w", err)
	}
	return nil
}

// Has says whether the object is there as far as its inode tells: type, size,
// mode and owner. Check reads the content. Empty files are always there.
func (s *Store) Has(o *Object) (bool, error) {
	if o.Size == 0 {
		return true, nil
	}
	dir, err := s.dir()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return has(dir, o.Key().path(), o)
}

func has(dir int, path string, o *Object) (bool, error) {
	var st unix.Stat_t
	err := unix.Fstatat(dir, path, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at object %s: %w", path, err)
	}
	return o.misfit(&st) == "", nil
}

// claim waits until nobody else changes the object, and keeps others waiting
// until release. Objects are made under their final names, so without it a
// second caller would take a file for an object that is not complete.
func (s *Store) claim(k Key) {
	s.mu.Lock()
	for {
		if _, taken := s.busy[k]; !taken {
			break
		}
		s.free.Wait()
	}
	s.busy[k] = struct{}{}
	s.mu.Unlock()
}

func (s *Store) release(k Key) {
	s.mu.Lock()
	delete(s.busy, k)
	s.mu.Unlock()
	s.free.Broadcast()
}

func openat(dir int, name string, flags int, perm uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, perm)
		if err != unix.EINTR {
			return fd, err
		}
	}
}
