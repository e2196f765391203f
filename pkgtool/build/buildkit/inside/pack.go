package inside

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Times decides which time of change a file or folder is packed with, by what
// kind it is and its own.
type Times func(kind fs.FileMode, own time.Time) time.Time

// Exact keeps every time.
func Exact(_ fs.FileMode, own time.Time) time.Time { return own }

// socketRecord marks a socket, for which tar has no type.
const socketRecord = "ASHLAR.socket"

// Pack writes everything below dir to w, compressed with zstd: kinds, modes with
// the setuid bits, times, links between the files. Owners and extended attributes
// are left out: packages get theirs from the recipe.
func Pack(dir string, w io.Writer, times Times) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	if err := Tar(dir, z, times, true); err != nil {
		return err
	}
	return z.Close()
}

// Tar writes everything below dir to w as tar, with the folder itself if asked
// for, in an order that depends on the names only. All owners are 0.
func Tar(dir string, w io.Writer, times Times, self bool) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	p := packer{root, tar.NewWriter(w), times, map[uint64]string{}}
	if self {
		info, err := root.Lstat(".")
		if err != nil {
			return err
		}
		if err := p.add(".", info); err != nil {
			return err
		}
	}
	if err := p.walk("."); err != nil {
		return err
	}
	return p.tar.Close()
}

type packer struct {
	root  *os.Root
	tar   *tar.Writer
	times Times
	links map[uint64]string // inode with several names -> the first
}

func (p *packer) walk(dir string) error {
	f, err := p.root.Open(dir)
	if err != nil {
		return err
	}
	list, err := f.ReadDir(-1)
	f.Close()
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, d := range list {
		name := path.Join(dir, d.Name())
		info, err := p.root.Lstat(name)
		if err != nil {
			return err
		}
		if err := p.add(name, info); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if info.IsDir() {
			if err := p.walk(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// add writes one file. Times are cut to whole seconds nowhere: make compares
// nanoseconds.
func (p *packer) add(name string, info fs.FileInfo) error {
	kind := info.Mode().Type()
	h := &tar.Header{Name: name, Mode: modeBits(info.Mode()), ModTime: p.times(kind, info.ModTime()), Format: tar.FormatPAX}
	switch kind {
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		return p.tar.WriteHeader(h)
	case fs.ModeSymlink:
		target, err := p.root.Readlink(name)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
		return p.tar.WriteHeader(h)
	case fs.ModeNamedPipe:
		h.Typeflag = tar.TypeFifo
		return p.tar.WriteHeader(h)
	case fs.ModeSocket:
		h.Typeflag, h.PAXRecords = tar.TypeFifo, map[string]string{socketRecord: "1"}
		return p.tar.WriteHeader(h)
	case 0:
	default:
		return fmt.Errorf("a device; a build cannot make one")
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
		if first, seen := p.links[st.Ino]; seen {
			h.Typeflag, h.Linkname = tar.TypeLink, first
			return p.tar.WriteHeader(h)
		}
		p.links[st.Ino] = name
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	f, err := p.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(p.tar, io.LimitReader(f, h.Size))
	return err
}

// modeBits are permissions and setuid, setgid and sticky bits as tar has them.
func modeBits(m fs.FileMode) int64 {
	bits := int64(m.Perm())
	for _, b := range []struct {
		mode fs.FileMode
		bit  int64
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.mode != 0 {
			bits |= b.bit
		}
	}
	return bits
}
