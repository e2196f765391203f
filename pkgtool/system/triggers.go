package system

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/store"
	"ashlar/pkgtool/system/trigger"

	"golang.org/x/sys/unix"
)

// planTriggers finds the triggers that watch what changes.
func (p *Plan) planTriggers(context.Context) error {
	if p.target.noTriggers {
		return nil
	}
	var all []trigger.Trigger
	for _, r := range p.next.Packages {
		for _, t := range r.Triggers {
			all = append(all, trigger.Trigger{Package: r.Name, Trigger: t})
		}
	}
	if len(all) == 0 {
		return nil
	}
	var changed []string
	for path := range p.live.come {
		if !p.live.same(path) {
			changed = append(changed, path)
		}
	}
	for path := range p.live.gone {
		if _, comes := p.live.come[path]; !comes {
			changed = append(changed, path)
		}
	}
	p.due = trigger.Due(all, changed)
	for _, t := range p.due {
		p.Triggers = append(p.Triggers, t.Name)
	}
	return nil
}

// runTriggers runs them on the new tree and plans what they made.
func (p *Plan) runTriggers(ctx context.Context) error {
	if len(p.due) == 0 {
		return nil
	}
	d := p.system.disk
	scratch := stagingDir + "/triggers"
	if err := d.mkdir(scratch, 0o700); err != nil {
		return err
	}
	root, err := filepath.Abs(p.system.root)
	if err != nil {
		return err
	}
	r := trigger.Root{Live: root, Scratch: filepath.Join(root, scratch), Files: p.triggerFiles(root)}
	if !p.InPlace {
		r.Usr = filepath.Join(root, spareRoot, treeTop)
	}
	for _, o := range slices.Concat(p.early, p.late) {
		if o.Do == doUnlink {
			r.Removed = append(r.Removed, o.Path)
		}
	}
	out, err := trigger.Run(ctx, r, p.due)
	if err != nil {
		return err
	}
	return errors.Join(p.takeOutput(out), out.Close(), d.removeAll(scratch))
}

// triggerFiles lists what is staged, for the triggers to see. A path can be staged
// twice, as when a package brings /etc/group and others add accounts to it: the
// later one is put in place last.
func (p *Plan) triggerFiles(root string) []trigger.File {
	var files []trigger.File
	at := map[string]int{}
	for _, o := range p.mkdirs {
		files = append(files, trigger.File{Path: o.Path, Type: pkgfile.TypeDir, Mode: o.Mode, UID: o.UID, GID: o.GID})
	}
	for _, f := range p.staged {
		if p.moves[p.stagedAt[f.to]].Staged != f.number {
			continue // something else comes in its place, as new accounts do
		}
		t := trigger.File{Path: f.to, Type: pkgfile.TypeFile, Source: filepath.Join(root, stagedPath(f.number))}
		switch {
		case f.like != nil:
			t.Mode, t.UID, t.GID = f.like.Mode&0o7777, f.like.Uid, f.like.Gid
		case f.entry.file.Type == pkgfile.TypeSymlink:
			t.Type, t.Source, t.Target = pkgfile.TypeSymlink, "", f.entry.file.Target
		default:
			t.Mode = f.entry.object.Mode
			t.UID, t.GID, _ = p.owners.of(f.entry.object)
		}
		if i, twice := at[f.to]; twice {
			files[i] = t
			continue
		}
		at[f.to] = len(files)
		files = append(files, t)
	}
	return files
}

// takeOutput plans what triggers made: in /usr it becomes part of the tree and
// of the generation, elsewhere it is put like a package's file.
func (p *Plan) takeOutput(out *trigger.Output) error {
	made, err := p.system.generated(p.next)
	if err != nil {
		return err
	}
	files := map[string]pkgfile.File{}
	for _, f := range made.Files {
		files[f.Path] = f
	}
	tree := false
	for i := range out.Changes {
		c := &out.Changes[i]
		if inTree(c.Path) {
			tree = true
			err = p.madeInTree(c, files)
		} else if c.Type != trigger.Removed {
			err = p.putMade(c)
		}
		if err != nil {
			return err
		}
	}
	for _, c := range slices.Backward(out.Changes) { // what is inside goes first
		if c.Type == trigger.Removed && !inTree(c.Path) {
			p.late = append(p.late, operation{Do: doUnlink, Path: c.Path}, operation{Do: doRmdir, Path: c.Path})
		}
	}
	if !tree {
		return nil
	}
	next := &pkgfile.Manifest{Provenance: pkgfile.Provenance{Epoch: p.next.Time.Unix()}}
	for _, path := range sortedKeys(files) {
		next.Files = append(next.Files, files[path])
	}
	return p.regenerate(made, next)
}

// madeInTree notes one change of a trigger in the list of what triggers made.
func (p *Plan) madeInTree(c *trigger.Change, files map[string]pkgfile.File) error {
	owner, err := p.packageWith(c.Path)
	if err != nil {
		return err
	}
	if owner != "" && c.Type != pkgfile.TypeDir {
		return fmt.Errorf("a trigger changed %s, which belongs to %s; triggers may only make files of their own", c.Path, owner)
	}
	if owner != "" {
		return nil
	}
	if c.Type == trigger.Removed {
		for path := range files {
			if path == c.Path || strings.HasPrefix(path, c.Path+"/") {
				delete(files, path)
			}
		}
		return nil
	}
	f := pkgfile.File{Path: c.Path, Type: c.Type, Mode: c.Mode, Owner: p.owners.user(c.UID), Group: p.owners.group(c.GID), Target: c.Target, Xattrs: c.Xattrs, Size: c.Size}
	switch c.Type {
	case pkgfile.TypeSymlink:
		f.Mode, f.Size = 0o777, 0
	case pkgfile.TypeFile:
		if f.SHA256, err = p.keepMade(c, &f); err != nil {
			return err
		}
	}
	files[c.Path] = f
	return nil
}

// packageWith returns the name of the package of the next generation that has a
// path, or "".
func (p *Plan) packageWith(path string) (string, error) {
	for _, n := range slices.Concat(p.after.file(path), p.after.listed(path)) {
		if n == len(p.next.Packages) {
			continue
		}
		r := p.next.Packages[n]
		m, err := p.manifestOf(r)
		if err != nil {
			return "", err
		}
		if m.File(path) != nil {
			return r.Name, nil
		}
	}
	return "", nil
}

// manifestOf is the manifest of a package of the next generation, which need
// not be stored yet.
func (p *Plan) manifestOf(r Record) (*pkgfile.Manifest, error) {
	if pkg := p.target.contents[r.Manifest]; pkg != nil {
		return pkg.Manifest(), nil
	}
	return p.system.Manifest(r)
}

// keepMade puts a file that a trigger made into the store.
func (p *Plan) keepMade(c *trigger.Change, f *pkgfile.File) (sum string, err error) {
	data, err := readMade(c)
	if err != nil {
		return "", err
	}
	f.Size = int64(len(data))
	o := &store.Object{SHA256: hexSum(data), Size: f.Size, Mode: f.Mode, UID: c.UID, GID: c.GID, Xattrs: p.owners.settable(f.Xattrs), Time: p.next.Time.Unix()}
	if p.owners.mine {
		o.UID, o.GID = myIDs()
	}
	return o.SHA256, p.system.store.Put(o, o.Time, data)
}

// readMade reads a file that a trigger made.
func readMade(c *trigger.Change) ([]byte, error) {
	in, err := os.Open(c.Source)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxGeneration+1))
	if err == nil && int64(len(data)) > maxGeneration {
		err = fmt.Errorf("a trigger made %s, which is larger than the %d bytes allowed", c.Path, maxGeneration)
	}
	return data, err
}

// putMade plans one change of a trigger outside of the tree.
func (p *Plan) putMade(c *trigger.Change) error {
	switch c.Type {
	case pkgfile.TypeDir:
		p.mkdirs = append(p.mkdirs, operation{Do: doMkdir, Path: c.Path, Mode: c.Mode, UID: c.UID, GID: c.GID, Xattrs: p.owners.settable(c.Xattrs)})
		return nil
	case pkgfile.TypeSymlink:
		f := &pkgfile.File{Path: c.Path, Type: c.Type, Mode: 0o777, Owner: p.owners.user(c.UID), Group: p.owners.group(c.GID), Target: c.Target}
		p.put(entry{&member{manifest: &pkgfile.Manifest{Provenance: pkgfile.Provenance{Epoch: p.next.Time.Unix()}}}, f, f}, c.Path)
		return nil
	}
	data, err := readMade(c)
	if err != nil {
		return err
	}
	p.stageOne(stagedFile{to: c.Path, text: data, like: &unix.Stat_t{Mode: c.Mode, Uid: c.UID, Gid: c.GID}, xattrs: p.owners.settable(c.Xattrs)})
	return nil
}

// regenerate makes a new list of what triggers made part of the next generation
// and brings the tree, or what is staged, to it.
func (p *Plan) regenerate(old, next *pkgfile.Manifest) error {
	data, err := json.Marshal(next)
	if err != nil {
		return err
	}
	p.next.Generated, p.generated = hexSum(data), data
	if len(next.Files) == 0 {
		p.next.Generated, p.generated = "", nil
	}
	p.system.manifests[p.next.Generated] = next
	if p.live, err = p.system.between(p.from, p.next, p.target, nil); err != nil {
		return err
	}
	if err := p.follow(); err != nil {
		return err
	}
	number := len(p.next.Packages)
	change := newDelta([]*member{{manifest: old, number: number}}, []*member{{manifest: next, number: number}}, nil)
	if !p.InPlace {
		return (&treeChange{plan: p, delta: change, prefix: spareRoot + "/"}).apply(context.Background())
	}
	for _, path := range sortedKeys(change.come) {
		e := change.come[path]
		switch {
		case change.same(path):
		case e.file.Type == pkgfile.TypeDir:
			if err := p.makeFolder(path); err != nil {
				return err
			}
		default:
			if err := p.makeFolder(folderOf(path)); err != nil {
				return err
			}
			p.put(e, path)
		}
	}
	for _, path := range sortedKeys(change.gone) {
		if !p.after.has(path) {
			p.late = append(p.late, operation{Do: doUnlink, Path: path}, operation{Do: doRmdir, Path: path})
		}
	}
	return nil
}

// user and group are the names for numbers; what has none is taken as root's.
func (o *owners) user(id uint32) string  { return nameOf(o.users, id) }
func (o *owners) group(id uint32) string { return nameOf(o.groups, id) }

func nameOf(known map[string]uint32, id uint32) string {
	for _, name := range sortedKeys(known) {
		if known[name] == id && id != 0 {
			return name
		}
	}
	return "root"
}
