package git

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/fault"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const (
	maxTarget     = 4096 // bytes of a symbolic link's target
	maxSubmodules = 500
	maxNesting    = 10 // of submodules in submodules
)

// Archive writes the tar of a commit to w. scratch is an empty folder for the
// objects, which the caller removes; received, which may be nil, is told the
// bytes received so far. Errors are of class fault.Usage where c is wrong as
// written, of class fault.Security where what the server has is refused, and a
// *[NotFoundError] where it has no such commit.
func Archive(ctx context.Context, client *http.Client, c Commit, scratch string, received func(int64), w io.Writer) error {
	if err := c.Check(); err != nil {
		return fault.Mark(err, fault.Usage, "")
	}
	a := &archive{ctx: ctx, client: client, scratch: scratch, received: received}
	when, err := a.add(c, c.ID, 0)
	if err != nil {
		return err
	}
	return a.write(w, c.ID, when)
}

type archive struct {
	ctx        context.Context
	client     *http.Client
	scratch    string
	received   func(int64)
	repos      int
	entries    []entry
	content    int64
	submodules int
}

// entry is one file, link or folder of the archive.
type entry struct {
	path  string
	mode  filemode.FileMode
	size  int64
	hash  plumbing.Hash
	store *filesystem.Storage
}

// add collects the files of a commit below prefix and returns the commit's time.
func (a *archive) add(c Commit, prefix string, nesting int) (time.Time, error) {
	a.repos++
	dir := filepath.Join(a.scratch, fmt.Sprint(a.repos))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return time.Time{}, err
	}
	store, err := fetch(a.ctx, a.client, c, dir, a.received)
	if err != nil {
		return time.Time{}, err
	}
	commit, err := object.GetCommit(store, plumbing.NewHash(c.ID))
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return time.Time{}, &NotFoundError{fmt.Sprintf("commit %s is not in the history of %q", c.ID, c.Ref)}
	} else if err != nil {
		return time.Time{}, fmt.Errorf("commit %s: %w", c.ID, err)
	}
	root, err := commit.Tree()
	if err != nil {
		return time.Time{}, fmt.Errorf("commit %s: %w", c.ID, err)
	}
	a.entries = append(a.entries, entry{path: prefix, mode: filemode.Dir})
	links := map[string]plumbing.Hash{}
	if err := a.addTree(store, root, prefix, links); err != nil {
		return time.Time{}, err
	}
	if c.Submodules && len(links) > 0 {
		err = a.addSubmodules(store, root, c, prefix, links, nesting)
	}
	return commit.Committer.When, err
}

// addTree collects a folder; the commits of submodules go into links, by path.
func (a *archive) addTree(store *filesystem.Storage, tree *object.Tree, dir string, links map[string]plumbing.Hash) error {
	seen := map[string]bool{}
	for _, e := range tree.Entries {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		if err := checkName(e.Name); err != nil {
			return refuse("in %q: %v", dir, err)
		}
		if seen[e.Name] {
			return refuse("%q stands twice in %q", e.Name, dir)
		}
		seen[e.Name] = true
		en := entry{path: dir + "/" + e.Name, mode: e.Mode, hash: e.Hash, store: store}
		if len(a.entries) >= maxFiles {
			return refuse("more than %d files", maxFiles)
		}
		if len(en.path) > maxTarget {
			return refuse("a path of more than %d bytes", maxTarget)
		}
		switch e.Mode {
		case filemode.Dir:
			a.entries = append(a.entries, en)
			sub, err := object.GetTree(store, e.Hash)
			if err != nil {
				return fmt.Errorf("%s: %w", en.path, err)
			}
			if err := a.addTree(store, sub, en.path, links); err != nil {
				return err
			}
			continue
		case filemode.Submodule:
			en.mode = filemode.Dir
			links[en.path] = e.Hash
		case filemode.Regular, filemode.Deprecated, filemode.Executable, filemode.Symlink:
			size, err := store.EncodedObjectSize(e.Hash)
			if err != nil {
				return fmt.Errorf("%s: %w", en.path, err)
			}
			if e.Mode == filemode.Symlink && size > maxTarget {
				return refuse("link %q has a target of %d bytes", en.path, size)
			}
			if a.content += size; a.content > maxContent {
				return refuse("more than %d bytes of files", int64(maxContent))
			}
			en.size = size
		default:
			return refuse("%q has the mode %s", en.path, e.Mode)
		}
		a.entries = append(a.entries, en)
	}
	return nil
}

// checkName refuses what is no name of a file, and a repository in a repository.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("%q is no name of a file", name)
	case strings.EqualFold(name, ".git"):
		return fmt.Errorf("%q is a repository's own folder", name)
	}
	return nil
}

func (a *archive) write(w io.Writer, top string, when time.Time) error {
	slices.SortFunc(a.entries, func(x, y entry) int { return strings.Compare(x.path, y.path) })
	when = when.UTC().Truncate(time.Second)
	if s := when.Unix(); s < 0 || s > 1<<32 {
		when = time.Unix(0, 0)
	}
	out := tar.NewWriter(w)
	for i, e := range a.entries {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		if i > 0 && a.entries[i-1].path == e.path {
			continue // the folder of a submodule, from outside and from inside
		}
		if err := e.write(out, when); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimPrefix(e.path, top+"/"), err)
		}
	}
	return out.Close()
}

func (e *entry) write(out *tar.Writer, when time.Time) error {
	header := &tar.Header{Name: e.path, Mode: 0o644, ModTime: when, Typeflag: tar.TypeReg, Size: e.size}
	switch e.mode {
	case filemode.Dir:
		header.Name, header.Mode, header.Typeflag = e.path+"/", 0o755, tar.TypeDir
		return out.WriteHeader(header)
	case filemode.Executable:
		header.Mode = 0o755
	case filemode.Symlink:
		target, err := e.read()
		if err != nil {
			return err
		}
		header.Typeflag, header.Mode, header.Size, header.Linkname = tar.TypeSymlink, 0o777, 0, target
		return out.WriteHeader(header)
	}
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	return e.copy(out)
}

func (e *entry) copy(w io.Writer) error {
	blob, err := object.GetBlob(e.store, e.hash)
	if err != nil {
		return err
	}
	content, err := blob.Reader()
	if err != nil {
		return err
	}
	defer content.Close()
	n, err := io.Copy(w, io.LimitReader(content, e.size+1))
	if err == nil && n != e.size {
		err = errors.New("the object has not the size it says")
	}
	return err
}

func (e *entry) read() (string, error) {
	var b strings.Builder
	err := e.copy(&b)
	if target := b.String(); err == nil && (target == "" || strings.ContainsRune(target, 0)) {
		err = refuse("link %q has no usable target", path.Base(e.path))
	}
	return b.String(), err
}
