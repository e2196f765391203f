package system

import (
	"context"
	"errors"
	"time"

	"ashlar/pkgtool/pkgfile"
)

var errNotYet = errors.New("this pkgtool cannot do that yet")

// Needs returns the files whose content must be readable before Commit is
// called. Everything else is in the store already.
func (p *Plan) Needs() []pkgfile.Wanted {
	var needs []pkgfile.Wanted
	for _, add := range p.change.Add {
		files := add.Package.Manifest().Files
		w := pkgfile.Wanted{Package: add.Package}
		for i := range files {
			if files[i].Type == pkgfile.TypeFile && files[i].Size > 0 {
				w.Files = append(w.Files, &files[i])
			}
		}
		needs = append(needs, w)
	}
	return needs
}

// PlanRollback plans a new generation with the packages of an earlier one.
// Edited configuration files are merged as in an upgrade.
func (s *System) PlanRollback(ctx context.Context, number int, command []string) (*Plan, error) {
	return nil, errNotYet
}

// PlanRepair plans to put right what Verify found. packages hold content that
// the store has lost; they must be installed packages.
func (s *System) PlanRepair(ctx context.Context, problems []Problem, packages []*pkgfile.Package) (*Plan, error) {
	return nil, errNotYet
}

// GenerationAt returns a generation that has not been pruned.
func (s *System) GenerationAt(number int) (*Generation, error) { return s.disk.readGeneration(number) }

// Diff is what differs between two generations.
type Diff struct {
	From     int             `json:"from"`
	To       int             `json:"to"`
	Packages []PackageChange `json:"packages"` // sorted by name
	Files    []FileChange    `json:"files"`    // sorted by path
}

// PackageChange is a package that came, went or changed. From or To is "" if
// there is no such version on that side.
type PackageChange struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// FileChange is a path that came, went or changed.
type FileChange struct {
	Path string `json:"path"`
	What string `json:"what"` // added, removed, changed
}

// Diff compares the packages and files of two generations.
func (s *System) Diff(from, to int) (*Diff, error) { return nil, errNotYet }

// Pin keeps a generation from being pruned, or no longer.
func (s *System) Pin(number int, pinned bool) error { return errNotYet }

// Policy says which generations Prune keeps: the current one, pinned ones, the
// last Keep, and those younger than Age.
type Policy struct {
	Keep   int           // 0 means the default of 5
	Age    time.Duration // 0 keeps none for its age
	DryRun bool          // only tell
}

// Pruned is what Prune removed, or would remove.
type Pruned struct {
	Generations []int `json:"generations"`
	Objects     int   `json:"objects"`
	Bytes       int64 `json:"bytes"` // on disk
}

// Prune removes generations that the policy does not keep, and whatever only
// they needed. It can be interrupted anywhere.
func (s *System) Prune(ctx context.Context, policy Policy) (*Pruned, error) { return nil, errNotYet }

// The states of a configuration file.
const (
	ConfigUnmodified = "unmodified" // as its package brought it
	ConfigModified   = "modified"   // edited
	ConfigMissing    = "missing"    // removed by the administrator
	ConfigPending    = "pending"    // edited, and the package's new version waits beside
)

// ConfigFile is a configuration file of an installed package.
type ConfigFile struct {
	Path    string `json:"path"`
	Package string `json:"package"`
	State   string `json:"state"`
	New     string `json:"new,omitempty"` // where the package's version waits
}

// ConfigFiles returns the configuration files of all packages, sorted by path.
func (s *System) ConfigFiles() ([]ConfigFile, error) { return nil, errNotYet }

// ConfigTexts returns the three texts of a configuration file: the one that the
// administrator's edits began with, the package's present one, and what is on
// disk (nil if it is missing). base is nil if it is not known.
func (s *System) ConfigTexts(path string) (base, theirs, ours []byte, err error) {
	return nil, nil, nil, errNotYet
}

// ResolveConfig ends a conflict: content becomes the file's text (nil keeps what
// is there), PATH.new goes, and the package's text is the base of later merges.
func (s *System) ResolveConfig(path string, content []byte) error { return errNotYet }
