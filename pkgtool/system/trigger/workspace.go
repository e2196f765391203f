package trigger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

// shown are the folders that triggers see and may change.
var shown = []string{"etc", "usr", "var"}

// workspace is the folder that holds what the sandbox needs.
//
//	root/          the skeleton: links and empty folders
//	target/        what the transaction adds, with overlayfs's whiteouts for what it removes
//	changes/usr/   what the triggers write below usr, in overlayfs's form, and so on
//	work/usr/      overlayfs's own
type workspace struct {
	dir      string
	skeleton string
	overlays []sandbox.Overlay
	layers   map[string][]string // by shown folder: what it consists of, topmost first; nothing if it is missing
	upper    map[string]string   // by shown folder: where the changes are
}

func newWorkspace(root Root) (*workspace, error) {
	for _, name := range []*string{&root.Live, &root.Usr} {
		if *name == "" {
			continue
		}
		abs, err := filepath.Abs(*name)
		if err != nil {
			return nil, err
		}
		*name = abs
	}
	base, err := scratch(root.Scratch)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(base, "triggers-")
	if err != nil {
		return nil, err
	}
	w := &workspace{dir: dir, skeleton: filepath.Join(dir, "root"), layers: map[string][]string{}, upper: map[string]string{}}
	if err := w.fill(root); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// close removes everything.
func (w *workspace) close() error { return sandbox.RemoveTree(w.dir) }

// scratch returns dir, or a folder in memory if dir cannot take an overlay's
// changes because it lies on an overlay itself.
func scratch(dir string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if st.Type != unix.OVERLAYFS_SUPER_MAGIC {
		return filepath.Abs(dir)
	}
	for _, memory := range []string{"/run", "/dev/shm", "/tmp"} {
		if unix.Statfs(memory, &st) == nil && st.Type == unix.TMPFS_MAGIC && unix.Access(memory, unix.W_OK) == nil {
			return memory, nil
		}
	}
	err := fmt.Errorf("%w: %s is on an overlay, and none of /run, /dev/shm and /tmp is a file system in memory", ErrUnavailable, dir)
	return "", fault.Mark(err, fault.Failed, "mount a tmpfs on /run, or go on without triggers: --no-triggers")
}

func (w *workspace) fill(root Root) error {
	for _, name := range []string{"root", "target", "changes", "work"} {
		if err := makeFolder(filepath.Join(w.dir, name), 0o755); err != nil {
			return err
		}
	}
	for _, name := range append([]string{"boot", "home", "mnt", "opt", "root", "run", "srv", "sys"}, shown...) {
		if err := makeFolder(filepath.Join(w.skeleton, name), 0o755); err != nil {
			return err
		}
	}
	if err := w.fillTarget(root); err != nil {
		return err
	}
	if err := w.linkRoot(root); err != nil {
		return err
	}
	for _, name := range shown {
		if err := w.addOverlay(root, name); err != nil {
			return err
		}
	}
	return nil
}

// addOverlay puts one of the shown folders together.
func (w *workspace) addOverlay(root Root, name string) error {
	target := filepath.Join(w.dir, "target", name)
	below := filepath.Join(root.Live, name)
	if name == "usr" && root.Usr != "" {
		below = root.Usr
	}
	var layers []string
	if _, err := os.Lstat(target); err == nil {
		layers = append(layers, target)
	}
	info, err := os.Lstat(below)
	switch {
	case err == nil && info.IsDir():
		layers = append(layers, below)
	case err == nil:
		return fmt.Errorf("%s is not a folder", below)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	missing := len(layers) == 0
	if missing {
		if err := makeFolder(target, 0o755); err != nil {
			return err
		}
		layers = []string{target}
	}
	o := sandbox.Overlay{Target: "/" + name, Lower: layers,
		Upper: filepath.Join(w.dir, "changes", name), Work: filepath.Join(w.dir, "work", name)}
	// An overlay's top folder is its upper one, with that one's mode and owner.
	if err := copyFolder(o.Upper, layers[0]); err != nil {
		return err
	}
	if err := makeFolder(o.Work, 0o700); err != nil {
		return err
	}
	w.overlays = append(w.overlays, o)
	w.upper[name] = o.Upper
	if !missing {
		w.layers[name] = layers
	}
	return nil
}

// fillTarget makes the layer with what the transaction changes.
func (w *workspace) fillTarget(root Root) error {
	target := filepath.Join(w.dir, "target")
	inside := func(path string) bool {
		top, _, deeper := strings.Cut(path, "/")
		return slices.Contains(shown, top) && (deeper || path == top) && !(top == "usr" && root.Usr != "")
	}
	files := slices.Clone(root.Files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range files {
		if err := pkgfile.CheckPath(f.Path); err != nil {
			return fmt.Errorf("path %q: %w", f.Path, err)
		}
		if !inside(f.Path) {
			continue
		}
		if err := w.parents(root, f.Path); err != nil {
			return err
		}
		if err := put(filepath.Join(target, f.Path), f); err != nil {
			return err
		}
	}
	for _, path := range root.Removed {
		if err := pkgfile.CheckPath(path); err != nil {
			return fmt.Errorf("path %q: %w", path, err)
		}
		if !inside(path) || !strings.Contains(path, "/") {
			continue
		}
		if err := w.whiteout(root, path); err != nil {
			return err
		}
	}
	return nil
}

// whiteout hides a path of the live system, unless something else came there.
func (w *workspace) whiteout(root Root, path string) error {
	if _, err := os.Lstat(filepath.Join(root.Live, path)); err != nil {
		return nil // nothing to hide
	}
	if _, err := os.Lstat(filepath.Join(w.dir, "target", path)); err == nil {
		return nil
	}
	if err := w.parents(root, path); err != nil {
		return err
	}
	err := unix.Mknod(filepath.Join(w.dir, "target", path), unix.S_IFCHR, 0)
	// A parent that is gone, or no folder any more, hides it as well.
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// parents makes the folders above path in the target layer, like those of the
// live system: in an overlay the topmost layer's mode and owner count.
func (w *workspace) parents(root Root, path string) error {
	target := filepath.Join(w.dir, "target")
	for i := range len(path) {
		if path[i] != '/' {
			continue
		}
		dir := path[:i]
		info, err := os.Lstat(filepath.Join(target, dir))
		if err == nil {
			if !info.IsDir() {
				return nil // removed with all that was in it, or replaced
			}
			continue
		}
		if info, err := os.Lstat(filepath.Join(root.Live, dir)); err == nil && info.IsDir() {
			err = copyFolder(filepath.Join(target, dir), filepath.Join(root.Live, dir))
			if err != nil {
				return err
			}
			continue
		}
		if err := makeFolder(filepath.Join(target, dir), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// linkRoot makes the symbolic links in the root folder.
func (w *workspace) linkRoot(root Root) error {
	links := map[string]string{}
	entries, err := os.ReadDir(root.Live)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type() == fs.ModeSymlink {
			if links[e.Name()], err = os.Readlink(filepath.Join(root.Live, e.Name())); err != nil {
				return err
			}
		}
	}
	for _, path := range root.Removed {
		delete(links, path)
	}
	for _, f := range root.Files {
		if f.Type == pkgfile.TypeSymlink && !strings.Contains(f.Path, "/") {
			links[f.Path] = f.Target
		}
	}
	for name, target := range links {
		err := os.Symlink(target, filepath.Join(w.skeleton, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
