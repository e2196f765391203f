package system

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/store"

	"golang.org/x/sys/unix"
)

// System is what is installed below one root. It is not safe for concurrent use.
type System struct {
	root       string
	disk       *disk
	held       *os.File // the lock, while we have it
	generation *Generation
	manifests  map[string]*pkgfile.Manifest // by hash, those read so far
	recovered  string
	store      *store.Store
	known      map[string]*Generation // by identity, those read so far
	inPlace    bool                   // folders cannot be exchanged here
	owned      *ownership
	ownedOf    [32]byte // of which lists of files owned is the index
	loader     Loader   // may be nil
}

// Open opens the system below a folder, which may be empty. If an earlier
// transaction was interrupted and nobody is at work, it is finished or
// discarded first, as far as we have the permission. Close it after use.
func Open(root string) (*System, error) {
	d, err := openDisk(root)
	if err != nil {
		return nil, fmt.Errorf("open the system: %w", err)
	}
	s := &System{root: root, disk: d, manifests: map[string]*pkgfile.Manifest{}, generation: &Generation{}, known: map[string]*Generation{}}
	for _, step := range []func() error{s.openStore, s.recoverIfNeeded, s.read} {
		if err := step(); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// openStore opens the store as soon as there is a state folder.
func (s *System) openStore() error {
	if s.store != nil {
		return nil
	}
	dir, err := s.disk.openFolder(stateDir)
	if errors.Is(err, errNoFolder) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	s.store, err = store.Open(int(dir.Fd()))
	return err
}

// has reports whether the store has an object.
func (s *System) has(o *store.Object) (bool, error) {
	if s.store == nil {
		return o.Size == 0, nil
	}
	return s.store.Has(o)
}

// openObject opens an object for reading.
func (s *System) openObject(o *store.Object) (*os.File, error) {
	if s.store == nil {
		return nil, fmt.Errorf("the store is empty: %w", fs.ErrNotExist)
	}
	return s.store.Open(o)
}

// Close gives back the lock and all descriptors.
func (s *System) Close() error {
	if s.held != nil {
		s.held.Close()
	}
	if s.store != nil {
		s.store.Close()
	}
	s.disk.close()
	return nil
}

// Recovered says in one sentence what Open did about an interrupted
// transaction, or "".
func (s *System) Recovered() string { return s.recovered }

// Generation returns the current generation; its number is 0 when nothing has
// been installed yet.
func (s *System) Generation() *Generation { return s.generation }

// Installed returns the installed packages, sorted by name.
func (s *System) Installed() []Record { return s.generation.Packages }

// Package returns the installed package of that name, the newest build if there
// are several, or nil.
func (s *System) Package(name string) *Record {
	if builds := s.Builds(name); len(builds) > 0 {
		return &builds[len(builds)-1]
	}
	return nil
}

// Builds returns all installed builds of a package, the oldest first.
func (s *System) Builds(name string) []Record {
	byName := func(r Record, name string) int { return strings.Compare(r.Name, name) }
	first, _ := slices.BinarySearchFunc(s.generation.Packages, name, byName)
	end := first
	for end < len(s.generation.Packages) && s.generation.Packages[end].Name == name {
		end++
	}
	return s.generation.Packages[first:end]
}

// Manifest returns the verified manifest of an installed package.
func (s *System) Manifest(r Record) (*pkgfile.Manifest, error) {
	if m := s.manifests[r.Manifest]; m != nil {
		return m, nil
	}
	m, err := s.disk.readManifest(r.Name, r.Manifest)
	if err == nil {
		s.manifests[r.Manifest] = m
	}
	return m, err
}

// generated returns the files that triggers made for a generation; it has no
// name and may be empty.
func (s *System) generated(g *Generation) (*pkgfile.Manifest, error) {
	if g.Generated == "" {
		return &pkgfile.Manifest{}, nil
	}
	if m := s.manifests[g.Generated]; m != nil {
		return m, nil
	}
	m, err := s.disk.readManifest("what triggers made", g.Generated)
	if err == nil {
		s.manifests[g.Generated] = m
	}
	return m, err
}

// History returns all generations that can be read, oldest first; Verify tells
// of others.
func (s *System) History() ([]*Generation, error) {
	numbers, err := s.disk.generationNumbers()
	if err != nil {
		return nil, err
	}
	var history []*Generation
	for _, number := range numbers {
		if number > s.generation.Number {
			continue // being made by another process
		}
		g, err := s.disk.readGeneration(number)
		if err != nil && number != s.generation.Number {
			continue // damaged, or being pruned
		}
		if err != nil {
			return nil, err
		}
		history = append(history, g)
	}
	return history, nil
}

// Lock makes us the only one who changes the system, until Close. The command
// is shown to whoever is refused meanwhile. The error is a [LockedError] if
// somebody else is at work.
func (s *System) Lock(command []string) error {
	if s.held != nil {
		return nil
	}
	if err := s.disk.makeStateDir(); err != nil {
		return err
	}
	var err error
	if s.held, err = s.disk.waitForPruner(command); err != nil {
		return err
	}
	if err := s.openStore(); err != nil {
		return err
	}
	if err := s.finishOrDiscard(); err != nil {
		return err
	}
	if err := s.read(); err != nil {
		return err
	}
	return s.removePartial()
}

// read reads the current generation, unless it is the one that we know.
func (s *System) read() error {
	number, err := s.disk.currentNumber()
	if err != nil {
		return err
	}
	g, err := s.generationAt(number)
	if err == nil {
		s.generation = g
	}
	return err
}

// generationAt is readGeneration that decodes nothing twice.
func (s *System) generationAt(number int) (*Generation, error) {
	data, err := s.disk.generationData(number)
	if err != nil {
		return nil, err
	}
	identity := hexSum(data)
	if g := s.known[identity]; g != nil && number != 0 {
		return g, nil
	}
	g, err := s.disk.decodeGeneration(number, data)
	if err == nil {
		s.known[identity] = g
	}
	return g, err
}

// makeStateDir makes /.ashlar if it is not there.
func (d *disk) makeStateDir() error {
	for _, dir := range []string{stateDir, generationsDir, manifestsDir} {
		if err := d.mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if _, err := d.folder(dir); err != nil {
			return damaged(err)
		}
	}
	return nil
}

// recoverIfNeeded finishes or discards an interrupted transaction. A reader who
// may not, or who comes while another process works, just reads: the current
// generation is valid at every moment.
func (s *System) recoverIfNeeded() error {
	interrupted := false
	for _, path := range []string{journalPath, stagingDir} {
		st, err := s.disk.lstat(path)
		if err != nil {
			return err
		}
		interrupted = interrupted || st != nil
	}
	if s.store == nil {
		return nil
	}
	open, err := s.store.Interrupted()
	if err != nil && !errors.Is(err, fs.ErrPermission) { // the store is root's
		return err
	}
	interrupted = interrupted || open
	if !interrupted {
		return nil
	}
	held, err := s.disk.lock([]string{"recovery"})
	var locked *LockedError
	if errors.As(err, &locked) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return nil
	}
	if err != nil {
		return err
	}
	s.held = held
	defer func() {
		held.Close()
		s.held = nil
	}()
	return s.finishOrDiscard()
}
