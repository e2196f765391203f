package debian

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

	"ashlar/pkgtool/build/seed"
	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/build/source/apt"
)

// Unpacked is what Unpack found out about a package.
type Unpacked struct {
	Control   apt.Stanza
	Conffiles []string // paths as in the tree, relative
}

// Unpack extracts the files of a Debian binary package into the new folder dir,
// below usr where Debian still has them in /bin, /sbin, /lib and /lib64. Modes
// and times are the package's; everything belongs to the caller. A path that
// skip accepts is left out.
func Unpack(ctx context.Context, deb, dir string, skip func(path string) bool) (*Unpacked, error) {
	file, err := os.Open(deb)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	control, data, err := seed.DebianMembers(file, info.Size())
	if err != nil {
		return nil, err
	}
	u, err := readControl(control)
	if err != nil {
		return nil, fmt.Errorf("control files: %w", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	w := &writer{root: root, skip: skip, times: map[string]time.Time{}}
	err = members(data, func(h *tar.Header, content io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return w.add(h, content)
	})
	if err != nil {
		return nil, err
	}
	return u, w.finish()
}

// members calls fn for each member of a compressed tar archive.
func members(section *io.SectionReader, fn func(*tar.Header, io.Reader) error) error {
	plain, err := source.DecompressFile(section, section.Size())
	if err != nil {
		return err
	}
	defer plain.Close()
	r := tar.NewReader(plain)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := fn(h, r); err != nil {
			return fmt.Errorf("member %.200q: %w", h.Name, err)
		}
	}
}

// maxControl bounds a control file in bytes.
const maxControl = 4 << 20

func readControl(section *io.SectionReader) (*Unpacked, error) {
	u := &Unpacked{}
	err := members(section, func(h *tar.Header, content io.Reader) error {
		content = io.LimitReader(content, maxControl)
		switch path.Clean(h.Name) {
		case "control":
			return apt.Stanzas(content, func(s apt.Stanza) error {
				u.Control = s
				return nil
			})
		case "conffiles":
			text, err := io.ReadAll(content)
			for _, line := range strings.Fields(string(text)) {
				if strings.HasPrefix(line, "/") {
					u.Conffiles = append(u.Conffiles, Place(line))
				}
			}
			return err
		}
		return nil
	})
	if err == nil && u.Control["Package"] == "" {
		err = errors.New("no control file")
	}
	return u, err
}

// writer makes the tree of one package.
type writer struct {
	root  *os.Root
	skip  func(string) bool
	times map[string]time.Time // of folders, set when they are full
}

func (w *writer) add(h *tar.Header, content io.Reader) error {
	name := Place(h.Name)
	if name == "" || !fs.ValidPath(name) || w.skip(name) {
		return nil
	}
	mode := fs.FileMode(h.Mode).Perm() | h.FileInfo().Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)
	if err := w.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		w.times[name] = h.ModTime
		if err := w.root.MkdirAll(name, 0o755); err != nil {
			return err
		}
		return w.root.Chmod(name, mode)
	case tar.TypeReg:
		return w.file(name, mode, h.ModTime, content)
	case tar.TypeSymlink:
		target := retarget(h.Name, name, h.Linkname)
		if path.Join("/", path.Dir(name), target) == "/"+name {
			return nil // a link between two places that are one here
		}
		return w.root.Symlink(target, name)
	case tar.TypeLink:
		return w.root.Link(Place(h.Linkname), name)
	}
	return errors.New("neither file, folder nor link")
}

func (w *writer) file(name string, mode fs.FileMode, modified time.Time, content io.Reader) error {
	f, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return w.root.Chtimes(name, modified, modified)
}

func (w *writer) finish() error {
	for name, modified := range w.times {
		if err := w.root.Chtimes(name, modified, modified); err != nil {
			return err
		}
	}
	return nil
}
