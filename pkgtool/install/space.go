package install

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/system"

	"golang.org/x/sys/unix"
)

// Space is what a plan needs of one file system, in bytes.
type Space struct {
	Path       string `json:"path"`               // where it is mounted, below the root
	Need       int64  `json:"need"`               // with Download
	Free       int64  `json:"free"`               //
	Download   int64  `json:"download,omitempty"` // the part that the download takes in the cache
	NeedInodes int64  `json:"need_inodes"`
	FreeInodes int64  `json:"free_inodes,omitempty"` // absent if the file system does not count them
}

// planSpace notes what the plan needs of each file system, the download in the
// cache included, and refuses what does not fit.
func (p *Plan) planSpace(planned []system.Space) error {
	root := p.session.opts.Root
	p.Space = nil
	for _, s := range planned {
		p.Space = append(p.Space, Space{Path: filepath.Join("/", s.Path), Need: s.Need, Free: s.Free, NeedInodes: s.NeedInodes, FreeInodes: s.FreeInodes})
	}
	if p.Download == 0 {
		return nil
	}
	cache, at, err := existing(client.DirsOf(root).Cache)
	if err != nil {
		return err
	}
	i := 0
	for ; i < len(p.Space); i++ {
		var st unix.Stat_t
		if unix.Stat(filepath.Join(root, p.Space[i].Path), &st) == nil && st.Dev == cache.Dev {
			break
		}
	}
	if i == len(p.Space) {
		var free unix.Statfs_t
		if err := unix.Statfs(at, &free); err != nil {
			return fmt.Errorf("ask for free space: %w", err)
		}
		p.Space = append(p.Space, Space{Path: filepath.Join("/", "var/cache/pkgtool"), Free: int64(free.Bavail) * free.Bsize})
	}
	s := &p.Space[i]
	s.Download = p.Download
	s.Need += p.Download
	if s.Need > s.Free {
		return fault.Mark(fmt.Errorf("%d MiB are needed on %s, %d MiB of them for the download, and %d MiB are free", s.Need>>20+1, s.Path, s.Download>>20, s.Free>>20),
			fault.Failed, "make room first; pkgtool clean removes what nothing needs any more")
	}
	return nil
}

// existing returns the nearest folder above a path that exists, and where.
func existing(path string) (st unix.Stat_t, at string, err error) {
	for at = path; ; at = filepath.Dir(at) {
		if err = unix.Stat(at, &st); !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return st, at, err
		}
	}
}
