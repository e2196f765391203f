package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/index"
	"ashlar/signing"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// incoming is a package file that is being taken in.
type incoming struct {
	file  string
	tmp   string // the verified copy; "" if the pool has it
	entry index.Entry
	known bool // listed already, so that nothing was read but its hash
}

// maxWorkers bounds the memory of verifying: each worker holds some frames.
const maxWorkers = 16

// receive copies files into the repository under temporary names and verifies
// the copies, several at a time, the largest first. known may recognise a file
// that needs no verification. The caller removes the copies that it does not use
// (discard), also after an error.
func (r *Repository) receive(ctx context.Context, files []string, known func(file string, src *os.File) (*index.Entry, error)) ([]*incoming, error) {
	keyring, err := r.keyring()
	if err != nil {
		return nil, err
	}
	all := make([]*incoming, len(files))
	order := make([]int, len(files))
	sizes := make([]int64, len(files))
	for i, file := range files {
		all[i] = &incoming{file: file}
		order[i] = i
		if info, err := os.Stat(file); err == nil {
			sizes[i] = info.Size()
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(min(max(sizes[b]-sizes[a], -1), 1)) })
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(min(runtime.GOMAXPROCS(0), maxWorkers))
	for _, i := range order {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := r.receiveOne(ctx, all[i], keyring, known); err != nil {
				return fmt.Errorf("add %s: %w", all[i].file, err)
			}
			return nil
		})
	}
	return all, group.Wait()
}

func (r *Repository) receiveOne(ctx context.Context, in *incoming, kr *signing.Keyring, known func(string, *os.File) (*index.Entry, error)) error {
	// Without O_NONBLOCK a FIFO put there by somebody would hang us.
	src, err := os.OpenFile(in.file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer src.Close()
	if info, err := src.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fault.Errorf(fault.Usage, "it is not a regular file"))
	}
	if known != nil {
		e, err := known(in.file, src)
		if err != nil {
			return err
		}
		if e != nil {
			in.entry, in.known = *e, true
			return nil
		}
		if _, err := src.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	return r.takeCopy(ctx, in, src, kr)
}

// copyBuffers are for takeCopy.
var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 1<<20); return &b }}

// takeCopy copies a package into the repository under a temporary name and
// verifies the copy, so that what was verified is what is kept. Nothing is
// flushed yet.
func (r *Repository) takeCopy(ctx context.Context, in *incoming, src io.Reader, kr *signing.Keyring) error {
	tmp, err := os.CreateTemp(r.path(privateDir), "incoming.*.tmp")
	if err != nil {
		return err
	}
	defer tmp.Close()
	in.tmp = tmp.Name()
	h := sha256.New()
	buffer := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buffer)
	// The source's WriteTo would bring its own buffer.
	size, err := io.CopyBuffer(io.MultiWriter(h, tmp), struct{ io.Reader }{src}, *buffer)
	if err != nil {
		return err
	}
	p, err := pkgfile.Open(tmp, size)
	if err != nil {
		return fault.Mark(err, fault.Security, "")
	}
	if err := r.verifyPackage(ctx, p, kr); err != nil {
		return err
	}
	in.entry = index.FromPackage(p, size, hex.EncodeToString(h.Sum(nil)))
	if err := in.entry.Validate(); err != nil {
		return err
	}
	if err := in.entry.CheckDependencies(); err != nil {
		return err
	}
	return tmp.Chmod(0o644)
}

// verifyPackage checks a package's payload and its signature.
func (r *Repository) verifyPackage(ctx context.Context, p *pkgfile.Package, kr *signing.Keyring) error {
	if _, err := p.VerifySignature(kr, signing.Policy{}); err != nil {
		return fault.Mark(err, fault.Security,
			"sign it with an allowed key, or allow the packager's key: pkgtool repo allow DIR KEYFILE")
	}
	verify := p.Verify
	if r.noUnpack {
		verify = p.VerifyFrames
	}
	return fault.Mark(verify(ctx), fault.Security, "build the package again")
}

// discard removes the copies that have not got their names.
func discard(all []*incoming) {
	for _, in := range all {
		if in.tmp != "" {
			os.Remove(in.tmp)
		}
	}
}

// place gives verified copies their names in the pool and flushes them. Nobody
// refers to them yet, so the order in which they reach the disk does not matter.
func (r *Repository) place(all []*incoming) error {
	var placed []string
	for _, in := range all {
		if in.tmp == "" {
			continue
		}
		path := r.path(filepath.FromSlash(in.entry.Path))
		if has, err := holds(path, &in.entry); err != nil || has {
			if err != nil {
				return err
			}
			continue // of another channel, say; discard takes the copy
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.Rename(in.tmp, path); err != nil {
			return err
		}
		in.tmp = ""
		placed = append(placed, path)
	}
	return r.flush(placed)
}

// holds reports whether a file is the one that an entry describes. What a power
// cut left under its name is not.
func holds(path string, e *index.Entry) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != e.Size {
		return false, err
	}
	_, sum, err := index.Sum(f)
	return sum == e.SHA256, err
}

// flushEach is up to how many files are flushed one by one. Flushing the whole
// file system costs whatever others have written to it, and is for many files.
const flushEach = 24

func (r *Repository) flush(files []string) error {
	if len(files) > flushEach {
		top, err := os.Open(r.dir)
		if err != nil {
			return err
		}
		defer top.Close()
		if err := unix.Syncfs(int(top.Fd())); err != nil {
			return fmt.Errorf("flush %s: %w", r.dir, err)
		}
		return nil
	}
	folders := map[string]bool{}
	for _, file := range files {
		if err := syncFile(file); err != nil {
			return err
		}
		for dir := filepath.Dir(file); len(dir) > len(r.dir); dir = filepath.Dir(dir) {
			folders[dir] = true
		}
	}
	for dir := range folders {
		if err := durable.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", path, err)
	}
	return nil
}
