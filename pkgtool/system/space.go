package system

import (
	"fmt"

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

// checkSpace refuses a plan that would fill the disk, and one that would have
// to move files to another file system, before anything is written. Staged
// files and those they replace exist side by side for a while, so the whole of
// them must fit.
func (p *Plan) checkSpace() error {
	for _, add := range p.change.Add {
		p.Bytes += roundUp(int64(len(add.Package.ManifestBytes())))
	}
	const journalEntry, slack = 200, 1 << 20
	need := p.Bytes + int64(len(p.moves)+len(p.mkdirs)+len(p.late))*journalEntry + slack
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(p.system.disk.root.Fd()), &st); err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	free := int64(st.Bavail) * st.Bsize
	if need > free {
		return fmt.Errorf("%d MiB are needed and %d MiB are free; make room first", need>>20+1, free>>20)
	}
	if st.Files > 0 && p.Inodes+100 > int64(st.Ffree) {
		return fmt.Errorf("%d files are to be made and the file system has room for %d; make room first", p.Inodes, st.Ffree)
	}
	return p.checkOneFileSystem()
}

// checkOneFileSystem makes sure that every folder that gets a file is on the
// file system of the staging folder, from where files are moved.
func (p *Plan) checkOneFileSystem() error {
	seen := map[string]bool{}
	for _, o := range p.moves {
		for _, parent := range parents(o.Path) {
			if seen[parent] {
				continue
			}
			seen[parent] = true
			st, err := p.system.disk.lstat(parent)
			if err != nil {
				return err
			}
			if st != nil && isFolder(st) && st.Dev != p.device {
				return fmt.Errorf("%s is another file system than the root; pkgtool cannot install there yet", parent)
			}
		}
	}
	return nil
}
