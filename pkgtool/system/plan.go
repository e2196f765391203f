package system

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/pkgfile"

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
	Saved    []string     // package files in /usr that somebody replaced; they are kept in /.ashlar/saved
	Triggers []string     // names of the triggers that run

	system *System
	change Change
	next   *Generation
	owners *owners
	staged map[*pkgfile.Package]map[string]int // number by path in the package

	gone   map[string]*pkgfile.File // what leaving packages own, by path
	above  map[string]bool          // the folders that gone paths are in
	shared map[string]bool          // folders of packages that stay
	turned map[string]bool          // folders on disk that become something else
	absent map[string]bool          // folders asked for: whether they are missing on disk
	device uint64                   // of the root's file system
	target claims
	puts   map[string]string // where each file to write goes, by its path

	early, mkdirs, moves, late, modes []operation
}

// plan works out a change against the files that are on the disk.
func (s *System) plan(ctx context.Context, change Change) (*Plan, error) {
	p := &Plan{system: s, change: change, staged: map[*pkgfile.Package]map[string]int{}, puts: map[string]string{},
		gone: map[string]*pkgfile.File{}, above: map[string]bool{}, shared: map[string]bool{}, turned: map[string]bool{}, absent: map[string]bool{}}
	var root unix.Stat_t
	if err := unix.Fstat(int(s.disk.root.Fd()), &root); err != nil {
		return nil, err
	}
	p.device = root.Dev
	manifests, err := p.nextGeneration()
	if err != nil {
		return nil, err
	}
	if p.target, err = claimAll(manifests); err != nil {
		return nil, err
	}
	if err := p.resolveOwners(); err != nil {
		return nil, err
	}
	var conflicts []string
	for _, add := range change.Add {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		found, err := p.planPackage(add.Package)
		if err != nil {
			return nil, fmt.Errorf("plan %s: %w", add.Package.Manifest().Name, err)
		}
		conflicts = append(conflicts, found...)
	}
	if err := listConflicts("files that no package owns are in the way (move them away, or remove them)", conflicts); err != nil {
		return nil, err
	}
	if err := p.planFolders(); err != nil {
		return nil, err
	}
	if err := p.planRemovals(); err != nil {
		return nil, err
	}
	return p, p.checkSpace()
}

// nextGeneration lists what is installed afterwards and returns its manifests.
func (p *Plan) nextGeneration() ([]*pkgfile.Manifest, error) {
	s, change := p.system, p.change
	leaving := map[string]bool{}
	for _, name := range change.Remove {
		if s.Package(name) == nil {
			return nil, fmt.Errorf("package %s is not installed", name)
		}
		leaving[name] = true
	}
	p.next = &Generation{Format: formatVersion, Number: s.generation.Number + 1, Time: change.Time.UTC().Truncate(time.Second),
		Reason: change.Reason, Command: change.Command, Packages: []Record{}}
	var manifests []*pkgfile.Manifest
	for _, add := range change.Add {
		r, err := newRecord(add.Package, add.Repo, add.Requested)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(p.next.Packages, func(o Record) bool { return o.Name == r.Name }) {
			return nil, fmt.Errorf("package %s is given twice", r.Name)
		}
		leaving[r.Name] = true
		p.next.Packages = append(p.next.Packages, r)
		manifests = append(manifests, add.Package.Manifest())
	}
	for _, r := range s.generation.Packages {
		m, err := s.Manifest(r)
		if err != nil {
			return nil, err
		}
		if leaving[r.Name] {
			for i := range m.Files {
				p.gone[m.Files[i].Path] = &m.Files[i]
				for _, parent := range parents(m.Files[i].Path) {
					p.above[parent] = true
				}
			}
			continue
		}
		for i := range m.Files {
			if m.Files[i].Type == pkgfile.TypeDir {
				p.shared[m.Files[i].Path] = true
			}
		}
		r.Requested = r.Requested || slices.Contains(change.Request, r.Name)
		p.next.Packages = append(p.next.Packages, r)
		manifests = append(manifests, m)
	}
	sortRecords(p.next.Packages)
	return manifests, nil
}

func (p *Plan) resolveOwners() error {
	p.owners = newOwners()
	if !privileged { // every file becomes ours
		return nil
	}
	if err := p.owners.addDisk(p.system.disk); err != nil {
		return err
	}
	for _, add := range p.change.Add {
		if err := p.owners.addPackage(add.Package); err != nil {
			return err
		}
	}
	for _, add := range p.change.Add {
		for i := range add.Package.Manifest().Files {
			if f := &add.Package.Manifest().Files[i]; f.Type != pkgfile.TypeHardlink {
				if _, _, err := p.owners.of(f); err != nil {
					return fmt.Errorf("package %s: %w", add.Package.Manifest().Name, err)
				}
			}
		}
	}
	return nil
}

// planPackage decides what happens to each file of a package, and numbers the
// files to write. It returns conflicts with files that no package owns.
func (p *Plan) planPackage(pkg *pkgfile.Package) (conflicts []string, err error) {
	files := pkg.Manifest().Files
	for i := range files {
		f := &files[i]
		if f.Type == pkgfile.TypeDir {
			continue
		}
		to, conflict, err := p.planFile(pkg, f)
		if err != nil {
			return nil, err
		}
		if conflict != "" {
			conflicts = append(conflicts, conflict)
		} else if to != "" {
			p.puts[f.Path] = to
		}
	}
	p.completeLinks(files)
	numbers := map[string]int{}
	for i := range files {
		f := &files[i]
		to, write := p.puts[f.Path]
		if !write || f.Type == pkgfile.TypeDir {
			continue
		}
		number := len(p.moves) + 1
		numbers[f.Path] = number
		p.moves = append(p.moves, operation{Do: doPut, Path: to, Staged: number})
		p.Inodes++
		p.Bytes += roundUp(f.Size)
	}
	p.staged[pkg] = numbers
	return conflicts, nil
}

// completeLinks makes sure that the names of one file are written together or
// not at all.
func (p *Plan) completeLinks(files []pkgfile.File) {
	for range 2 { // first the links' targets, then the other links to those
		for i := range files {
			f := &files[i]
			if f.Type != pkgfile.TypeHardlink {
				continue
			}
			_, link := p.puts[f.Path]
			_, target := p.puts[f.Target]
			if link && !target {
				p.puts[f.Target] = f.Target
			} else if target && !link {
				p.puts[f.Path] = f.Path
			}
		}
	}
}

// planFolders makes the folders of the tree that are missing or differ.
func (p *Plan) planFolders() error {
	d := p.system.disk
	folders := map[string]*pkgfile.File{}
	for _, add := range p.change.Add {
		files := add.Package.Manifest().Files
		for i := range files {
			if files[i].Type == pkgfile.TypeDir {
				folders[files[i].Path] = &files[i]
			}
		}
	}
	for _, path := range p.target.missingFolders() {
		folders[path] = &pkgfile.File{Path: path, Type: pkgfile.TypeDir, Mode: 0o755, Owner: "root", Group: "root"}
	}
	for _, path := range slices.Sorted(maps.Keys(folders)) {
		f := folders[path]
		st, err := d.lstat(path)
		if err != nil {
			return err
		}
		old := p.gone[path]
		_, owned := p.target[path]
		switch {
		case st != nil && !isFolder(st) && old == nil:
			return fmt.Errorf("%s must be a folder, but it is %s; replace it by a folder", path, kindOf(st))
		case st != nil && !isFolder(st):
			p.early = append(p.early, operation{Do: doUnlink, Path: path})
		case st != nil && (!owned || p.shared[path] || old != nil && sameFolder(old, f)):
			continue // as it should be, or as the administrator wants it
		case st != nil && isFolder(st) && st.Dev != p.device:
			continue // something is mounted there; its mode is not ours to set
		}
		o := operation{Do: doMkdir, Path: path, Mode: f.Mode, Xattrs: f.Xattrs}
		if privileged {
			if o.UID, o.GID, err = p.owners.of(f); err != nil {
				return err
			}
		}
		p.mkdirs = append(p.mkdirs, o)
		p.Inodes++
		p.Bytes += blockSize
		if f.Mode&0o700 != 0o700 && !privileged {
			o.Do = doChmod
			p.modes = append(p.modes, o)
		}
	}
	return nil
}

func sameFolder(a, b *pkgfile.File) bool {
	return a.Type == b.Type && a.Mode == b.Mode && a.Owner == b.Owner && a.Group == b.Group &&
		maps.EqualFunc(a.Xattrs, b.Xattrs, slices.Equal)
}

// planRemovals takes away what only the leaving packages own. What stands in
// the way of something new of another type goes first, the rest last.
func (p *Plan) planRemovals() error {
	going := maps.Clone(p.turned)
	for path, f := range p.gone {
		if _, stays := p.target[path]; stays {
			continue
		}
		if f.Config {
			edited, err := p.edited(path, f)
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
	needed := map[string]bool{}
	for path := range p.target {
		for _, parent := range parents(path) {
			needed[parent] = true
		}
	}
	for path := range maps.Clone(going) {
		for _, parent := range parents(path) {
			if _, owned := p.target[parent]; !owned && !needed[parent] {
				going[parent] = true
			}
		}
	}
	for _, path := range slices.Backward(slices.Sorted(maps.Keys(going))) {
		o := operation{Do: doUnlink, Path: path}
		if f := p.gone[path]; f == nil || f.Type == pkgfile.TypeDir || p.turned[path] {
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
			return fmt.Errorf("folder %s becomes a %s, but %s is in it and no package owns that; move it away", path, p.target[path].file.Type, inside)
		}
		if err := p.checkEmptied(inside, going); err != nil {
			return err
		}
	}
	return nil
}

// operations returns all operations in the order in which they are applied.
func (p *Plan) operations() []operation {
	byPath := func(a, b operation) int { return strings.Compare(a.Path, b.Path) }
	early := slices.Clone(p.early)
	slices.SortStableFunc(early, func(a, b operation) int { return -byPath(a, b) })
	moves := slices.Clone(p.moves)
	slices.SortStableFunc(moves, byPath)
	return slices.Concat(early, p.mkdirs, moves, p.late, p.modes)
}
