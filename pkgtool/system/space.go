package system

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ashlar/pkgtool/fault"

	"golang.org/x/sys/unix"
)

// Space is what a plan needs of one file system.
type Space struct {
	Path       string // where it is mounted, relative to the root; "." is the root itself
	Need       int64  // bytes
	Free       int64  // bytes
	NeedInodes int64
	FreeInodes int64 // 0 if the file system does not count them
}

// blockSize is what a small file costs at least, in bytes.
const blockSize = 4096

func roundUp(size int64) int64 { return (size + blockSize - 1) / blockSize * blockSize }

// checkSpace refuses a plan that would fill a file system, before anything is
// written. New files and those they replace exist side by side, so the whole of
// them must fit.
func (p *Plan) checkSpace(context.Context) error {
	for _, w := range p.wanted {
		p.Bytes += roundUp(w.entry.file.Size)
		p.Inodes++
	}
	for _, m := range p.live.coming {
		if m.content != nil {
			p.Bytes += roundUp(int64(len(m.content.ManifestBytes())))
			p.Inodes++
		}
	}
	folders, err := p.newTreeFolders()
	if err != nil {
		return err
	}
	p.Bytes += int64(folders+len(p.mkdirs)) * blockSize
	p.Inodes += int64(folders + len(p.mkdirs))
	const journalEntry, slack = 200, 1 << 20
	operations := len(p.tree) + len(p.moves) + len(p.mkdirs) + len(p.late)
	own := Space{Path: ".", NeedInodes: p.Inodes + 100, Need: p.Bytes + int64(operations)*journalEntry + slack +
		roundUp(int64(len(p.after.data))) + roundUp(int64(len(p.before.folders)))}
	if err := own.ask(int(p.system.disk.root.Fd())); err != nil {
		return err
	}
	p.Space = append(p.Space, own)
	if err := errors.Join(p.otherSpace(), p.checkMounts()); err != nil {
		return err
	}
	for _, s := range p.Space {
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}

// newTreeFolders is how many folders the new tree needs that the spare lacks.
func (p *Plan) newTreeFolders() (int, error) {
	if p.InPlace {
		return 0, nil
	}
	known, err := p.system.spareGeneration()
	if err != nil {
		return 0, err
	}
	if known == nil {
		return p.after.folders.len(), nil
	}
	return max(0, p.after.folders.len()-p.before.folders.len()), nil
}

// ask finds out what is free on the file system of an open folder.
func (s *Space) ask(fd int) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	s.Free = int64(st.Bavail) * st.Bsize
	if st.Files > 0 {
		s.FreeInodes = max(int64(st.Ffree), 1)
	}
	return nil
}

// makeRoom is the remedy for a file system that is too full for a change.
const makeRoom = "look at what takes it with pkgtool clean --dry-run, and remove it with pkgtool clean"

// tellRoom adds the remedy to the error of a file system that has filled up.
func tellRoom(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fault.Mark(err, fault.Failed, makeRoom)
	}
	return err
}

func (s *Space) check() error {
	where := ""
	if s.Path != "." {
		where = " in /" + s.Path
	}
	if s.Need > s.Free {
		return fault.Mark(fmt.Errorf("%d MiB are needed%s and %d MiB are free; make room first", s.Need>>20+1, where, s.Free>>20), fault.Failed, makeRoom)
	}
	if s.FreeInodes > 0 && s.NeedInodes > s.FreeInodes {
		return fault.Mark(fmt.Errorf("%d files are to be made%s and the file system has room for %d; make room first", s.NeedInodes, where, s.FreeInodes), fault.Failed, makeRoom)
	}
	return nil
}

// checkMounts refuses to change what is mounted read-only, and a mount point
// itself, which would fail when there is no way back any more.
func (p *Plan) checkMounts() error {
	d := p.system.disk
	if err := writable(int(d.root.Fd()), "."); err != nil {
		return err
	}
	mounts, err := d.mounts()
	if err != nil {
		return nil // there is no /proc; the operations themselves will tell
	}
	points := map[string]bool{}
	for _, at := range mounts {
		points[at] = true
	}
	checked := map[string]bool{}
	for _, o := range p.operations() {
		if points[o.Path] && (o.Do == doPut || o.Do == doUnlink) {
			return fmt.Errorf("/%s cannot be changed, because something is mounted there; unmount it first", o.Path)
		}
		for dir := folderOf(o.Path); dir != ""; dir = folderOf(dir) {
			if !points[dir] || checked[dir] {
				continue
			}
			checked[dir] = true
			fd, err := d.folder(dir)
			if err != nil {
				return err
			}
			if err := writable(fd, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// writable refuses a file system that is mounted read-only.
func writable(fd int, path string) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return fmt.Errorf("ask how /%s is mounted: %w", path, err)
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return fault.Mark(fmt.Errorf("/%s is mounted read-only", strings.TrimPrefix(path, ".")), fault.Failed, "mount -o remount,rw /"+strings.TrimPrefix(path, "."))
	}
	return nil
}

// otherSpace adds the other file systems that get files: what is staged beside
// the state is copied there.
func (p *Plan) otherSpace() error {
	byPath := map[string]int{}
	for _, f := range p.staged {
		path, st, err := p.mountOf(f.to)
		if err != nil {
			return err
		}
		if st == nil || st.Dev == p.device {
			continue
		}
		i, known := byPath[path]
		if !known {
			i = len(p.Space)
			byPath[path] = i
			fd, err := p.system.disk.folder(path)
			if err != nil {
				return err
			}
			other := Space{Path: path}
			if err := other.ask(fd); err != nil {
				return err
			}
			p.Space = append(p.Space, other)
		}
		p.Space[i].NeedInodes++
		if f.like != nil {
			p.Space[i].Need += roundUp(int64(len(f.text)))
		} else {
			p.Space[i].Need += roundUp(f.entry.file.Size)
		}
	}
	return nil
}

// mountOf returns the topmost folder above a path that is on the file system on
// which the path is or will be, and what it is; nil for one at the root.
func (p *Plan) mountOf(path string) (top string, at *unix.Stat_t, err error) {
	for _, dir := range parents(path) {
		st, known := p.mounts[dir]
		if !known {
			if st, err = p.system.disk.lstat(dir); err != nil {
				return "", nil, err
			}
			p.mounts[dir] = st
		}
		if st == nil || !isFolder(st) {
			break
		}
		if at == nil || st.Dev != at.Dev {
			top, at = dir, st
		}
	}
	return top, at, nil
}
