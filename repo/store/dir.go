package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"

	"golang.org/x/sys/unix"
)

// Dir is a store in a folder of this machine. It never follows a symbolic link,
// within the folder or out of it. What is arriving lies in .ashlar/incoming,
// on the same file system.
type Dir struct {
	dir  string
	root *os.Root
	top  *os.File // open since before the first write, so that syncfs reports every error

	// tree keeps Remove, which removes empty folders, from overtaking a file on
	// its way into one.
	tree    sync.RWMutex
	mu      sync.Mutex
	known   map[string]bool // folders that are there and are no links
	files   []string        // put since the last Sync
	folders map[string]bool // in which a name changed since then
}

const (
	privateDir  = ".ashlar"
	incomingDir = privateDir + "/incoming"
	lockFile    = privateDir + "/mirror.lock"
)

// OpenDir opens the store in a folder, and makes the folder if need be.
func OpenDir(dir string) (*Dir, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	top, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	return &Dir{dir: dir, root: root, top: top, known: map[string]bool{".": true}, folders: map[string]bool{}}, nil
}

func (d *Dir) String() string { return "file://" + d.dir }

// Folder is where the store lies.
func (d *Dir) Folder() string { return d.dir }

// Close implements Store.
func (d *Dir) Close() error { return errors.Join(d.top.Close(), d.root.Close()) }

// Scratch implements Scratcher.
func (d *Dir) Scratch() (string, error) {
	return filepath.Join(d.dir, filepath.FromSlash(incomingDir)), d.makeFolder(incomingDir)
}

// check refuses a path that is none, and one that leads through a link.
func (d *Dir) check(name string) error {
	if err := CheckPath(name); err != nil {
		return err
	}
	return d.checkFolder(path.Dir(name))
}

func (d *Dir) checkFolder(folder string) error {
	d.mu.Lock()
	known := d.known[folder]
	d.mu.Unlock()
	if known {
		return nil
	}
	if err := d.checkFolder(path.Dir(folder)); err != nil {
		return err
	}
	info, err := d.root.Lstat(folder)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder; links are not followed here", filepath.Join(d.dir, folder))
	}
	d.mu.Lock()
	d.known[folder] = true
	d.mu.Unlock()
	return nil
}

// makeFolder makes a folder and those above it, readable by a web server
// whatever the umask.
func (d *Dir) makeFolder(folder string) error {
	err := d.checkFolder(folder)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.makeFolder(path.Dir(folder)); err != nil {
		return err
	}
	err = d.root.Mkdir(folder, 0o755)
	switch {
	case errors.Is(err, fs.ErrExist):
	case err != nil:
		return err
	default:
		if err := d.root.Chmod(folder, 0o755); err != nil {
			return err
		}
		d.changed(path.Dir(folder))
	}
	return d.checkFolder(folder)
}

func (d *Dir) changed(folder string, files ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.folders[folder] = true
	d.files = append(d.files, files...)
}

func (d *Dir) open(name string) (*os.File, fs.FileInfo, error) {
	if err := d.check(name); err != nil {
		return nil, nil, err
	}
	if _, err := d.Stat(context.Background(), name); err != nil {
		return nil, nil, err
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(d, name)
	}
	if err != nil {
		f.Close()
	}
	return f, info, err
}

func notRegular(d *Dir, name string) error {
	return fmt.Errorf("%s is not a regular file", filepath.Join(d.dir, filepath.FromSlash(name)))
}

// Get implements transport.Source.
func (d *Dir) Get(_ context.Context, name string, offset int64) (*transport.Answer, error) {
	f, info, err := d.open(name)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	return &transport.Answer{Body: f, Start: offset, Length: max(0, info.Size()-offset), Framed: true, Whole: offset == 0}, nil
}

// Span implements transport.Source.
func (d *Dir) Span(ctx context.Context, name string, first, end, size int64) (*transport.Answer, error) {
	a, err := d.Get(ctx, name, first)
	if err != nil {
		return nil, err
	}
	if a.Length != size-first {
		a.Body.Close()
		return nil, tuf.Refuse(tuf.Tampered, "length is not the %d bytes that the index states", size)
	}
	a.Length, a.Whole = end-first, a.Whole && end == size
	return a, nil
}

// Stat implements Store.
func (d *Dir) Stat(_ context.Context, name string) (int64, error) {
	if err := d.check(name); err != nil {
		return 0, err
	}
	info, err := d.root.Lstat(name)
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, notRegular(d, name)
	}
	return info.Size(), nil
}

// List implements Store.
func (d *Dir) List(ctx context.Context, folder string, yield func(File) error) error {
	if folder == "" {
		folder = "."
	}
	err := d.checkFolder(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := d.root.Open(folder)
	if err != nil {
		return err
	}
	return d.walk(ctx, f, folder, yield)
}

// walk lists an open folder, and closes it. It goes from folder to folder by
// descriptors: paths would be walked anew for each of many files.
func (d *Dir) walk(ctx context.Context, folder *os.File, name string, yield func(File) error) error {
	defer folder.Close()
	entries, err := folder.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.visit(ctx, folder, e, path.Join(name, e.Name()), yield); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dir) visit(ctx context.Context, folder *os.File, e fs.DirEntry, name string, yield func(File) error) error {
	if e.IsDir() {
		fd, err := unix.Openat(int(folder.Fd()), e.Name(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			return nil // removed meanwhile
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(d.dir, name), err)
		}
		return d.walk(ctx, os.NewFile(uintptr(fd), name), name, yield)
	}
	var info unix.Stat_t
	err := unix.Fstatat(int(folder.Fd()), e.Name(), &info, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(d.dir, name), err)
	}
	f := File{name, info.Size, time.Unix(info.Mtim.Unix())}
	if info.Mode&unix.S_IFMT != unix.S_IFREG {
		f.Size = -1
	}
	return yield(f)
}

// Remove implements Store. Folders that it leaves empty go as well.
func (d *Dir) Remove(_ context.Context, name string) error {
	err := d.check(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d.tree.Lock()
	defer d.tree.Unlock()
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	folder := path.Dir(name)
	for ; path.Dir(folder) != "."; folder = path.Dir(folder) {
		if d.root.Remove(folder) != nil {
			break // not empty, usually
		}
		d.mu.Lock()
		delete(d.known, folder)
		delete(d.folders, folder)
		d.mu.Unlock()
	}
	d.changed(folder)
	return nil
}

// lockWait is how long a program waits for another one.
const lockWait = 30 * time.Second

// Lock implements Locker. It also removes what programs that were killed left
// half written.
func (d *Dir) Lock(ctx context.Context) (unlock func(), err error) {
	if err := d.makeFolder(incomingDir); err != nil {
		return nil, err
	}
	if info, err := d.root.Lstat(lockFile); err == nil && !info.Mode().IsRegular() {
		return nil, notRegular(d, lockFile)
	}
	f, err := d.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	if err := durable.Lock(ctx, f); err != nil {
		f.Close()
		if ctx.Err() == nil {
			return nil, err
		}
		return nil, fault.Mark(fmt.Errorf("another program is writing to %s: %w", d.dir, err), fault.Failed, "wait until it has finished")
	}
	d.sweep()
	return func() { f.Close() }, nil
}

func (d *Dir) sweep() {
	left, _ := fs.Glob(d.root.FS(), incomingDir+"/*.tmp") // the pattern is good
	for _, name := range left {
		d.root.Remove(name)
	}
}

// syncFolder flushes the names of a folder.
func (d *Dir) syncFolder(folder string) error {
	return durable.SyncDir(filepath.Join(d.dir, filepath.FromSlash(folder)))
}
