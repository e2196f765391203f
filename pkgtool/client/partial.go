package client

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"sync"

	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/transport"

	"golang.org/x/sys/unix"
)

// partialSuffix ends the name of the cached file of a package of which not all
// may be there.
const partialSuffix = ".partial"

// partial is a cached package file with holes. It is as long as the package;
// what is there lies where it lies in the package. Only bytes with the right
// hash are ever written, so processes can share one, and nothing else says which
// frames are there: a frame is there if its bytes have its hash. So neither a
// kill nor a power cut can leave a wrong claim.
type partial struct {
	file   *os.File
	meta   int64 // bytes of the meta frame
	frames []pkgfile.Frame

	mu    sync.Mutex
	known []frameState
}

type frameState byte

const (
	unknown frameState = iota
	absent
	present
)

// openPartial opens the file, and makes it if that is asked for.
func openPartial(path string, size int64, create bool) (*os.File, error) {
	flags := os.O_RDWR | unix.O_NOFOLLOW | unix.O_NONBLOCK
	if create {
		flags |= os.O_CREATE
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if os.IsPermission(err) && !create {
		f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file", path)
	case info.Size() != size && create:
		err = f.Truncate(size)
	case info.Size() != size:
		err = fmt.Errorf("%s is %d bytes long instead of %d", path, info.Size(), size)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// makePartial opens the file for writing. Who may not write to the cache gets one
// of his own, which is gone when it is closed.
func makePartial(path string, size int64) (*os.File, error) {
	f, err := openPartial(path, size, true)
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, unix.EROFS) {
		return f, err
	}
	if f, err = os.CreateTemp("", "pkgtool-*"+partialSuffix); err != nil {
		return nil, err
	}
	if err := errors.Join(os.Remove(f.Name()), f.Truncate(size)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// has reports whether frame i is there and right.
func (p *partial) has(i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[i] == unknown {
		p.known[i] = absent
		if p.check(i) {
			p.known[i] = present
		}
	}
	return p.known[i] == present
}

func (p *partial) check(i int) bool {
	frame := p.frames[i]
	at := p.meta + frame.Offset
	// A hole need not be read to be known.
	if data, err := unix.Seek(int(p.file.Fd()), at, unix.SEEK_DATA); err == unix.ENXIO || err == nil && data >= at+frame.Size {
		return false
	}
	sum := sha256.New()
	n, err := io.Copy(sum, io.NewSectionReader(p.file, at, frame.Size))
	return err == nil && n == frame.Size && hex.EncodeToString(sum.Sum(nil)) == frame.SHA256
}

// put writes a frame whose hash the caller has checked.
func (p *partial) put(i int, data []byte) error {
	if _, err := p.file.WriteAt(data, p.meta+p.frames[i].Offset); err != nil {
		return &transport.LocalError{Err: fmt.Errorf("write %s: %w", p.file.Name(), err)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[i] = present
	return nil
}

// ReadAt refuses to read what is not there.
func (p *partial) ReadAt(b []byte, offset int64) (int, error) {
	p.mu.Lock()
	first := sort.Search(len(p.frames), func(i int) bool { return p.meta+p.frames[i].Offset+p.frames[i].Size > offset })
	for i := first; i < len(p.frames) && p.meta+p.frames[i].Offset < offset+int64(len(b)); i++ {
		if p.known[i] != present {
			p.mu.Unlock()
			return 0, fmt.Errorf("frame %d of %s was not fetched", i, p.file.Name())
		}
	}
	p.mu.Unlock()
	return p.file.ReadAt(b, offset)
}
