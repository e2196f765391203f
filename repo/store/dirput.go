package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"

	"ashlar/repo/transport"
	"ashlar/repo/tuf"

	"golang.org/x/sys/unix"
)

// fewFiles is up to how many files Sync flushes one by one. Beyond that, one
// flush of the whole file system costs less, though it takes with it what
// other programs wrote.
const fewFiles = 32

// PutFile implements Store.
func (d *Dir) PutFile(ctx context.Context, name, local string, o PutOptions) error {
	if err := CheckPath(name); err != nil {
		return err
	}
	if o.Consume {
		err := d.take(name, local, o.Size)
		if !errors.Is(err, unix.EXDEV) {
			return err
		}
	}
	source, err := transport.OpenRegular(local)
	if err != nil {
		return err
	}
	defer source.Close()
	err = d.write(name, func(f *os.File) error { return clone(ctx, f, source, o) })
	if err == nil && o.Consume {
		err = os.Remove(local)
	}
	return err
}

// take renames a file of this machine into the store.
func (d *Dir) take(name, local string, size int64) error {
	info, err := os.Lstat(local)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != size {
		return tuf.Refuse(tuf.Tampered, "%s is not the file of %d bytes that it was", local, size)
	}
	if err := os.Chmod(local, 0o644); err != nil {
		return err
	}
	return d.place(name, func(folder *os.File) error {
		return unix.Renameat(unix.AT_FDCWD, local, int(folder.Fd()), path.Base(name))
	})
}

// place makes the folder of name, calls rename with it and notes the change.
func (d *Dir) place(name string, rename func(folder *os.File) error) error {
	d.tree.RLock()
	defer d.tree.RUnlock()
	folder := path.Dir(name)
	if err := d.makeFolder(folder); err != nil {
		return err
	}
	f, err := d.root.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := rename(f); err != nil {
		return fmt.Errorf("place %s: %w", filepath.Join(d.dir, filepath.FromSlash(name)), err)
	}
	d.changed(folder, name)
	return nil
}

// write lets fill write a temporary file and renames it to name.
func (d *Dir) write(name string, fill func(*os.File) error) (err error) {
	if err := d.makeFolder(incomingDir); err != nil {
		return err
	}
	temporary := fmt.Sprintf("%s/%d-%016x.tmp", incomingDir, os.Getpid(), rand.Uint64())
	f, err := d.root.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		if err != nil {
			d.root.Remove(temporary)
		}
	}()
	if err := fill(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return d.place(name, func(*os.File) error { return d.root.Rename(temporary, name) })
}

// clone copies a file, by reference where the file system can, and proves that
// the copy is what o says.
func clone(ctx context.Context, to, from *os.File, o PutOptions) error {
	sum := sha256.New()
	var body io.Reader = &interruptible{ctx, from}
	var copied io.Writer = io.MultiWriter(to, sum)
	if unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) == nil {
		body, copied = &interruptible{ctx, to}, sum
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{copied}, io.LimitReader(body, o.Size+1), make([]byte, min(o.Size+1, 256<<10)))
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != o.Size || o.SHA256 != "" && got != o.SHA256 {
		return tuf.Refuse(tuf.Tampered, "%s has %d bytes or more, sha256 %s, instead of %d bytes, sha256 %s", from.Name(), n, got, o.Size, o.SHA256)
	}
	return nil
}

// interruptible is a reader that ends with its context.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// PutBytes implements Store. The content is flushed before it gets its name.
func (d *Dir) PutBytes(_ context.Context, name string, data []byte) error {
	if err := CheckPath(name); err != nil {
		return err
	}
	return d.write(name, func(f *os.File) error { return fillDurably(f, data) })
}

func fillDurably(f *os.File, data []byte) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// Switch implements Store: one rename.
func (d *Dir) Switch(ctx context.Context, name string, data []byte) error {
	if err := CheckPath(name); err != nil {
		return err
	}
	err := d.write(name, func(f *os.File) error {
		if err := fillDurably(f, data); err != nil {
			return err
		}
		return d.Sync(ctx)
	})
	if err != nil {
		return err
	}
	return d.Sync(ctx)
}

// Sync implements Store.
func (d *Dir) Sync(ctx context.Context) error {
	d.mu.Lock()
	files, folders := d.files, d.folders
	d.files, d.folders = nil, map[string]bool{}
	d.mu.Unlock()
	err := d.flush(ctx, files, folders)
	if err != nil { // the next one has to try again
		d.mu.Lock()
		defer d.mu.Unlock()
		d.files = append(d.files, files...)
		for f := range folders {
			d.folders[f] = true
		}
	}
	return err
}

func (d *Dir) flush(ctx context.Context, files []string, folders map[string]bool) error {
	if len(files)+len(folders) == 0 {
		return nil
	}
	if len(files)+len(folders) > fewFiles {
		if err := unix.Syncfs(int(d.top.Fd())); err == nil || !errors.Is(err, unix.ENOSYS) {
			return err
		}
	}
	for _, name := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := d.root.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return fmt.Errorf("flush %s: %w", f.Name(), err)
		}
	}
	for folder := range folders {
		if err := d.syncFolder(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
