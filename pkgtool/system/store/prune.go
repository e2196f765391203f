package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// slack is how far the clock may go back during a run without misleading Prune,
// in seconds.
const slack = 24 * 60 * 60

// Prune removes the objects that used does not want, and whatever else lies in
// the store's folders. bytes is what that frees: objects that a tree still has
// count nothing. It can be killed at any moment and called again.
//
// After an interrupted run it also removes objects that are wanted but were
// changed since then and cannot prove, by their inode and content, that they are
// what their name says: a crash may have left them incomplete.
func (s *Store) Prune(ctx context.Context, used func(Key) bool) (removed int, bytes int64, err error) {
	dir, err := s.dir()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	mark, err := s.mark()
	if err != nil {
		return 0, 0, err
	}
	p := pruning{ctx: ctx, store: dir, used: used, mark: mark}
	for i := range 256 {
		if err := p.folder(Key{byte(i)}.folder()); err != nil {
			return p.removed, p.bytes, fmt.Errorf("prune the store: %w", err)
		}
	}
	return p.removed, p.bytes, nil
}

type pruning struct {
	ctx     context.Context
	store   int
	used    func(Key) bool
	mark    *unix.Stat_t // of an interrupted run, or nil
	removed int
	bytes   int64
}

func (p *pruning) folder(name string) error {
	fd, err := openat(p.store, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("folder %s: %w", name, err)
	}
	folder := os.NewFile(uintptr(fd), name)
	defer folder.Close()
	entries, err := folder.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		if err := p.entry(fd, name, entry); err != nil {
			return fmt.Errorf("%s/%s: %w", name, entry, err)
		}
	}
	return nil
}

func (p *pruning) entry(fd int, folder, name string) error {
	var st unix.Stat_t
	key, isKey := parseKey(folder + name)
	keep := isKey && p.used(key)
	if keep && p.mark == nil {
		return nil
	}
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if keep && st.Ctim.Sec >= p.mark.Mtim.Sec-slack {
		var err error
		if keep, err = p.proved(key); err != nil {
			return err
		}
	}
	if keep {
		return nil
	}
	mutate("unlink", folder+"/"+name)
	if err := unix.Unlinkat(fd, name, 0); err != nil {
		return err
	}
	p.removed++
	if st.Nlink == 1 {
		p.bytes += st.Size
	}
	return nil
}

func parseKey(text string) (key Key, ok bool) {
	if len(text) != hex.EncodedLen(len(key)) {
		return key, false
	}
	_, err := hex.Decode(key[:], []byte(text))
	return key, err == nil && key.String() == text
}

// proved says whether an object is what its name says.
func (p *pruning) proved(key Key) (bool, error) {
	f, err := open(p.store, key.path())
	if err != nil {
		return false, nil // no regular file, or not readable: not what we made
	}
	defer f.Close()
	o, err := describe(p.ctx, f)
	if err != nil {
		return false, err
	}
	return o != nil && o.Key() == key, nil
}

// describe reads back what object a file is, or nil if it can be none.
func describe(ctx context.Context, f rawFile) (*Object, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f), &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size == 0 {
		return nil, nil
	}
	sum, err := hashOf(ctx, f, st.Size)
	if err != nil {
		return nil, err
	}
	attributes, err := readAttributes(int(f))
	if err != nil {
		return nil, err
	}
	for name := range attributes {
		if byKernel(name) {
			delete(attributes, name)
		}
	}
	return &Object{SHA256: sum, Size: st.Size, Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, Xattrs: attributes}, nil
}
