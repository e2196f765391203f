package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
)

// folder is a store in a folder, perhaps of a network file system, or what a web
// server serves.
type folder struct{ dir string }

func openFolder(dir string) (Store, error) {
	abs, err := filepath.Abs(dir)
	return &folder{abs}, err
}

func (f *folder) String() string { return f.dir }

// Names below a place, also in URLs.
func entryName(key string) string { return "ac/" + key }
func blobName(b Blob) string      { return "blobs/sha256/" + b.SHA256 }

func (f *folder) open(name string) (*os.File, error) {
	// Without O_NONBLOCK a FIFO put there by somebody would hang us.
	file, err := os.OpenFile(filepath.Join(f.dir, filepath.FromSlash(name)), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		file.Close()
		return nil, errors.Join(err, fmt.Errorf("%s is not a regular file", file.Name()))
	}
	return file, nil
}

func (f *folder) Entry(_ context.Context, key string) ([]byte, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	file, err := f.open(entryName(key))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readEntry(file)
}

// readEntry reads an entry of bounded length.
func readEntry(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxEntry+1))
	if err == nil && len(data) > MaxEntry {
		err = fault.Errorf(fault.Security, "an entry of more than %d bytes", MaxEntry)
	}
	return data, err
}

func (f *folder) PutEntry(_ context.Context, key string, entry []byte, _ []Blob) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	return f.write(entryName(key), bytes.NewReader(entry))
}

func (f *folder) Open(_ context.Context, b Blob) (io.ReadCloser, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	return f.open(blobName(b))
}

func (f *folder) Has(_ context.Context, b Blob) (bool, error) {
	if err := b.check(); err != nil {
		return false, err
	}
	info, err := os.Stat(filepath.Join(f.dir, blobName(b)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Size() == b.Size, err
}

func (f *folder) Put(_ context.Context, b Blob, open func() (io.ReadCloser, error)) error {
	if err := b.check(); err != nil {
		return err
	}
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	return f.write(blobName(b), r)
}

func (f *folder) write(name string, content io.Reader) error {
	path := filepath.Join(f.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return durable.Write(path, 0o644, func(w io.Writer) error {
		_, err := io.Copy(w, content)
		return err
	})
}

// Entries implements Lister.
func (f *folder) Entries(ctx context.Context, yield func(key string) error) error {
	entries, err := os.ReadDir(filepath.Join(f.dir, "ac"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if CheckKey(e.Name()) != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(e.Name()); err != nil {
			return err
		}
	}
	return nil
}
