package system

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/sysusers"

	"golang.org/x/sys/unix"
)

// stagedFile is a file that is prepared in the staging folder under its number,
// complete with owner, mode, attributes and time, to be renamed to its path.
type stagedFile struct {
	number int
	to     string
	entry  entry        // what it is
	text   []byte       // or else its content,
	like   *unix.Stat_t // with the mode and owner of another file
	xattrs map[string][]byte
	done   bool // it is in the staging folder
}

// put plans to write a package's file.
func (p *Plan) put(e entry, to string) {
	p.stageOne(stagedFile{to: to, entry: e})
	if !inTree(to) { // there it is one more name of an object
		p.Bytes += roundUp(e.file.Size)
	}
}

// putText plans to write a text with mode and owner of what st describes.
func (p *Plan) putText(to string, text []byte, st *unix.Stat_t) {
	p.stageOne(stagedFile{to: to, text: text, like: st})
	p.Bytes += roundUp(int64(len(text)))
}

// stageOne plans a file; the last word on a path counts.
func (p *Plan) stageOne(f stagedFile) {
	f.number = len(p.staged) + 1
	p.staged = append(p.staged, f)
	if i, planned := p.stagedAt[f.to]; planned {
		p.moves[i].Staged = f.number
		return
	}
	p.stagedAt[f.to] = len(p.moves)
	p.moves = append(p.moves, operation{Do: doPut, Path: f.to, Staged: f.number})
	p.Inodes++
}

// stage writes the files to put. Names in /usr are links to objects of the
// store; everything else is a copy, since it may be changed in place.
func (p *Plan) stage(ctx context.Context) error {
	s := &stager{d: p.system.disk, plan: p, numbers: map[string]int{}}
	for i := range p.staged {
		f := &p.staged[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.like == nil {
			s.numbers[f.entry.file.Path] = f.number
		}
		if f.done {
			continue
		}
		if err := s.file(f); err != nil {
			return fmt.Errorf("prepare %s: %w", f.to, err)
		}
		f.done = true
	}
	return nil
}

type stager struct {
	d       *disk
	plan    *Plan
	numbers map[string]int // of the files so far, by their path in the package
}

func stagedPath(number int) string { return stagingDir + "/" + itoa(number) }

func (s *stager) file(f *stagedFile) error {
	path := stagedPath(f.number)
	if f.like != nil {
		if err := s.write(path, f); err != nil {
			return err
		}
		if inTree(f.to) {
			return s.d.setTime(path, treeTime)
		}
		return s.d.setTime(path, s.plan.next.Time.Unix())
	}
	switch f.entry.file.Type {
	case pkgfile.TypeHardlink:
		return s.d.link(stagingDir, itoa(s.numbers[f.entry.file.Target]), itoa(f.number))
	case pkgfile.TypeSymlink:
		return s.symlink(f.entry, path)
	}
	if inTree(f.to) {
		o, err := s.plan.owners.object(f.entry)
		if err != nil {
			return err
		}
		return s.d.at("link", path, func(fd int, base string) error { return s.plan.system.store.Link(o, fd, base) })
	}
	return s.copy(f.entry, path)
}

func (s *stager) symlink(e entry, path string) error {
	if err := s.d.symlink(e.file.Target, path); err != nil {
		return err
	}
	seconds := e.member.manifest.Provenance.Epoch
	if inTree(e.file.Path) {
		seconds = treeTime
	}
	return s.d.setLink(path, s.plan.owners, e.file, seconds)
}

// copy writes a file of its own with an object's content.
func (s *stager) copy(e entry, path string) error {
	o, err := s.plan.owners.object(e)
	if err != nil {
		return err
	}
	from, err := s.plan.system.store.Open(o)
	if err != nil {
		return err
	}
	defer from.Close()
	file, err := s.d.create(path, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, from)
	if err == nil {
		err = dress(int(file), o.UID, o.GID, o.Mode)
	}
	if err == nil {
		err = setXattrs(int(file), o.Xattrs)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return s.d.setTime(path, o.Time)
}

func (s *stager) write(path string, f *stagedFile) error {
	file, err := s.d.create(path, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(f.text)
	if err == nil {
		err = dress(int(file), f.like.Uid, f.like.Gid, f.like.Mode&0o7777)
	}
	if err == nil {
		err = setXattrs(int(file), f.xattrs)
	}
	return errors.Join(err, file.Close())
}

// dress gives an open file its owner, then its mode, since a change of owner
// clears setuid bits.
func dress(fd int, uid, gid, mode uint32) error {
	if privileged {
		if err := unix.Fchown(fd, int(uid), int(gid)); err != nil {
			return err
		}
	}
	return unix.Fchmod(fd, mode)
}

// putAccounts plans the texts of etc/passwd and its like that got new lines.
func (p *Plan) putAccounts() error {
	for _, t := range accountTexts(&sysusers.Texts{}) {
		text, changed := p.accounts[t.path]
		if !changed {
			continue
		}
		st, err := p.system.disk.lstat(t.path)
		if err != nil {
			return err
		}
		if st == nil {
			st = &unix.Stat_t{Mode: t.mode}
			if e, comes := p.live.come[t.path]; comes {
				st.Mode = e.object.Mode
				if st.Uid, st.Gid, err = p.owners.of(e.object); err != nil {
					return err
				}
			}
			if err := p.makeFolder(folderOf(t.path)); err != nil {
				return err
			}
		}
		p.putText(t.path, text, st)
	}
	return nil
}

// makeFolder plans a folder that no package lists, unless it is there.
func (p *Plan) makeFolder(path string) error {
	if path == "" || p.folders[path] != nil {
		return nil
	}
	st, err := p.system.disk.lstat(path)
	if err != nil || st != nil {
		return err
	}
	if err := p.makeFolder(folderOf(path)); err != nil {
		return err
	}
	f := &pkgfile.File{Path: path, Type: pkgfile.TypeDir, Mode: 0o755, Owner: "root", Group: "root"}
	p.folders[path] = f
	p.mkdirs = append(p.mkdirs, operation{Do: doMkdir, Path: path, Mode: f.Mode})
	return nil
}

// ownFolders gives the folders to make their owners, now that all are known.
func (p *Plan) ownFolders() error {
	for _, list := range [][]operation{p.mkdirs, p.modes} {
		for i := range list {
			o := &list[i]
			f := p.folders[o.Path]
			if f == nil {
				continue // a trigger's, with numbers already
			}
			o.Xattrs = p.owners.settable(f.Xattrs)
			if !privileged {
				continue
			}
			var err error
			if o.UID, o.GID, err = p.owners.of(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// newStaging makes the empty staging folder. As long as it is there, a
// transaction is under way.
func (d *disk) newStaging() error {
	if err := d.removeAll(stagingDir); err != nil {
		return err
	}
	if err := d.mkdir(stagingDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
