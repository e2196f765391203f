package system

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Problem is a difference between what is installed and what is on disk.
type Problem struct {
	Package string `json:"package"` // "" for what is pkgtool's own, below .ashlar
	Path    string `json:"path"`
	What    string `json:"what"`
	Config  bool   `json:"config,omitempty"` // an edited configuration file, which is nothing bad
}

// VerifyOptions say what Verify looks at.
type VerifyOptions struct {
	Names []string // packages; all if there are none
	Store bool     // also prove every object of the store, and all records
	Quick bool     // compare types, sizes, modes and owners, but not contents
}

// Verify compares the installed packages with the disk: types, contents, link
// targets, modes, and as root owners too; with all cores. Problems are in the
// order of packages, then paths.
func (s *System) Verify(ctx context.Context, opts VerifyOptions) ([]Problem, error) {
	for _, name := range opts.Names {
		if s.Package(name) == nil {
			return nil, fmt.Errorf("package %s is not installed", name)
		}
	}
	known, err := s.ownersOf(s.generation)
	if err != nil {
		return nil, err
	}
	v := &verification{system: s, owners: known, quick: opts.Quick}
	wanted := func(r Record) bool { return len(opts.Names) == 0 || slices.Contains(opts.Names, r.Name) }
	s.loadManifests(slices.DeleteFunc(slices.Clone(s.Installed()), func(r Record) bool { return !wanted(r) }))
	for i, r := range s.Installed() {
		if !wanted(r) {
			continue
		}
		m, err := s.Manifest(r)
		if err != nil {
			v.found = append(v.found, found{i, Problem{Path: manifestPath(r.Manifest), What: err.Error()}})
			continue
		}
		v.add(i, r.Name, m)
	}
	if len(opts.Names) == 0 {
		if made, err := s.generated(s.generation); err == nil {
			v.add(len(s.Installed()), "", made)
		}
		if err := v.checkIdentity(); err != nil {
			return nil, err
		}
	}
	if err := v.run(ctx); err != nil {
		return nil, err
	}
	if opts.Store {
		if err := v.checkRecords(); err != nil {
			return nil, err
		}
		if err := v.checkStore(ctx); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(v.found, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.problem.Path, b.problem.Path))
	})
	var problems []Problem
	for _, f := range v.found {
		problems = append(problems, f.problem)
	}
	return problems, nil
}

// verification is one run of Verify.
type verification struct {
	system *System
	owners *owners
	quick  bool
	work   []check

	mu    sync.Mutex
	found []found
}

type check struct {
	order int
	name  string
	entry entry
}

type found struct {
	order   int
	problem Problem
}

func (v *verification) add(order int, name string, m *pkgfile.Manifest) {
	for i := range m.Files {
		e := entry{&member{manifest: m}, &m.Files[i], &m.Files[i]}
		if e.file.Type == pkgfile.TypeHardlink {
			e.object = m.File(e.file.Target)
		}
		v.work = append(v.work, check{order, name, e})
	}
}

func (v *verification) report(order int, p Problem) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.found = append(v.found, found{order, p})
}

// portion is how many neighbours one goroutine takes at a time, which share
// open folders.
const portion = 64

func (v *verification) run(ctx context.Context) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		d := v.system.disk.clone()
		group.Go(func() error {
			defer d.forget("")
			for ctx.Err() == nil {
				first := int(next.Add(portion)) - portion
				if first >= len(v.work) {
					return nil
				}
				for _, c := range v.work[first:min(first+portion, len(v.work))] {
					what, err := v.difference(d, c.entry)
					if err != nil {
						return fmt.Errorf("verify %s: %w", c.entry.file.Path, err)
					}
					if what != "" {
						v.report(c.order, Problem{c.name, c.entry.file.Path, what, isConfig(c.entry.file)})
					}
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// difference says what is wrong with one path, or "".
func (v *verification) difference(d *disk, e entry) (string, error) {
	f := e.file
	st, err := d.lstat(f.Path)
	if err != nil || st == nil {
		return "missing", err
	}
	if f.Type == pkgfile.TypeHardlink {
		other, err := d.lstat(f.Target)
		if err != nil || other == nil || other.Ino != st.Ino {
			return "is not the same file as " + f.Target, err
		}
		return "", nil
	}
	if kind := map[string]uint32{pkgfile.TypeFile: unix.S_IFREG, pkgfile.TypeDir: unix.S_IFDIR, pkgfile.TypeSymlink: unix.S_IFLNK}[f.Type]; st.Mode&unix.S_IFMT != kind {
		return "is " + kindOf(st), nil
	}
	switch f.Type {
	case pkgfile.TypeSymlink:
		if target, err := d.readlink(f.Path); err != nil || target != f.Target {
			return fmt.Sprintf("points to %q", target), err
		}
		return v.ownerDifference(st, f), nil
	case pkgfile.TypeFile:
		if st.Size != f.Size {
			return fmt.Sprintf("has %d bytes instead of %d", st.Size, f.Size), nil
		}
		if v.quick {
			break
		}
		if now, err := d.hash(f.Path); err != nil || now != f.SHA256 {
			return "content changed", err
		}
	}
	if mode := st.Mode & 0o7777; mode != f.Mode {
		return fmt.Sprintf("mode %04o instead of %04o", mode, f.Mode), nil
	}
	return v.ownerDifference(st, f), nil
}

func (v *verification) ownerDifference(st *unix.Stat_t, f *pkgfile.File) string {
	if !privileged {
		return ""
	}
	uid, gid, err := v.owners.of(f)
	if err != nil {
		return err.Error()
	}
	if st.Uid != uid || st.Gid != gid {
		return fmt.Sprintf("belongs to %d:%d instead of %s:%s", st.Uid, st.Gid, f.Owner, f.Group)
	}
	return ""
}

// ownOrder lets pkgtool's own problems come after those of packages.
const ownOrder = 1 << 30

// checkIdentity compares the tree with the generation that is said to be
// installed. Format 1 had no identities.
func (v *verification) checkIdentity() error {
	g := v.system.generation
	identity, err := v.system.disk.identity("")
	if err != nil {
		return err
	}
	if g.Format > 1 && identity != g.identity {
		v.report(ownOrder, Problem{Path: identityPath, What: "the tree is not that of generation " + itoa(g.Number)})
	}
	return nil
}

// checkRecords reads what is known of all generations.
func (v *verification) checkRecords() error {
	s := v.system
	numbers, err := s.disk.generationNumbers()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, n := range numbers {
		if n > s.generation.Number {
			continue
		}
		g, err := s.disk.readGeneration(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // being pruned
		}
		if err != nil {
			v.report(ownOrder, Problem{Path: generationPath(n), What: err.Error()})
			continue
		}
		if _, err := s.readOwnership(g); err != nil && g.Format > 1 {
			v.report(ownOrder, Problem{Path: indexPath(n), What: err.Error() + "; it is made again with the next change"})
		}
		if n == s.generation.Number {
			continue
		}
		for _, hash := range g.manifests() {
			if seen[hash] {
				continue
			}
			seen[hash] = true
			if _, err := s.disk.readManifest("generation "+itoa(n), hash); err != nil {
				v.report(ownOrder, Problem{Path: manifestPath(hash), What: err.Error()})
			}
		}
	}
	return nil
}

// checkStore proves every object that a generation refers to. That one is
// missing is nothing bad: an image has objects only of what was replaced.
func (v *verification) checkStore(ctx context.Context) error {
	history, err := v.system.History()
	if err != nil || v.system.store == nil {
		return err
	}
	objects, err := v.system.collect(history, func(error) {}) // checkRecords has told of those
	if err != nil {
		return err
	}
	work := make(chan int)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(work)
		for i := range objects {
			select {
			case work <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for i := range work {
				o := objects[i]
				err := v.system.store.Check(ctx, o)
				if err != nil && !errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
					v.report(ownOrder, Problem{Path: objectPath(o.Key()), What: err.Error()})
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}
