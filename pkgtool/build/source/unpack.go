package source

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
)

// What an archive may hold at most. The kernel's has 80 000 members and 1.3 GB.
const (
	maxMembers = 2_000_000
	maxContent = 16 << 30 // bytes
	maxTarget  = 4096     // bytes of a link's target
)

// Unpack extracts an archive (tar, plain or compressed with gzip, bzip2, xz or
// zstd; or zip) into destDir, which is made if it is not there, leaving out
// the first strip components of every path and whatever has no more.
//
// Files get mode 0755 if anyone may execute them and 0644 otherwise, folders
// 0755, all the archive's times; owners are not kept. A member that leads
// outside, is neither file, folder nor link, or breaks a bound makes the
// archive refused (fault.Security); what was written until then stays.
func Unpack(ctx context.Context, archivePath, destDir string, strip int) error {
	return UnpackNamed(ctx, filepath.Base(archivePath), archivePath, destDir, strip)
}

// UnpackNamed is Unpack for an archive that messages call by another name than
// that of its file, such as one of the cache.
func UnpackNamed(ctx context.Context, name, archivePath, destDir string, strip int) error {
	err := unpack(ctx, archivePath, destDir, strip)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader) {
		err = fault.Mark(fmt.Errorf("it ends too early, or is no archive: %w", err), fault.Usage, "look at the file; unpack: false keeps it as it is")
	}
	if err != nil {
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	return nil
}

func unpack(ctx context.Context, archivePath, destDir string, strip int) error {
	file, err := os.Open(archivePath)
	if err != nil {
		return err
	}
	defer file.Close()
	w, err := newTreeWriter(ctx, destDir, strip)
	if err != nil {
		return err
	}
	defer w.close()
	magic := make([]byte, 4)
	n, _ := file.ReadAt(magic, 0)
	if magic = magic[:n]; bytes.Equal(magic, []byte("PK\x03\x04")) || bytes.Equal(magic, []byte("PK\x05\x06")) {
		err = unpackZip(file, w)
	} else {
		err = unpackTar(file, w)
	}
	if err != nil {
		return err
	}
	return w.finish()
}

func unpackTar(file *os.File, w *treeWriter) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	plain, err := DecompressFile(file, info.Size())
	if err != nil {
		return err
	}
	defer plain.Close()
	reader := tar.NewReader(plain)
	for {
		h, err := reader.Next()
		if err == io.EOF {
			_, err = io.Copy(io.Discard, io.LimitReader(plain, maxContent)) // so that the checksum at the end is checked
			return err
		}
		if err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeXGlobalHeader:
			continue
		case tar.TypeReg:
			if sparse(h) { // a few bytes that claim to be gigabytes
				return refuse("member %.200q is sparse", h.Name)
			}
			err = w.file(h.Name, h.FileInfo().Mode(), h.ModTime, h.Size, reader)
		case tar.TypeDir:
			err = w.folder(h.Name, h.ModTime)
		case tar.TypeSymlink:
			err = w.symlink(h.Name, h.Linkname, h.ModTime)
		case tar.TypeLink:
			err = w.hardlink(h.Name, h.Linkname)
		default:
			err = refuse("member %.200q is a device, pipe or other special file", h.Name)
		}
		if err != nil {
			return err
		}
	}
}

func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func unpackZip(file *os.File, w *treeWriter) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	archive, err := zip.NewReader(file, info.Size())
	if err != nil {
		return err
	}
	for _, member := range archive.File {
		mode := member.Mode()
		switch {
		case mode.IsDir():
			err = w.folder(member.Name, member.Modified)
		case mode.IsRegular() || mode&fs.ModeSymlink != 0:
			err = w.zipMember(member, mode)
		default:
			err = refuse("member %.200q is a device, pipe or other special file", member.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *treeWriter) zipMember(member *zip.File, mode fs.FileMode) error {
	content, err := member.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	if mode.IsRegular() {
		return w.file(member.Name, mode, member.Modified, int64(member.UncompressedSize64), content)
	}
	target, err := io.ReadAll(io.LimitReader(content, maxTarget+1))
	if err != nil {
		return err
	}
	return w.symlink(member.Name, string(target), member.Modified)
}

func refuse(format string, args ...any) error {
	return fault.Mark(fmt.Errorf("refused: "+format, args...), fault.Security, "this archive is not what a source archive looks like; do not trust it")
}

// treeWriter writes the members of one archive below one folder.
type treeWriter struct {
	ctx     context.Context
	root    *os.Root
	strip   int
	members int
	content int64
	dirs    map[string]time.Time // made so far, with the time to set at the end
	dir     *os.Root             // the folder of the last file, open
	dirName string
	buf     []byte
}

func newTreeWriter(ctx context.Context, dest string, strip int) (*treeWriter, error) {
	if strip < 0 {
		return nil, fault.Errorf(fault.Usage, "strip %d is negative", strip)
	}
	if err := os.MkdirAll(dest, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dest)
	if err != nil {
		return nil, err
	}
	return &treeWriter{ctx: ctx, root: root, strip: strip, dirs: map[string]time.Time{".": {}}, buf: make([]byte, 128<<10)}, nil
}

func (w *treeWriter) close() {
	if w.dir != nil {
		w.dir.Close()
	}
	w.root.Close()
}

// name returns the member's path below the folder, or "" if stripping leaves
// nothing of it.
func (w *treeWriter) name(member string) (string, error) {
	if err := w.ctx.Err(); err != nil {
		return "", err
	}
	if w.members++; w.members > maxMembers {
		return "", refuse("more than %d members", maxMembers)
	}
	return w.inside(member)
}

func (w *treeWriter) inside(member string) (string, error) {
	if member == "" || strings.HasPrefix(member, "/") || strings.ContainsRune(member, 0) {
		return "", refuse("member %.200q has no relative path", member)
	}
	parts := strings.Split(path.Clean(member), "/")
	for part := range strings.SplitSeq(member, "/") {
		if part == ".." {
			return "", refuse("member %.200q leads outside", member)
		}
	}
	if parts[0] == "." {
		parts = nil
	}
	if len(parts) <= w.strip {
		return "", nil
	}
	return strings.Join(parts[w.strip:], "/"), nil
}

// parent makes the folders above name.
func (w *treeWriter) parent(name string) error { return w.makeDir(path.Dir(name)) }

func (w *treeWriter) makeDir(dir string) error {
	if _, made := w.dirs[dir]; made {
		return nil
	}
	if err := w.parent(dir); err != nil {
		return err
	}
	if err := w.root.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := w.root.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return refuse("member below %.200q, which is not a folder", dir)
	}
	if err := w.root.Chmod(dir, 0o755); err != nil {
		return err
	}
	w.dirs[dir] = time.Time{}
	return nil
}

func (w *treeWriter) folder(member string, at time.Time) error {
	name, err := w.name(member)
	if err != nil || name == "" {
		return err
	}
	if err := w.makeDir(name); err != nil {
		return err
	}
	w.dirs[name] = at
	return nil
}

// replace makes room for name: of two members of one name the later counts.
func (w *treeWriter) replace(name string) error {
	if err := w.parent(name); err != nil {
		return err
	}
	if _, isDir := w.dirs[name]; isDir {
		return refuse("member %.200q is a folder and something else", name)
	}
	if err := w.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (w *treeWriter) file(member string, mode fs.FileMode, at time.Time, size int64, content io.Reader) error {
	name, err := w.name(member)
	if err != nil || name == "" {
		return err
	}
	if w.content += size; size < 0 || w.content > maxContent {
		return refuse("more than %d bytes of content", int64(maxContent))
	}
	if err := w.parent(name); err != nil {
		return err
	}
	dir, base, err := w.open(name)
	if err != nil {
		return err
	}
	perm := fs.FileMode(0o644)
	if mode&0o111 != 0 {
		perm = 0o755
	}
	create := func() (*os.File, error) { return dir.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm) }
	f, err := create()
	if errors.Is(err, fs.ErrExist) {
		if err = w.replace(name); err == nil {
			f, err = create()
		}
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if n, err := io.CopyBuffer(onlyWriter{f}, io.LimitReader(content, size), w.buf); err != nil {
		return fmt.Errorf("member %.200q: %w", member, err)
	} else if n != size {
		return fmt.Errorf("member %.200q: %w", member, io.ErrUnexpectedEOF)
	}
	if n, err := content.Read(w.buf[:1]); n != 0 {
		return refuse("member %.200q is longer than it says", member)
	} else if err != nil && err != io.EOF { // a zip's checksum
		return fmt.Errorf("member %.200q: %w", member, err)
	}
	if err := f.Chmod(perm); err != nil { // whatever the umask
		return err
	}
	if err := setTime(f, at); err != nil {
		return err
	}
	return f.Close()
}

// onlyWriter hides ReadFrom, which would not use the buffer.
type onlyWriter struct{ io.Writer }

// open returns the folder of name, kept open for its next file, and the last
// component.
func (w *treeWriter) open(name string) (*os.Root, string, error) {
	dirName, base := path.Split(name)
	if dirName == "" {
		return w.root, base, nil
	}
	if w.dir != nil && w.dirName == dirName {
		return w.dir, base, nil
	}
	dir, err := w.root.OpenRoot(strings.TrimSuffix(dirName, "/"))
	if err != nil {
		return nil, "", err
	}
	if w.dir != nil {
		w.dir.Close()
	}
	w.dir, w.dirName = dir, dirName
	return dir, base, nil
}

func (w *treeWriter) symlink(member, target string, at time.Time) error {
	name, err := w.name(member)
	if err != nil || name == "" {
		return err
	}
	if err := checkTarget(name, target); err != nil {
		return err
	}
	if err := w.replace(name); err != nil {
		return err
	}
	if err := w.root.Symlink(target, name); err != nil {
		return err
	}
	return setLinkTime(w.root, name, at)
}

// checkTarget refuses a symlink at name that leads outside the tree.
func checkTarget(name, target string) error {
	if target == "" || len(target) > maxTarget || strings.ContainsRune(target, 0) {
		return refuse("link %.200q has no usable target", name)
	}
	if path.IsAbs(target) {
		return refuse("link %.200q has the absolute target %.200q", name, target)
	}
	if to := path.Join(path.Dir(name), target); to == ".." || strings.HasPrefix(to, "../") {
		return refuse("link %.200q leads outside, to %.200q", name, target)
	}
	// Going up is exact only from the link's own folder, which is a real one:
	// after any other component it would go up from where that one leads.
	down := false
	for part := range strings.SplitSeq(target, "/") {
		if part == ".." && down {
			return refuse("link %.200q goes up after going down, to %.200q", name, target)
		}
		down = down || (part != ".." && part != "." && part != "")
	}
	return nil
}

func (w *treeWriter) hardlink(member, target string) error {
	name, err := w.name(member)
	if err != nil || name == "" {
		return err
	}
	from, err := w.inside(target)
	if err != nil {
		return err
	}
	if from == name {
		return nil
	}
	if info, err := w.root.Lstat(from); from == "" || err != nil || !info.Mode().IsRegular() {
		return refuse("link %.200q to %.200q, which is no file before it in the archive", member, target)
	}
	if err := w.replace(name); err != nil {
		return err
	}
	return w.root.Link(from, name)
}

// finish sets the folders' times, which every new file in them had changed.
func (w *treeWriter) finish() error {
	for dir, at := range w.dirs {
		if at.IsZero() {
			continue
		}
		at = usable(at)
		if err := w.root.Chtimes(dir, at, at); err != nil {
			return err
		}
	}
	return nil
}
