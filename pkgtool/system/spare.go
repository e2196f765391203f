package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

// bringSpare makes the spare tree that of the next generation, without its
// identity. Normally the spare is that of an earlier generation and only what
// differs is done; a spare of unknown state is made anew.
func (p *Plan) bringSpare(ctx context.Context) error {
	known, err := p.system.spareGeneration()
	if err != nil {
		return err
	}
	if known != nil {
		err := p.changeSpare(ctx, known)
		if err == nil || ctx.Err() != nil || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EROFS) {
			return err
		}
		// It is not what it says. Its place is taken by a new one.
	}
	if err := p.system.disk.discardSpare(p.next.Number); err != nil {
		return err
	}
	return p.changeSpare(ctx, &Generation{})
}

// spareGeneration returns the generation that the spare tree is, or nil if it is
// none that is known.
func (s *System) spareGeneration() (*Generation, error) {
	identity, err := s.disk.identity(spareRoot)
	if err != nil || identity == "" {
		return nil, err
	}
	if identity == s.generation.identity {
		return s.generation, nil
	}
	numbers, err := s.disk.generationNumbers()
	if err != nil {
		return nil, err
	}
	staged, err := s.Staged()
	if err != nil {
		return nil, err
	}
	for _, n := range slices.Backward(numbers) {
		if n > s.generation.Number && n != staged {
			continue
		}
		data, err := s.disk.readFile(generationPath(n), maxGeneration)
		if err == nil && hexSum(data) == identity {
			return s.generationAt(n)
		}
	}
	return nil, nil
}

// discardSpare puts a spare tree aside, to be removed when there is time.
func (d *disk) discardSpare(number int) error {
	st, err := d.lstat(spareRoot)
	if err != nil || st == nil {
		return err
	}
	if err := d.makeAll(discardedDir, 0o700); err != nil {
		return err
	}
	for i := 0; ; i++ {
		moved, err := d.move(spareRoot, fmt.Sprintf("%s/%d.%d", discardedDir, number, i))
		if err != nil || moved {
			return err
		}
	}
}

// changeSpare brings the spare from one generation, which can be the empty one,
// to the next.
func (p *Plan) changeSpare(ctx context.Context, from *Generation) error {
	d := p.system.disk
	if err := d.makeAll(spareRoot, 0o700); err != nil {
		return err
	}
	// From here on, and after any crash, the spare is of no known generation.
	if st, err := d.lstat(spareRoot + "/" + identityPath); err != nil {
		return err
	} else if st != nil {
		if err := d.unlink(spareRoot + "/" + identityPath); err != nil {
			return err
		}
		if err := d.syncFolder(spareRoot + "/" + identityDir); err != nil {
			return err
		}
	}
	change, err := p.system.between(from, p.next, p.target, nil)
	if err != nil {
		return err
	}
	c := &treeChange{plan: p, delta: change, prefix: spareRoot + "/", fallback: true}
	if err := c.apply(ctx); err != nil {
		return fmt.Errorf("build the tree of generation %d: %w", p.next.Number, err)
	}
	return nil
}

// firstSpare makes a spare tree after the transaction that had none before it,
// equal to the live one. It takes a link for each file, now that everything is
// known, and lets the next transaction do no more than what changes. Whatever
// keeps it from that keeps nothing else: the spare then has no identity, and the
// next transaction makes it.
func (p *Plan) firstSpare(ctx context.Context) {
	d := p.system.disk
	if st, err := d.lstat(spareRoot + "/" + treeTop); p.InPlace || err != nil || st != nil {
		return
	}
	if p.changeSpare(ctx, &Generation{}) != nil || d.syncAll() != nil {
		return
	}
	if d.identify(spareRoot, p.next.identity) != nil {
		d.unlink(spareRoot + "/" + identityPath)
	}
}

// identify writes into a tree which generation it is. It is the last change of
// the tree.
func (d *disk) identify(root, identity string) error {
	path := root + "/" + identityPath
	if err := d.write(path, []byte(identity+"\n")); err != nil {
		return err
	}
	return errors.Join(d.setTime(path, treeTime), d.setTime(root+"/"+identityDir, treeTime))
}

// treeChange does to a tree what differs between two generations.
type treeChange struct {
	plan     *Plan
	delta    *delta
	prefix   string          // of the tree on disk, with a slash
	fallback bool            // link a file that the store lacks from the live tree
	settled  map[string]bool // folders that get their time at the end
	closed   []operation     // and those that get a mode with which we could not fill them
}

func (c *treeChange) apply(ctx context.Context) error {
	c.settled = map[string]bool{}
	for _, step := range []func(context.Context) error{c.open, c.remove, c.makeFolders, c.fill, c.settle} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// open lets an ordinary user write to the folders to change.
func (c *treeChange) open(context.Context) error {
	if privileged {
		return nil
	}
	d, seen := c.plan.system.disk, map[string]bool{}
	for _, side := range []map[string]entry{c.delta.gone, c.delta.come} {
		for _, path := range sortedKeys(side) {
			for _, dir := range parents(path) {
				if !inTree(path) || seen[dir] {
					continue
				}
				seen[dir] = true
				st, err := d.lstat(c.prefix + dir)
				if err != nil {
					return err
				}
				if st == nil || !isFolder(st) || st.Mode&0o700 == 0o700 {
					continue
				}
				o := operation{Path: c.prefix + dir, Mode: st.Mode & 0o7777}
				c.closed = append(c.closed, o)
				o.Mode |= 0o700
				if err := d.setFolder(o); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// remove takes away what goes or changes, files first.
func (c *treeChange) remove(context.Context) error {
	d, after := c.plan.system.disk, c.plan.after
	var files []string
	folders := map[string]bool{}
	for path, e := range c.delta.gone {
		if !inTree(path) {
			continue
		}
		if e.file.Type != pkgfile.TypeDir && !c.delta.same(path) {
			files = append(files, path)
		}
		for dir := path; dir != "" && !folders[dir]; dir = folderOf(dir) {
			if (dir != path || e.file.Type == pkgfile.TypeDir) && !after.isFolder(dir) {
				folders[dir] = true
			}
		}
	}
	slices.Sort(files)
	for _, path := range files {
		if err := d.unlink(c.prefix + path); err != nil {
			return err
		}
		c.settled[folderOf(path)] = true
	}
	for _, path := range sortedBackward(folders) {
		if err := d.rmdir(c.prefix + path); err != nil {
			return err
		}
		delete(c.settled, path)
		c.settled[folderOf(path)] = true
	}
	return nil
}

// makeFolders makes the folders that come, the outer ones first.
func (c *treeChange) makeFolders(ctx context.Context) error {
	d := c.plan.system.disk
	folders, seen := map[string]entry{}, map[string]bool{}
	for path, e := range c.delta.come {
		if !inTree(path) {
			continue
		}
		if old, was := c.delta.gone[path]; e.file.Type == pkgfile.TypeDir && !(was && sameFolder(old.file, e.file)) {
			folders[path] = e
		}
		if !c.delta.same(path) {
			c.plan.addUnlisted(folders, seen, path)
		}
	}
	c.plan.addUnlisted(folders, seen, identityPath)
	for _, path := range sortedKeys(folders) {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := d.mkdir(c.prefix+path, 0o700)
		existed := errors.Is(err, fs.ErrExist)
		if err != nil && !existed {
			return err
		}
		c.settled[path] = true
		if dir := folderOf(path); dir != "" && !existed {
			c.settled[dir] = true
		}
		if existed && folders[path].member == nil {
			continue
		}
		o := operation{Path: c.prefix + path, Mode: folders[path].file.Mode, Xattrs: c.plan.owners.settable(folders[path].file.Xattrs)}
		if o.UID, o.GID, err = c.plan.owners.of(folders[path].file); err != nil {
			return err
		}
		if !privileged && o.Mode&0o700 != 0o700 {
			c.closed = append(c.closed, o) // it must be filled first
			o.Mode |= 0o700
		}
		if err := d.setFolder(o); err != nil {
			return err
		}
	}
	return nil
}

// settle gives changed folders the time by which we know them again.
func (c *treeChange) settle(context.Context) error {
	d := c.plan.system.disk
	delete(c.settled, "")
	for _, path := range sortedKeys(c.settled) {
		err := d.setTime(c.prefix+path, treeTime)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNoFolder) {
			return err
		}
	}
	for _, o := range slices.Backward(c.closed) {
		if err := d.setFolder(o); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNoFolder) {
			return err
		}
	}
	return nil
}
