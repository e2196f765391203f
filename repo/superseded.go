package repo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/durable"
	"ashlar/repo/index"
)

// A package that leaves an index, or is replaced by another build there, goes
// to the index of superseded packages beside it. There a client that wants
// exactly that package, for its lock file says so, finds it until the grace period is
// over, and as long as the publisher keeps a lock file that names it.

// OldIndexTarget is the TUF target that lists the packages that IndexTarget
// listed before and that are still in the pool. It has the same format.
func OldIndexTarget(channel, arch string) string {
	return fmt.Sprintf("%s/%s.%s.old.zst", indexDir, channel, arch)
}

// oldOf is OldIndexTarget for the name of an index.
func oldOf(target string) string { return strings.TrimSuffix(target, ".zst") + ".old.zst" }

// parseOldTarget takes the name of an index of superseded packages apart.
func parseOldTarget(name string) (channel, arch string, ok bool) {
	base, found := strings.CutSuffix(name, ".old.zst")
	channel, arch, ok = parseIndexTarget(base + ".zst")
	return channel, arch, ok && found
}

// supersededPackage says since when a package is superseded. The file that
// holds these is the publisher's memory only: what it does not know counts as
// superseded just now.
type supersededPackage struct {
	Target   string    `json:"target"` // of the index that listed it
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	SHA256   string    `json:"sha256"`
	Manifest string    `json:"manifest_sha256"`
	Since    time.Time `json:"since"`
}

func (r *Repository) supersededPath() string { return r.path(privateDir, "superseded.json") }

func (r *Repository) readSuperseded() ([]supersededPackage, error) {
	data, err := os.ReadFile(r.supersededPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []supersededPackage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", r.supersededPath(), err)
	}
	return all, nil
}

// superseding makes the indexes of superseded packages of the state to come.
type superseding struct {
	view   *view
	now    time.Time
	grace  time.Duration
	held   map[string]bool // manifests that a kept lock file names
	memory []supersededPackage
}

func (v *view) superseding() (*superseding, error) {
	r := v.repository
	held, err := r.held()
	if err != nil {
		return nil, err
	}
	memory, err := r.readSuperseded()
	return &superseding{v, r.now(), r.config.grace(), held, memory}, err
}

// edits returns what becomes of the superseded packages of an index when some
// leave it and others come, or come back.
func (s *superseding) edits(target string, left, came []index.Entry) (edits []edit, err error) {
	if err := s.remember(target, false); err != nil {
		return nil, err
	}
	for _, c := range s.view.changes.of(oldOf(target)) {
		if s.held[c.Forget.Manifest] {
			continue
		}
		if edits, err = s.unlist(edits, target, c.Forget); err != nil {
			return nil, err
		}
	}
	for i := range left {
		e := &left[i]
		s.forget(target, e.ID())
		s.memory = append(s.memory, supersededPackage{target, e.ID(), e.Name, e.SHA256, e.Manifest, s.now})
		edits = append(edits, edit{add: e})
	}
	for i := range came {
		if edits, err = s.unlist(edits, target, &came[i]); err != nil {
			return nil, err
		}
	}
	return edits, nil
}

// decideToForget decides that the superseded packages whose time is over are not
// listed any more.
func (s *superseding) decideToForget() ([]index.Entry, error) {
	var over []index.Entry
	for _, target := range s.view.indexes() {
		if err := s.remember(target, true); err != nil {
			return nil, err
		}
		channel, _, _ := parseIndexTarget(target)
		for _, p := range s.memory {
			if p.Target != target || s.held[p.Manifest] || s.now.Sub(p.Since) <= s.grace {
				continue
			}
			e, err := s.view.listed(oldOf(target), p.Name, p.ID)
			if err != nil {
				return nil, err
			}
			if e != nil && e.SHA256 == p.SHA256 {
				over = append(over, *e)
				s.view.changes[changeKey{oldOf(target), p.ID}] = change{Channel: channel, Forget: e}
			}
		}
	}
	return over, nil
}

func (s *superseding) forget(target, id string) {
	s.memory = slices.DeleteFunc(s.memory, func(p supersededPackage) bool { return p.Target == target && p.ID == id })
}

// unlist takes a build off the list of superseded ones, if it is there.
func (s *superseding) unlist(edits []edit, target string, e *index.Entry) ([]edit, error) {
	s.memory = slices.DeleteFunc(s.memory, func(p supersededPackage) bool { return p.Target == target && p.SHA256 == e.SHA256 })
	there, err := s.view.listed(oldOf(target), e.Name, e.ID())
	if there != nil && there.SHA256 == e.SHA256 {
		edits = append(edits, edit{remove: there})
	}
	return edits, err
}

// remember brings the memory in line with what is published, should a publisher
// have been killed before it wrote it. It looks closely only where numbers differ,
// or if it is told to.
func (s *superseding) remember(target string, closely bool) error {
	old := oldOf(target)
	known := map[string]bool{}
	for _, p := range s.memory {
		if p.Target == target {
			known[p.SHA256] = true
		}
	}
	if !closely && len(known) == s.view.published.packages(old) {
		return nil
	}
	shelf, err := s.view.shelf(old)
	if err != nil {
		return err
	}
	entries, err := shelf.entries()
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for i := range entries {
		e := &entries[i]
		there[e.SHA256] = true
		if !known[e.SHA256] {
			s.memory = append(s.memory, supersededPackage{target, e.ID(), e.Name, e.SHA256, e.Manifest, s.now})
		}
	}
	s.memory = slices.DeleteFunc(s.memory, func(p supersededPackage) bool { return p.Target == target && !there[p.SHA256] })
	return nil
}

// save follows the publication.
func (s *superseding) save() error {
	old, err := s.view.repository.readSuperseded()
	if err != nil || slices.Equal(old, s.memory) {
		return err
	}
	data, err := json.MarshalIndent(s.memory, "", " ")
	if err != nil {
		return err
	}
	return durable.WriteFile(s.view.repository.supersededPath(), append(data, '\n'), 0o644)
}
