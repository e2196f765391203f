package inside

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// Bounds limit what Unpack takes; 0 is no limit.
type Bounds struct {
	Bytes   int64 // of all files together
	Entries int64
}

// window is the most that a packed folder may make a reader remember, in bytes.
const window = 64 << 20

// Unpack fills the empty folder dir with what [Pack] packed. Whatever r holds,
// nothing outside dir is written, and nothing in it twice.
func Unpack(r io.Reader, dir string, bounds Bounds) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return err
	}
	defer z.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := &unpacker{root: root, tar: tar.NewReader(z), bounds: bounds}
	for {
		h, err := u.tar.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read a packed folder: %w", err)
		}
		if err := u.add(h); err != nil {
			return fmt.Errorf("%q: %w", h.Name, err)
		}
	}
	// The end of the compressed data tells whether all of it is there.
	if _, err := io.Copy(io.Discard, io.LimitReader(z, window)); err != nil {
		return fmt.Errorf("read a packed folder: %w", err)
	}
	if u.entries == 0 { // the folder itself is always packed
		return fmt.Errorf("read a packed folder: %w", io.ErrUnexpectedEOF)
	}
	return u.finish()
}

type unpacker struct {
	root    *os.Root
	tar     *tar.Reader
	bounds  Bounds
	bytes   int64
	entries int64
	folders []folder // in the order they came in
}

// folder gets its mode and time when everything in it is written.
type folder struct {
	name string
	mode fs.FileMode
	time time.Time
}

func (u *unpacker) add(h *tar.Header) error {
	name := path.Clean(h.Name)
	if !filepath.IsLocal(name) {
		return errors.New("not a path below the folder")
	}
	u.entries++
	u.bytes += h.Size
	if u.bounds.Entries > 0 && u.entries > u.bounds.Entries {
		return fmt.Errorf("more than %d files", u.bounds.Entries)
	}
	if u.bounds.Bytes > 0 && u.bytes > u.bounds.Bytes {
		return fmt.Errorf("more than %d bytes", u.bounds.Bytes)
	}
	mode := h.FileInfo().Mode()
	switch h.Typeflag {
	case tar.TypeDir:
		if name != "." {
			if err := u.root.Mkdir(name, 0o700); err != nil {
				return err
			}
		}
		u.folders = append(u.folders, folder{name, mode, h.ModTime})
		return nil
	case tar.TypeSymlink:
		return u.root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		first := path.Clean(h.Linkname)
		if info, err := u.root.Lstat(first); err != nil || !info.Mode().IsRegular() {
			return fmt.Errorf("a link to %q, which is no file before it", h.Linkname)
		}
		return u.root.Link(first, name)
	case tar.TypeFifo:
		kind := uint32(unix.S_IFIFO)
		if h.PAXRecords[socketRecord] != "" {
			kind = unix.S_IFSOCK
		}
		return u.node(name, kind|uint32(mode.Perm()))
	case tar.TypeReg:
		return u.file(name, mode, h)
	}
	return fmt.Errorf("type %q is not one of a packed folder", h.Typeflag)
}

func (u *unpacker) file(name string, mode fs.FileMode, h *tar.Header) error {
	f, err := u.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, u.tar)
	err = errors.Join(err, f.Close())
	if err != nil {
		return err
	}
	// In this order: who writes takes setuid bits away.
	if err := u.root.Chmod(name, mode); err != nil {
		return err
	}
	return u.root.Chtimes(name, h.ModTime, h.ModTime)
}

// node makes a pipe or a socket; os.Root has no such call.
func (u *unpacker) node(name string, mode uint32) error {
	dir, err := u.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Mknodat(int(dir.Fd()), path.Base(name), mode, 0)
}

func (u *unpacker) finish() error {
	for i := len(u.folders) - 1; i >= 0; i-- {
		f := u.folders[i]
		err := errors.Join(u.root.Chtimes(f.name, f.time, f.time), u.root.Chmod(f.name, f.mode))
		if err != nil {
			return err
		}
	}
	return nil
}
