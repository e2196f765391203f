package system

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/trigger"

	"golang.org/x/sys/unix"
)

// Change is what a transaction shall do. A package whose name is installed
// already replaces all builds of that name, unless it stands beside them.
type Change struct {
	Add       []Addition
	Remove    []string  // "name", which is all builds of it, or "name@version", which is one
	Request   []string  // names of packages that a person asks for from now on
	Unrequest []string  // names of packages that are there only because others need them, from now on
	Reason    string    // for the history: "install zlib"
	Command   []string  // for the history: what was typed
	Time      time.Time // for the history

	NoTriggers bool // leave out what triggers would make, where they cannot run
}

// Addition is a package to install. Its signature has been verified by the
// caller; its content is verified when it is read, which is not before Commit,
// so that Package may have only its meta frame so far.
type Addition struct {
	Package   *pkgfile.Package
	Repo      string // "" for a package file given by path
	Requested bool   // a person asks for it
	Beside    bool   // keep other builds of the name (install-only packages)
}

// Plan is a change that fits the system: every conflict has been looked for,
// nothing has been changed yet.
type Plan struct {
	Bytes    int64        // to be written
	Inodes   int64        // to be made
	Space    []Space      // the same for each file system, with what is free
	Config   []ConfigNote // configuration files that an administrator has edited
	Carried  []string     // paths in /usr that no package owns; they come along
	Saved    []string     // package files that somebody replaced; they are kept in /.ashlar/saved
	Triggers []string     // names of the triggers that run
	InPlace  bool         // files are replaced one by one, since /usr cannot be exchanged here

	system    *System
	target    *target
	from      *Generation
	next      *Generation
	before    *ownership
	after     *ownership
	live      *delta // between what is installed and what will be
	owners    *owners
	unsettled bool              // users and groups are still to be given numbers
	accounts  map[string][]byte // texts of etc/passwd and its like that change
	bases     configBases
	merges    []configMerge
	restore   map[string]bool // paths to write again though nothing changed

	wanted  []wanted // objects to make from packages
	adopted []entry  // objects to make from what is on disk
	staged  []stagedFile

	stagedAt  map[string]int // where the operation is that puts a file, by its path
	due       []trigger.Trigger
	generated []byte // a new list of what triggers made

	above  map[string]bool         // the folders that gone paths are in
	turned map[string]bool         // folders on disk that become something else
	absent map[string]bool         // folders asked for: whether they are missing on disk
	device uint64                  // of the state's file system
	mounts map[string]*unix.Stat_t // folders on disk, to tell file systems apart
	puts   map[string]string

	folders map[string]*pkgfile.File // those that operations make

	dirty    map[string]bool // folders of the tree that somebody else has changed
	deviates bool            // the tree lacks something, so it must not serve as spare

	tree, early, mkdirs, moves, late, modes, times []operation
}

// Plan works out what a change means, without changing anything. The error
// says all that stands in its way. The system need not be locked; Commit locks
// it and fails if it has changed since.
func (s *System) Plan(ctx context.Context, change Change) (*Plan, error) {
	t, err := s.targetOf(change)
	if err != nil {
		return nil, err
	}
	return s.plan(ctx, t, nil)
}

// plan works out how to reach a target. restore are paths to write again.
func (s *System) plan(ctx context.Context, t *target, restore map[string]bool) (*Plan, error) {
	p := &Plan{system: s, target: t, from: s.generation, next: t.next, restore: restore,
		puts: map[string]string{}, above: map[string]bool{}, turned: map[string]bool{}, absent: map[string]bool{}, dirty: map[string]bool{},
		folders: map[string]*pkgfile.File{}, stagedAt: map[string]int{}, mounts: map[string]*unix.Stat_t{}}
	exchange, err := s.canExchange()
	if err != nil {
		return nil, err
	}
	p.InPlace = !exchange || s.inPlace
	var root unix.Stat_t
	if err := unix.Fstat(int(s.disk.root.Fd()), &root); err != nil {
		return nil, err
	}
	p.device = root.Dev
	if p.bases, err = s.disk.readBases(p.from.Number); err != nil {
		return nil, err
	}
	steps := []func(context.Context) error{p.compare, p.planInPlace, p.planTree, p.planContent, p.planTriggers, p.checkSpace}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	sortNotes(p.Config)
	slices.Sort(p.Carried)
	slices.Sort(p.Saved)
	return p, nil
}

// compare finds what differs, and refuses what does not fit together.
func (p *Plan) compare(context.Context) error {
	s := p.system
	var conflicts []string
	claimed := func(a, b entry) {
		if text := disagreement(claim{a.member.manifest, a.file}, claim{b.member.manifest, b.file}); text != "" && b.member.manifest.Name != "" {
			conflicts = append(conflicts, text)
		}
	}
	var err error
	if p.live, err = s.between(p.from, p.next, p.target, claimed); err != nil {
		return err
	}
	if p.before, err = s.ownership(p.from); err != nil {
		return err
	}
	if err := p.follow(); err != nil {
		return err
	}
	if err := p.check(conflicts); err != nil {
		return err
	}
	for path := range p.live.gone {
		for dir := folderOf(path); dir != "" && !p.above[dir]; dir = folderOf(dir) {
			p.above[dir] = true
		}
	}
	for path := range p.bases.Bases {
		if !p.after.hasFile(path) {
			delete(p.bases.Bases, path)
		}
	}
	p.InPlace = p.InPlace || !p.treeChanges()
	return p.resolveOwners()
}

// treeChanges reports whether anything in the tree differs.
func (p *Plan) treeChanges() bool {
	for path := range p.live.come {
		if inTree(path) && !p.live.same(path) {
			return true
		}
	}
	for path := range p.live.gone {
		if _, comes := p.live.come[path]; inTree(path) && !comes && (p.live.gone[path].file.Type != pkgfile.TypeDir || !p.after.isFolder(path)) {
			return true
		}
	}
	return slices.ContainsFunc(sortedKeys(p.restore), inTree)
}

// follow makes the index of the next generation.
func (p *Plan) follow() error {
	coming := map[int]*pkgfile.Manifest{}
	for _, m := range p.live.coming {
		coming[m.number] = m.manifest
	}
	var err error
	if p.after, err = p.before.successor(p.from, p.next, coming); err != nil {
		return err
	}
	p.after.folders = p.before.folders.successor(p.live.touched(), p.before, p.after)
	return nil
}

// staying returns those of the numbers of the next generation that belong to
// packages that stay.
func (p *Plan) staying(numbers []int) []int {
	return slices.DeleteFunc(numbers, func(n int) bool {
		return n >= len(p.next.Packages) || slices.ContainsFunc(p.live.coming, func(m *member) bool { return m.number == n })
	})
}

// direct reports whether a path is changed where it is, and not with its tree.
func (p *Plan) direct(path string) bool { return p.InPlace || !inTree(path) }

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

// operations returns all operations in the order in which they are applied.
func (p *Plan) operations() []operation {
	byPath := func(a, b operation) int { return strings.Compare(a.Path, b.Path) }
	early := slices.Clone(p.early)
	slices.SortStableFunc(early, func(a, b operation) int { return -byPath(a, b) })
	moves := slices.Clone(p.moves)
	slices.SortStableFunc(moves, byPath)
	return slices.Concat(p.tree, early, p.mkdirs, moves, p.late, p.modes, p.times)
}
