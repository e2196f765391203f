package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
)

// Lock files (docs/formats/lock.md) that the publisher keeps lie as they came in
// .ashlar/locks/. Packages that they name are never pruned, so that a system can
// be made from the lock as long as it is kept.

// Held is a lock file that a repository keeps.
type Held struct {
	Name     string   `json:"name"`
	Packages int      `json:"packages"`
	Missing  []string `json:"missing,omitempty"` // those that this repository does not list
}

// maxLock bounds a lock file in bytes.
const maxLock = 32 << 20

// locked is a package that a lock file names. The rest of the file matters to
// systems only.
type locked struct {
	Name     string `json:"name"`
	Arch     string `json:"arch"`
	Manifest string `json:"manifest_sha256"`
}

// parseLock reads of a lock file which packages it names.
func parseLock(data []byte) ([]locked, error) {
	var l struct {
		Format   int      `json:"ashlar_lock"`
		Packages []locked `json:"packages"`
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, err
	}
	if l.Format != 1 {
		return nil, fmt.Errorf("ashlar_lock is %d; this pkgtool reads format 1", l.Format)
	}
	for _, p := range l.Packages {
		if !expected.MatchString(p.Name) || len(p.Manifest) != 64 || strings.Trim(p.Manifest, "0123456789abcdef") != "" {
			return nil, fmt.Errorf("package %.100q has no manifest_sha256", p.Name)
		}
	}
	return l.Packages, nil
}

var lockName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (r *Repository) lockPath(name string) string { return r.path(privateDir, "locks", name) }

// HoldLock keeps the packages that a lock file names. A lock of the same name is
// replaced. The result tells which of them the repository does not list.
func (r *Repository) HoldLock(ctx context.Context, name string, data []byte) (*Held, error) {
	if !lockName.MatchString(name) {
		return nil, fault.Mark(fmt.Errorf("invalid name %q for a lock", name), fault.Usage, "use letters, digits and . _ -")
	}
	if len(data) > maxLock {
		return nil, fault.Errorf(fault.Usage, "lock %s is longer than %d bytes", name, maxLock)
	}
	packages, err := parseLock(data)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("lock %s: %w", name, err), fault.Usage, "a lock file is what pkgtool lock writes")
	}
	v, unlock, err := r.lockedView(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	missing, err := v.missing(packages)
	if err != nil {
		return nil, err
	}
	if err := r.privateFolder("locks"); err != nil {
		return nil, err
	}
	return &Held{name, len(packages), missing}, durable.WriteFile(r.lockPath(name), data, 0o644)
}

// missing returns the packages that no index lists, nor one of superseded
// packages.
func (v *view) missing(packages []locked) ([]string, error) {
	have := map[string]bool{}
	for _, target := range v.indexes() {
		entries, err := v.entries(target)
		if err != nil {
			return nil, err
		}
		old, err := v.published.entries(v.repository.dir, oldOf(target))
		if err != nil {
			return nil, err
		}
		for _, e := range slices.Concat(entries, old) {
			have[e.Manifest] = true
		}
	}
	var missing []string
	for _, p := range packages {
		if !have[p.Manifest] {
			missing = append(missing, p.Name)
		}
	}
	return missing, nil
}

// ReleaseLock forgets a lock file. What only it named is pruned in its time.
func (r *Repository) ReleaseLock(ctx context.Context, name string) error {
	unlock, err := r.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if lockName.MatchString(name) {
		err = os.Remove(r.lockPath(name))
	}
	if !lockName.MatchString(name) || errors.Is(err, fs.ErrNotExist) {
		return fault.Mark(fmt.Errorf("repository %s keeps no lock %.100q", r.Name(), name), fault.Usage, "list them with: pkgtool repo lock list "+r.dir)
	}
	if err != nil {
		return err
	}
	return durable.SyncDir(r.path(privateDir, "locks"))
}

// Locks lists the lock files that are kept, by name.
func (r *Repository) Locks() ([]Held, error) {
	v, err := r.view()
	if err != nil {
		return nil, err
	}
	var all []Held
	err = r.eachLock(func(name string, packages []locked) error {
		missing, err := v.missing(packages)
		all = append(all, Held{name, len(packages), missing})
		return err
	})
	return all, err
}

// held returns the manifests that kept lock files name.
func (r *Repository) held() (map[string]bool, error) {
	all := map[string]bool{}
	return all, r.eachLock(func(_ string, packages []locked) error {
		for _, p := range packages {
			all[p.Manifest] = true
		}
		return nil
	})
}

func (r *Repository) eachLock(yield func(name string, packages []locked) error) error {
	files, err := os.ReadDir(r.path(privateDir, "locks"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, f := range files {
		if !lockName.MatchString(f.Name()) {
			continue // a temporary file of a publisher that was killed
		}
		data, err := readBounded(r.lockPath(f.Name()), maxLock)
		if err != nil {
			return err
		}
		packages, err := parseLock(data)
		if err != nil {
			return fmt.Errorf("%s: %w", r.lockPath(f.Name()), err)
		}
		if err := yield(f.Name(), packages); err != nil {
			return err
		}
	}
	return nil
}
