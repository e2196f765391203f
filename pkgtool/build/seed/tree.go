package seed

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ashlar/pkgtool/build/source"
)

// What one package may hold at most.
const (
	maxMembers = 200_000
	maxContent = 4 << 30 // bytes
)

// epoch is the time of every file of a layer.
var epoch = time.Unix(946684800, 0) // 2000-01-01

// tree is the file tree of one layer while it is made. Several packages may be
// unpacked into it at the same time.
type tree struct {
	layer string
	root  *os.Root
}

// addPackage unpacks one Debian package.
func (t *tree) addPackage(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	_, data, err := DebianMembers(file, info.Size())
	if err != nil {
		return err
	}
	plain, err := source.DecompressFile(data, data.Size())
	if err != nil {
		return err
	}
	defer plain.Close()
	reader := tar.NewReader(plain)
	members, content := 0, int64(0)
	for {
		h, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		members++
		content += h.Size
		if members > maxMembers || content > maxContent {
			return fmt.Errorf("larger than a package can be")
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.addMember(h, reader); err != nil {
			return fmt.Errorf("member %.200q: %w", h.Name, err)
		}
	}
}

func (t *tree) addMember(h *tar.Header, content io.Reader) error {
	member := strings.TrimPrefix(h.Name, "./")
	if member == "" || path.IsAbs(member) || strings.Contains("/"+member+"/", "/../") || strings.ContainsRune(member, 0) {
		if member == "" {
			return nil // the root itself
		}
		return errors.New("bad path")
	}
	name := place(t.layer, member)
	if name == "" {
		return nil
	}
	if h.Typeflag == tar.TypeDir {
		return t.mkdir(name)
	}
	if err := t.mkdir(path.Dir(name)); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return t.writeFile(name, h.FileInfo().Mode()&0o111 != 0, content)
	case tar.TypeSymlink:
		target := retarget(member, name, h.Linkname)
		if path.Join(path.Dir(name), target) == name {
			return nil // a link between two places that are one here
		}
		return t.symlink(name, target)
	case tar.TypeLink:
		from := place(t.layer, strings.TrimPrefix(h.Linkname, "./"))
		if from == "" {
			return errors.New("hard link to what is left out")
		}
		return t.root.Link(from, name)
	}
	return errors.New("neither file, folder nor link")
}

func (t *tree) mkdir(name string) error {
	if err := t.root.MkdirAll(name, 0o755); err != nil {
		return err
	}
	return nil
}

func (t *tree) writeFile(name string, executable bool, content io.Reader) error {
	perm := fs.FileMode(0o644)
	if executable {
		perm = 0o755
	}
	f, err := t.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	if err := renameLoader(f); err != nil {
		return err
	}
	if err := f.Chmod(perm); err != nil { // whatever the umask
		return err
	}
	tv := unix.NsecToTimeval(epoch.UnixNano())
	if err := unix.Futimes(int(f.Fd()), []unix.Timeval{tv, tv}); err != nil {
		return err
	}
	return f.Close()
}

func (t *tree) symlink(name, target string) error {
	err := t.root.Symlink(target, name)
	if errors.Is(err, fs.ErrExist) {
		if old, e := t.root.Readlink(name); e == nil && old == target {
			return nil
		}
	}
	return err
}

func (t *tree) exists(name string) bool {
	_, err := t.root.Lstat(name)
	return err == nil
}

// finish gives folders and links their modes and times, after all files.
func (t *tree) finish(dir string) error {
	ts := unix.NsecToTimespec(epoch.UnixNano())
	return fs.WalkDir(t.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		full := dir + "/" + name
		if d.IsDir() {
			if err := os.Chmod(full, 0o755); err != nil {
				return err
			}
		} else if d.Type().IsRegular() {
			return nil
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, full, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	})
}
