package system

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Folders and symbolic links of a tree have the time 0. A folder with another
// one has been changed by somebody else, and only such are read.
const treeTime = 0

// planTree finds what somebody else has put into the tree that is exchanged:
// files that no package owns come along, and package files that were replaced
// are kept aside.
func (p *Plan) planTree(ctx context.Context) error {
	if p.InPlace {
		return nil
	}
	if usr, err := p.system.disk.lstat(treeTop); err != nil || usr == nil {
		return err
	}
	changed, err := p.changedFolders(ctx)
	if err != nil {
		return err
	}
	scan := &treeScan{plan: p}
	for _, dir := range changed {
		if err := scan.folder(dir); err != nil {
			return err
		}
	}
	if err := foreignConflicts(scan.conflicts); err != nil {
		return err
	}
	p.planTimes()
	return nil
}

// changedFolders returns the folders of the tree that have another time than
// we gave them, sorted.
func (p *Plan) changedFolders(ctx context.Context) ([]treeFolder, error) {
	folders := p.before.folders.all()
	workers := runtime.GOMAXPROCS(0)
	parts := make([][]treeFolder, workers)
	missing := make([]bool, workers)
	root := int(p.system.disk.root.Fd())
	group, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		group.Go(func() error {
			for i := w; i < len(folders); i += workers {
				var st unix.Stat_t
				// A folder above that somebody replaced by a link is found
				// with the one that holds the link.
				err := unix.Fstatat(root, folders[i].path, &st, unix.AT_SYMLINK_NOFOLLOW)
				switch {
				case err == unix.ENOENT || err == unix.ENOTDIR || err == nil && !isFolder(&st):
					missing[w] = true
				case err != nil:
					return fmt.Errorf("look at %s: %w", folders[i].path, err)
				case st.Mtim.Sec != treeTime:
					parts[w] = append(parts[w], folders[i])
				}
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	p.deviates = slices.Contains(missing, true)
	changed := slices.Concat(parts...)
	slices.SortFunc(changed, func(a, b treeFolder) int { return strings.Compare(a.path, b.path) })
	return changed, nil
}

// treeScan reads the folders that somebody else has changed.
type treeScan struct {
	plan      *Plan
	conflicts []string
	made      map[string]bool // folders that foreign files need in the new tree
}

// folder looks at everything in one folder.
func (t *treeScan) folder(f treeFolder) error {
	p, dir := t.plan, f.path
	entries, err := p.system.disk.entries(dir)
	if err != nil {
		return err
	}
	p.dirty[dir] = true
	owned := 0
	for _, e := range entries {
		path := dir + "/" + e.name
		isFile, isDir := p.before.hasFile(path), p.before.isFolder(path)
		if !isFile && !isDir {
			if err := t.foreign(path, e); err != nil {
				return err
			}
			continue
		}
		owned++
		if isDir && e.folder {
			continue
		}
		replaced := isDir || e.folder || !e.file && !e.link
		if !replaced && path != identityPath {
			if replaced, err = t.replaced(path); err != nil {
				return err
			}
		}
		if replaced {
			p.save(path, spareRoot+"/"+path)
			p.deviates = true
		}
	}
	if owned < f.count {
		p.deviates = true
	}
	return nil
}

// replaced reports whether somebody has put another file in the place of a
// package's. What is linked to the store, or has the time that we gave it, is as
// it was.
func (t *treeScan) replaced(path string) (bool, error) {
	p := t.plan
	st, err := p.system.disk.lstat(path)
	if err != nil || st == nil {
		return false, err
	}
	if isRegular(st) && (st.Nlink > 1 || st.Size == 0) || st.Mode&unix.S_IFMT == unix.S_IFLNK && st.Mtim.Sec == treeTime {
		return false, nil
	}
	e, err := p.ownerOf(path)
	if err != nil || e.object == nil {
		return false, err
	}
	same, err := p.unchanged(e, path, st)
	return !same, err
}

// ownerOf finds what owns a path in the generation that is installed.
func (p *Plan) ownerOf(path string) (entry, error) {
	for _, n := range p.before.file(path) {
		m, err := p.manifestAt(n)
		if err != nil {
			return entry{}, err
		}
		if f := m.File(path); f != nil {
			e := entry{&member{manifest: m, number: n}, f, f}
			if f.Type == pkgfile.TypeHardlink {
				e.object = m.File(f.Target)
			}
			return e, nil
		}
	}
	return entry{}, nil
}

func (p *Plan) manifestAt(n int) (*pkgfile.Manifest, error) {
	if n < len(p.from.Packages) {
		return p.system.Manifest(p.from.Packages[n])
	}
	return p.system.generated(p.from)
}

// unchanged reports whether what is on disk is what its package brought. The
// content of a file with the right size, mode and time is not read.
func (p *Plan) unchanged(e entry, path string, st *unix.Stat_t) (bool, error) {
	f := e.object
	if f.Type == pkgfile.TypeSymlink {
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			return false, nil
		}
		target, err := p.system.disk.readlink(path)
		return target == f.Target, err
	}
	if !looksLike(st, f) {
		return false, nil
	}
	if st.Mode&0o7777 == f.Mode && st.Mtim.Sec == e.member.manifest.Provenance.Epoch {
		return true, nil
	}
	now, err := p.system.disk.hash(path)
	return now == f.SHA256, err
}

// foreign decides about something that no package owns.
func (t *treeScan) foreign(path string, e dirEntry) error {
	p := t.plan
	if p.after.isFolder(path) && e.folder {
		return t.inside(path)
	}
	if p.after.hasFile(path) || p.after.isFolder(path) {
		return t.inTheWay(path, e)
	}
	for dir := folderOf(path); dir != ""; dir = folderOf(dir) {
		if p.after.hasFile(dir) {
			return turnedWithForeign(dir, "file", path)
		}
	}
	t.makeAbove(path)
	p.Carried = append(p.Carried, path)
	p.tree = append(p.tree, operation{Do: doMove, From: spareRoot + "/" + path, Path: path})
	return nil
}

// inside looks at what is in a foreign folder that packages will have too.
func (t *treeScan) inside(dir string) error {
	entries, err := t.plan.system.disk.entries(dir)
	if err != nil {
		return err
	}
	t.plan.dirty[dir] = true
	t.plan.deviates = true // the folder itself is nothing that this generation has
	for _, e := range entries {
		if err := t.foreign(dir+"/"+e.name, e); err != nil {
			return err
		}
	}
	return nil
}

// inTheWay takes a foreign file over if it is just what the package brings.
func (t *treeScan) inTheWay(path string, e dirEntry) error {
	p := t.plan
	comes, ok := p.live.come[path]
	kind := ""
	if p.after.isFolder(path) {
		st, err := p.system.disk.lstat(path)
		if err != nil || st == nil {
			return err
		}
		kind = fmt.Sprintf(" is %s, but a folder is needed there", kindOf(st))
	} else if e.folder {
		kind = " (a folder)"
	} else if ok {
		kind = fmt.Sprintf(" (wanted by %s)", comes.member.manifest.Name)
		st, err := p.system.disk.lstat(path)
		if err != nil {
			return err
		}
		same, err := p.alreadyThere(comes, path, st)
		if err != nil {
			return err
		}
		if same {
			p.deviates = true // the old tree has one file more
			return nil
		}
	}
	t.conflicts = append(t.conflicts, path+kind)
	return nil
}

// makeAbove makes the folders that only foreign files need any more.
func (t *treeScan) makeAbove(path string) {
	p := t.plan
	for _, dir := range parents(path) {
		if p.after.isFolder(dir) || t.made[dir] {
			continue
		}
		if t.made == nil {
			t.made = map[string]bool{}
		}
		t.made[dir] = true
		o := operation{Do: doMkdir, Path: dir, Mode: 0o755}
		if st, err := p.system.disk.lstat(dir); err == nil && st != nil {
			o.Mode, o.UID, o.GID = st.Mode&0o7777, st.Uid, st.Gid
		}
		p.tree = append(p.tree, o)
	}
}

// save keeps something aside that stands in the place of a package's file.
func (p *Plan) save(path, from string) {
	p.Saved = append(p.Saved, path)
	p.tree = append(p.tree, operation{Do: doSave, From: from, Path: fmt.Sprintf("%s/%d/%s", savedDir, p.next.Number, path)})
}

// planTimes makes the old tree one that can serve as spare: its folders get
// their time back after foreign files have left. One that deviates from its
// generation is not to be used.
func (p *Plan) planTimes() {
	if p.deviates {
		p.tree = append(p.tree, operation{Do: doUnlink, Path: spareRoot + "/" + identityPath})
		return
	}
	for dir := range p.dirty {
		p.tree = append(p.tree, operation{Do: doTime, Path: spareRoot + "/" + dir})
	}
	slices.SortFunc(p.tree[len(p.tree)-len(p.dirty):], func(a, b operation) int { return strings.Compare(a.Path, b.Path) })
}
