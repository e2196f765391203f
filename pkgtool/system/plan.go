package system

import (
	"context"
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

// operations returns all operations in the order in which they are applied.
func (p *Plan) operations() []operation {
	byPath := func(a, b operation) int { return strings.Compare(a.Path, b.Path) }
	early := slices.Clone(p.early)
	slices.SortStableFunc(early, func(a, b operation) int { return -byPath(a, b) })
	moves := slices.Clone(p.moves)
	slices.SortStableFunc(moves, byPath)
	return slices.Concat(p.tree, early, p.mkdirs, moves, p.late, p.modes, p.times)
}
