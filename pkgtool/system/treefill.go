package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func sortedBackward(m map[string]bool) []string {
	keys := sortedKeys(m)
	slices.Reverse(keys)
	return keys
}

// fill makes the files that come: several folders at a time, since the names
// in one folder are made one after the other anyway. Further names of a file
// come when it is there.
func (c *treeChange) fill(ctx context.Context) error {
	byFolder := map[string][]entry{}
	var links []entry
	for path, e := range c.delta.come {
		if !inTree(path) || e.file.Type == pkgfile.TypeDir || c.delta.same(path) {
			continue
		}
		if e.file.Type == pkgfile.TypeHardlink {
			links = append(links, e)
		} else {
			byFolder[folderOf(path)] = append(byFolder[folderOf(path)], e)
		}
		c.settled[folderOf(path)] = true
	}
	work := make(chan string)
	group, ctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		d := c.plan.system.disk.clone()
		group.Go(func() error {
			defer d.forget("")
			for dir := range work {
				if err := c.fillFolder(d, byFolder[dir]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(work)
		for _, dir := range sortedKeys(byFolder) {
			select {
			case work <- dir:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	for _, e := range links {
		d := c.plan.system.disk
		err := d.linkAt(c.prefix+e.file.Target, c.prefix+e.file.Path)
		if c.fallback && errors.Is(err, fs.ErrNotExist) {
			continue // the live tree lacks it as well
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *treeChange) fillFolder(d *disk, entries []entry) error {
	for _, e := range entries {
		var err error
		if e.file.Type == pkgfile.TypeSymlink {
			err = c.symlink(d, e)
		} else {
			err = c.link(d, e)
		}
		if err != nil {
			return fmt.Errorf("make %s: %w", e.file.Path, err)
		}
	}
	return nil
}

func (c *treeChange) symlink(d *disk, e entry) error {
	path := c.prefix + e.file.Path
	if err := d.symlink(e.file.Target, path); err != nil {
		return err
	}
	return d.setLink(path, c.plan.owners, e.file, treeTime)
}

// setLink gives a symbolic link its owner and time.
func (d *disk) setLink(path string, owners *owners, f *pkgfile.File, seconds int64) error {
	uid, gid, err := owners.of(f)
	if err != nil {
		return err
	}
	return d.at("set", path, func(fd int, base string) error {
		if privileged {
			if err := unix.Fchownat(fd, base, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
				return err
			}
		}
		t := unix.Timespec{Sec: seconds}
		return unix.UtimesNanoAt(fd, base, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// link gives an object a name in the tree. What the store never had, because an
// image brought it, is linked from the live tree, where nothing has changed it.
func (c *treeChange) link(d *disk, e entry) error {
	o, err := c.plan.owners.object(e)
	if err != nil {
		return err
	}
	path := c.prefix + e.file.Path
	err = d.at("link", path, func(fd int, base string) error { return c.plan.system.store.Link(o, fd, base) })
	if !c.fallback || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	st, lstatErr := d.lstat(e.file.Path)
	if lstatErr != nil || st == nil || !isRegular(st) {
		return lstatErr
	}
	return d.linkAt(e.file.Path, path)
}
