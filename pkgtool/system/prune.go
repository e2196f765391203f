package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/store"
)

// Policy says which generations Prune keeps: the current one, pinned ones, the
// last Keep, and those younger than Age.
type Policy struct {
	Keep   int           // 0 means DefaultKeep
	Age    time.Duration // 0 keeps none for its age
	DryRun bool          // only tell
}

// DefaultKeep is how many generations are kept if nobody says otherwise.
const DefaultKeep = 5

// Pruned is what Prune removed, or would remove.
type Pruned struct {
	Generations []int `json:"generations"`
	Trees       int   `json:"trees"`   // of generations that are gone, or interrupted ones
	Objects     int   `json:"objects"` // contents that nobody refers to any more
	Bytes       int64 `json:"bytes"`   // on disk
}

// PruneDue reports whether there is enough to prune to do it in the background.
func (s *System) PruneDue() bool {
	numbers, err := s.disk.generationNumbers()
	if err != nil {
		return false
	}
	waiting, err := s.disk.list(discardedDir)
	return len(numbers) > 2*DefaultKeep || err == nil && len(waiting) > 0
}

// Prune removes generations that the policy does not keep, and whatever only
// they needed: records first, then trees, then objects, so that it can be
// interrupted anywhere and called again.
func (s *System) Prune(ctx context.Context, policy Policy) (*Pruned, error) {
	if !policy.DryRun {
		if err := s.Lock([]string{"pkgtool", "clean"}); err != nil {
			return nil, err
		}
	}
	kept, gone, err := s.choose(policy)
	if err != nil {
		return nil, err
	}
	result := &Pruned{Generations: []int{}}
	for _, g := range gone {
		result.Generations = append(result.Generations, g.Number)
	}
	if policy.DryRun {
		return result, s.measure(ctx, kept, gone, result)
	}
	for _, g := range gone {
		if err := s.removeGeneration(g.Number); err != nil {
			return nil, err
		}
	}
	if err := s.removePartial(); err != nil {
		return nil, err
	}
	if len(gone) > 0 {
		if err := s.disk.syncFolder(generationsDir); err != nil {
			return nil, err
		}
	}
	if result.Trees, err = s.removeTrees(ctx, gone); err != nil {
		return nil, err
	}
	result.Objects, result.Bytes, err = s.removeUnused(ctx, kept)
	return result, err
}

// choose tells the generations to keep from the others.
func (s *System) choose(policy Policy) (kept, gone []*Generation, err error) {
	history, err := s.History()
	if err != nil {
		return nil, nil, err
	}
	if policy.Keep <= 0 {
		policy.Keep = DefaultKeep
	}
	good, err := s.Good()
	if err != nil {
		return nil, nil, err
	}
	for i, g := range history {
		recent := len(history)-i <= policy.Keep
		young := policy.Age > 0 && time.Since(g.Time) < policy.Age
		if recent || young || g.Pinned || g.Number == s.generation.Number || g.Number == good {
			kept = append(kept, g)
		} else {
			gone = append(gone, g)
		}
	}
	kept, err = s.withStaged(kept)
	return kept, gone, err
}

// removeGeneration removes a generation's records, that which makes it one
// first.
func (s *System) removeGeneration(number int) error {
	if err := s.disk.unlink(generationPath(number)); err != nil {
		return err
	}
	return s.disk.removeAll(generationDir(number))
}

// removePartial removes what an interrupted Prune has left of records.
func (s *System) removePartial() error {
	numbers, err := s.disk.generationNumbers()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		st, err := s.disk.lstat(generationPath(n))
		if err != nil {
			return err
		}
		if st == nil && n <= s.generation.Number {
			if err := s.disk.removeAll(generationDir(n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeTrees removes trees that were put aside, and the spare one if its
// generation is gone.
func (s *System) removeTrees(ctx context.Context, gone []*Generation) (int, error) {
	d := s.disk
	identity, err := d.identity(spareRoot)
	if err != nil {
		return 0, err
	}
	if slices.ContainsFunc(gone, func(g *Generation) bool { return g.identity == identity }) {
		if err := d.discardSpare(s.generation.Number); err != nil {
			return 0, err
		}
	}
	names, err := d.list(discardedDir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := d.removeTree(discardedDir + "/" + name); err != nil {
			return 0, err
		}
	}
	return len(names), nil
}

// removeTree is removeAll for a tree, in which an ordinary user may have folders
// that he cannot write to.
func (d *disk) removeTree(path string) error {
	entries, err := d.entries(path)
	if err != nil {
		return err
	}
	if !privileged {
		if err := d.setFolder(operation{Path: path, Mode: 0o700}); err != nil {
			return err
		}
	}
	for _, e := range entries {
		inside := path + "/" + e.name
		if e.folder {
			err = d.removeTree(inside)
		} else {
			err = d.unlink(inside)
		}
		if err != nil {
			return err
		}
	}
	return d.rmdir(path)
}

// removeUnused removes manifests and objects that none of the generations
// refers to.
func (s *System) removeUnused(ctx context.Context, kept []*Generation) (objects int, bytes int64, err error) {
	names, err := s.disk.list(manifestsDir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	used := map[string]bool{}
	for _, g := range kept {
		for _, hash := range g.manifests() {
			used[manifestPath(hash)] = true
		}
	}
	for _, name := range names {
		if path := manifestsDir + "/" + name; !used[path] {
			if err := s.disk.unlink(path); err != nil {
				return 0, 0, err
			}
		}
	}
	keys, err := s.usedKeys(kept)
	if err != nil {
		return 0, 0, err
	}
	return s.store.Prune(ctx, func(k store.Key) bool { return keys[k] })
}

// manifests lists the hashes of all manifests of a generation.
func (g *Generation) manifests() []string {
	var hashes []string
	for _, r := range g.Packages {
		hashes = append(hashes, r.Manifest)
	}
	if g.Generated != "" {
		hashes = append(hashes, g.Generated)
	}
	return hashes
}

// usedKeys returns the keys of the objects that generations refer to.
func (s *System) usedKeys(generations []*Generation) (map[store.Key]bool, error) {
	objects, err := s.objectsOf(generations)
	keys := make(map[store.Key]bool, len(objects))
	for _, o := range objects {
		keys[o.Key()] = true
	}
	return keys, err
}

// objectsOf returns the objects that generations refer to, each once.
func (s *System) objectsOf(generations []*Generation) ([]*store.Object, error) {
	return s.collect(generations, nil)
}

// collect is objectsOf; what cannot be read is an error, unless it is given to
// unreadable.
func (s *System) collect(generations []*Generation, unreadable func(error)) ([]*store.Object, error) {
	c := &objectCollection{seen: map[store.Key]bool{}}
	done := map[string]bool{}
	for _, g := range generations {
		known, err := s.ownersOf(g)
		if err != nil {
			return nil, err
		}
		numbers := fmt.Sprint(known.users, known.groups)
		for _, hash := range g.manifests() {
			// The same manifest can mean other owners in another generation.
			if done[hash+numbers] {
				continue
			}
			done[hash+numbers] = true
			m, err := s.disk.readManifest("generation "+itoa(g.Number), hash)
			if err != nil && unreadable != nil {
				unreadable(err)
				continue
			}
			if err != nil {
				return nil, err
			}
			c.addFiles(known, m)
		}
		bases, err := s.disk.readBases(g.Number)
		if err != nil {
			return nil, err
		}
		for _, b := range bases.Bases {
			c.add(b.object())
		}
	}
	return c.objects, nil
}

// objectCollection gathers objects, each once.
type objectCollection struct {
	seen    map[store.Key]bool
	objects []*store.Object
}

func (c *objectCollection) add(o *store.Object) {
	if key := o.Key(); o.Size > 0 && !c.seen[key] {
		c.seen[key] = true
		c.objects = append(c.objects, o)
	}
}

func (c *objectCollection) addFiles(known *owners, m *pkgfile.Manifest) {
	for i := range m.Files {
		f := &m.Files[i]
		if f.Type != pkgfile.TypeFile || f.Size == 0 {
			continue
		}
		if o, err := known.object(entry{&member{manifest: m}, f, f}); err == nil {
			c.add(o)
		}
	}
}

// ownersOf returns the numbers of the owners of a generation's files.
func (s *System) ownersOf(g *Generation) (*owners, error) {
	known := newOwners()
	known.addGeneration(g)
	return known, known.addDisk(s.disk)
}

// measure tells what removing generations would free.
func (s *System) measure(ctx context.Context, kept, gone []*Generation, result *Pruned) error {
	stays, err := s.usedKeys(kept)
	if err != nil {
		return err
	}
	goes, err := s.usedKeys(gone)
	if err != nil {
		return err
	}
	for key := range goes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if stays[key] {
			continue
		}
		st, err := s.disk.lstat(objectPath(key))
		if err != nil {
			return err
		}
		if st != nil {
			result.Objects++
			result.Bytes += st.Blocks * 512
		}
	}
	return nil
}

// objectPath is where the store has an object.
func objectPath(k store.Key) string {
	name := k.String()
	return stateDir + "/store/" + name[:2] + "/" + name[2:]
}

func pinPath(number int) string { return generationDir(number) + "/pinned" }

// Pin keeps a generation from being pruned, or no longer.
func (s *System) Pin(number int, pinned bool) error {
	if _, err := s.GenerationAt(number); err != nil {
		return err
	}
	if err := s.Lock([]string{"pkgtool", "pin"}); err != nil {
		return err
	}
	if !pinned {
		return errors.Join(s.disk.unlink(pinPath(number)), s.disk.syncFolder(generationDir(number)))
	}
	if err := s.disk.write(pinPath(number), nil); err != nil {
		return err
	}
	if err := s.disk.syncFolder(generationDir(number)); err != nil {
		return fmt.Errorf("pin generation %d: %w", number, err)
	}
	return nil
}
