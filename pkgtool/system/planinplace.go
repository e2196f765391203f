package system

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"ashlar/pkgtool/pkgfile"
)

// planInPlace plans what is not exchanged with a tree.
func (p *Plan) planInPlace(ctx context.Context) error {
	var conflicts []string
	for _, path := range slices.Sorted(maps.Keys(p.live.come)) {
		e := p.live.come[path]
		if !p.direct(path) || e.file.Type == pkgfile.TypeDir {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		to, conflict, err := p.planFile(e)
		if err != nil {
			return fmt.Errorf("plan %s: %w", e.member.manifest.Name, err)
		}
		if conflict != "" {
			conflicts = append(conflicts, conflict)
		} else if to == "" && p.restore[path] {
			to = path
		}
		if to != "" {
			p.puts[path] = to
		}
	}
	if err := foreignConflicts(conflicts); err != nil {
		return err
	}
	p.completeLinks()
	for _, path := range slices.Sorted(maps.Keys(p.puts)) {
		p.put(p.live.come[path], p.puts[path])
	}
	if err := p.planFolders(); err != nil {
		return err
	}
	return p.planRemovals()
}

func foreignConflicts(conflicts []string) error {
	return listConflicts("files that no package owns are in the way (move them away, or remove them)", conflicts)
}

// completeLinks makes sure that the names of one file are written together or
// not at all.
func (p *Plan) completeLinks() {
	for range 2 { // first the links' targets, then the other links to those
		for path, e := range p.live.come {
			if e.file.Type != pkgfile.TypeHardlink || !p.direct(path) {
				continue
			}
			_, link := p.puts[path]
			_, target := p.puts[e.file.Target]
			if link && !target {
				p.puts[e.file.Target] = e.file.Target
			} else if target && !link {
				p.puts[path] = path
			}
		}
	}
}

// planFolders makes the folders that are missing or differ.
func (p *Plan) planFolders() error {
	d := p.system.disk
	folders, seen := map[string]entry{}, map[string]bool{}
	for path, e := range p.live.come {
		if !p.direct(path) {
			continue
		}
		if e.file.Type == pkgfile.TypeDir {
			folders[path] = e
		}
		p.addUnlisted(folders, seen, path)
	}
	if p.InPlace {
		p.addUnlisted(folders, seen, identityPath)
	}
	for _, path := range slices.Sorted(maps.Keys(folders)) {
		f := folders[path].file
		st, err := d.lstat(path)
		if err != nil {
			return err
		}
		old, was := p.live.gone[path]
		listed := folders[path].member != nil
		switch {
		case st != nil && !isFolder(st) && !was:
			return fmt.Errorf("%s must be a folder, but it is %s; replace it by a folder", path, kindOf(st))
		case st != nil && !isFolder(st):
			p.early = append(p.early, operation{Do: doUnlink, Path: path})
		case st != nil && !p.restore[path] && (!listed || len(p.staying(p.after.listed(path))) > 0 || was && sameFolder(old.file, f)):
			continue // as it should be, or as the administrator wants it
		case st != nil && isFolder(st) && st.Dev != p.device:
			continue // something is mounted there; its mode is not ours to set
		}
		o := operation{Do: doMkdir, Path: path, Mode: f.Mode, Xattrs: f.Xattrs}
		p.folders[path] = f
		p.mkdirs = append(p.mkdirs, o)
		if f.Mode&0o700 != 0o700 && !privileged {
			o.Do = doChmod
			p.modes = append(p.modes, o)
		}
	}
	return nil
}

// addUnlisted adds the folders above a path that no package lists. They are
// made with mode 0755 for root. seen are the folders that were looked at.
func (p *Plan) addUnlisted(folders map[string]entry, seen map[string]bool, path string) {
	for dir := folderOf(path); dir != "" && !seen[dir]; dir = folderOf(dir) {
		seen[dir] = true
		if _, known := folders[dir]; !known && !p.after.hasListed(dir) {
			folders[dir] = entry{file: &pkgfile.File{Path: dir, Type: pkgfile.TypeDir, Mode: 0o755, Owner: "root", Group: "root"}}
		}
	}
}

func sameFolder(a, b *pkgfile.File) bool {
	return a.Type == b.Type && a.Mode == b.Mode && a.Owner == b.Owner && a.Group == b.Group &&
		maps.EqualFunc(a.Xattrs, b.Xattrs, slices.Equal)
}

// planRemovals takes away what only the leaving packages own. What stands in
// the way of something new of another type goes first, the rest last.
func (p *Plan) planRemovals() error {
	going := maps.Clone(p.turned)
	for path, e := range p.live.gone {
		if !p.direct(path) || p.after.hasFile(path) || p.after.hasListed(path) {
			continue
		}
		if isConfig(e.file) {
			edited, err := p.edited(e)
			if err != nil {
				return err
			}
			if edited {
				p.Config = append(p.Config, ConfigNote{Path: path, Kept: true})
				continue
			}
		}
		going[path] = true
	}
	for path := range maps.Clone(going) {
		for _, parent := range parents(path) {
			if !p.after.isFolder(parent) {
				going[parent] = true
			}
		}
	}
	for _, path := range slices.Backward(slices.Sorted(maps.Keys(going))) {
		o := operation{Do: doUnlink, Path: path}
		if e, was := p.live.gone[path]; !was || e.file.Type == pkgfile.TypeDir || p.turned[path] {
			o.Do = doRmdir
		}
		if p.turned[path] || slices.ContainsFunc(parents(path), func(parent string) bool { return p.turned[parent] }) {
			p.early = append(p.early, o)
		} else {
			p.late = append(p.late, o)
		}
	}
	for path := range p.turned {
		if err := p.checkEmptied(path, going); err != nil {
			return err
		}
	}
	return nil
}

// checkEmptied refuses to turn a folder into something else while it holds
// files that stay.
func (p *Plan) checkEmptied(path string, going map[string]bool) error {
	st, err := p.system.disk.lstat(path)
	if err != nil || st == nil || !isFolder(st) {
		return err
	}
	names, err := p.system.disk.list(path)
	if err != nil {
		return err
	}
	for _, name := range names {
		inside := path + "/" + name
		if !going[inside] {
			return turnedWithForeign(path, p.live.come[path].file.Type, inside)
		}
		if err := p.checkEmptied(inside, going); err != nil {
			return err
		}
	}
	return nil
}

func turnedWithForeign(path, kind, inside string) error {
	return fmt.Errorf("folder %s becomes a %s, but %s is in it and no package owns that; move it away", path, kind, inside)
}
