package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Open opens the object for reading. Its content is not verified: an object can
// be damaged after it was made, and the reader who minds hashes what it reads
// or calls Check. Close the file.
func (s *Store) Open(o *Object) (*os.File, error) {
	if o.Size == 0 {
		fd, err := unix.MemfdCreate("empty", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(fd), "empty"), nil
	}
	dir, err := s.dir()
	if err != nil {
		return nil, err
	}
	path := o.Key().path()
	f, err := open(dir, path)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(f), path), nil
}

// open opens an object for reading.
func open(dir int, path string) (rawFile, error) {
	fd, err := openat(dir, path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return there, fmt.Errorf("open object %s: %w", path, err)
	}
	return rawFile(fd), nil
}

// Check proves that the object is what it should be: type, size, mode, owner,
// attributes and content. ErrDiffers and fs.ErrNotExist say what is wrong.
func (s *Store) Check(ctx context.Context, o *Object) error {
	if o.Size == 0 {
		return ctx.Err()
	}
	dir, err := s.dir()
	if err != nil {
		return err
	}
	path := o.Key().path()
	f, err := open(dir, path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := match(ctx, f, o); err != nil {
		return fmt.Errorf("object %s: %w", path, err)
	}
	return nil
}

// match proves that an open file is what the object says.
func match(ctx context.Context, f rawFile, o *Object) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f), &st); err != nil {
		return err
	}
	if misfit := o.misfit(&st); misfit != "" {
		return fmt.Errorf("%s: %w", misfit, ErrDiffers)
	}
	attributes, err := readAttributes(int(f))
	if err != nil {
		return err
	}
	for name, value := range o.Xattrs {
		if now, ok := attributes[name]; !ok || !bytes.Equal(now, value) {
			return fmt.Errorf("attribute %s: %w", name, ErrDiffers)
		}
	}
	for name := range attributes {
		if _, ok := o.Xattrs[name]; !ok && !byKernel(name) {
			return fmt.Errorf("attribute %s: %w", name, ErrDiffers)
		}
	}
	sum, err := hashOf(ctx, f, st.Size)
	if err != nil {
		return err
	}
	if sum != o.SHA256 {
		return fmt.Errorf("its content: %w", ErrDiffers)
	}
	return nil
}

// byKernel says that security modules give an attribute to files by themselves.
func byKernel(name string) bool {
	switch name {
	case "security.selinux", "security.SMACK64", "security.apparmor", "security.ima", "security.evm":
		return true
	}
	return false
}

// readAttributes returns the extended attributes of a file.
func readAttributes(fd int) (map[string][]byte, error) {
	names := make([]byte, 1024)
	n, err := unix.Flistxattr(fd, names)
	if err == unix.ERANGE {
		names = make([]byte, 64<<10) // XATTR_LIST_MAX
		n, err = unix.Flistxattr(fd, names)
	}
	if errors.Is(err, unix.ENOTSUP) || n == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list attributes: %w", err)
	}
	attributes := map[string][]byte{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(fd, name, value)
		if err != nil {
			return nil, fmt.Errorf("read attribute %s: %w", name, err)
		}
		attributes[name] = bytes.Clone(value[:n])
	}
	return attributes, nil
}

var readBuffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}

// hashOf is the hexadecimal SHA-256 of a file of that size, just opened.
func hashOf(ctx context.Context, f rawFile, size int64) (string, error) {
	buffer := readBuffers.Get().(*[]byte)
	defer readBuffers.Put(buffer)
	sum := sha256.New()
	for size > 0 {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := f.Read(*buffer)
		if err == io.EOF {
			return "", fmt.Errorf("became shorter: %w", ErrDiffers)
		}
		if err != nil {
			return "", err
		}
		sum.Write((*buffer)[:n])
		size -= int64(n)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
