package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/index"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// marking finds the files that a repository needs.
type marking struct {
	*view
	cutoff  time.Time // states that nobody could see since are forgotten
	history []publishedState
	needed  map[string]bool   // files
	read    map[string]bool   // objects whose content is marked
	by      map[string]string // paths of the packages that were found, by manifest
}

func (v *view) marking(cutoff time.Time) *marking {
	return &marking{view: v, cutoff: cutoff, needed: map[string]bool{}, read: map[string]bool{}, by: map[string]string{}}
}

func (m *marking) mark(ctx context.Context) error {
	if err := m.markStates(ctx); err != nil {
		return err
	}
	for _, c := range m.changes {
		if c.Add != nil {
			m.needed[c.Add.Path] = true
		}
	}
	stages, err := m.repository.Stages()
	if err != nil {
		return err
	}
	for _, s := range stages {
		for _, e := range s.Packages {
			m.needed[e.Path] = true
		}
	}
	return m.markHeld()
}

// markStates marks the present state and those that ended after the cutoff. Of
// states from before there was a history it is known only that they ended by
// its first line; until that is over the cutoff they stay too.
func (m *marking) markStates(ctx context.Context) error {
	all, err := m.repository.readHistory()
	if err != nil {
		return err
	}
	snapshots := map[int64]bool{}
	for i, line := range all {
		if i == len(all)-1 || !all[i+1].Published.Before(m.cutoff) {
			m.history = append(m.history, line)
			snapshots[line.Snapshot] = true
		}
	}
	if err := m.markPublished(); err != nil {
		return err
	}
	if len(all) == 0 || !all[0].Published.Before(m.cutoff) {
		older, err := m.snapshotsBefore(all)
		if err != nil {
			return err
		}
		for _, version := range older {
			snapshots[version] = true
		}
	}
	for version := range snapshots {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := m.markState(version); err != nil {
			return err
		}
	}
	return nil
}

// snapshotsBefore lists the versions of snapshot metadata that are older than
// the history.
func (m *marking) snapshotsBefore(history []publishedState) ([]int64, error) {
	files, err := os.ReadDir(m.repository.path(metadataDir))
	if err != nil {
		return nil, err
	}
	var older []int64
	for _, f := range files {
		number, ok := strings.CutSuffix(f.Name(), "."+metadata.SNAPSHOT+".json")
		if version, err := strconv.ParseInt(number, 10, 64); ok && err == nil && (len(history) == 0 || version < history[0].Snapshot) {
			older = append(older, version)
		}
	}
	return older, nil
}

// markPublished marks the present state. It must be whole: of one that is damaged
// nobody can tell what it needs.
func (m *marking) markPublished() error {
	s := m.published
	if s.timestamp == nil {
		return nil
	}
	m.needed[MetadataPath(metadata.SNAPSHOT, s.snapshot.Signed.Version)] = true
	path := MetadataPath(metadata.TARGETS, s.targets.Signed.Version)
	m.needed[path], m.read[path] = true, true
	for _, name := range s.targetNames() {
		if _, err := s.readTarget(m.repository.dir, name); err != nil {
			return fault.Mark(fmt.Errorf("nothing is removed from a damaged repository: %s: %w", name, err), fault.Security,
				"see: pkgtool repo check "+m.repository.dir)
		}
		if err := m.markTarget(s, name); err != nil {
			return err
		}
	}
	return nil
}

// markState marks what a former state consists of. A file of it that is gone or
// damaged serves nobody: what it named is not needed for its sake.
func (m *marking) markState(version int64) error {
	path := MetadataPath(metadata.SNAPSHOT, version)
	m.needed[path] = true
	snapshot, err := readRole(m.repository.dir, path, metadata.SNAPSHOT, metadata.Snapshot())
	if err != nil {
		return unlessDamaged(err)
	}
	meta := snapshot.Signed.Meta["targets.json"]
	path = MetadataPath(metadata.TARGETS, meta.Version)
	m.needed[path] = true
	if m.read[path] {
		return nil
	}
	m.read[path] = true
	targets, err := readRole(m.repository.dir, path, metadata.TARGETS, metadata.Targets())
	if err != nil {
		return unlessDamaged(err)
	}
	s := &state{targets: targets}
	for _, name := range s.targetNames() {
		if err := unlessDamaged(m.markTarget(s, name)); err != nil {
			return err
		}
	}
	return nil
}

// unlessDamaged passes on only what kept from reading.
func unlessDamaged(err error) error {
	var failure *fs.PathError
	if errors.As(err, &failure) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// markTarget marks the file of a target, and of an index its packages.
func (m *marking) markTarget(s *state, name string) error {
	path, _, err := targetFile(name, s.targets.Signed.Targets[name])
	if err != nil {
		return err
	}
	m.needed[path] = true
	_, _, listing := parseIndexTarget(name)
	_, _, old := parseOldTarget(name)
	if m.read[path] || !listing && !old {
		return nil
	}
	m.read[path] = true
	data, err := readBounded(filepath.Join(m.repository.dir, filepath.FromSlash(path)), s.targets.Signed.Targets[name].Length)
	if err != nil {
		return err
	}
	return m.markPackages(data)
}

// markPackages marks the packages of an index.
func (m *marking) markPackages(data []byte) error {
	_, entries, err := index.Decode(bytes.NewReader(data), index.Limits{})
	if err != nil {
		return tuf.Refuse(tuf.Tampered, "%w", err)
	}
	for i := range entries {
		m.needed[entries[i].Path] = true
		m.by[entries[i].Manifest] = entries[i].Path
	}
	return nil
}

// markHeld marks the packages of lock files that are kept. Those that no index
// lists any more are looked for in the pool.
func (m *marking) markHeld() error {
	return m.repository.eachLock(func(_ string, packages []locked) error {
		for _, p := range packages {
			if path, found := m.by[p.Manifest]; found {
				m.needed[path] = true
				continue
			}
			if err := m.markInPool(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// markInPool marks files of a package's name by the manifests that they hold.
func (m *marking) markInPool(p locked) error {
	pattern := m.repository.path(poolDir, p.Name[:1], p.Name, "*"+pkgfile.MediaSuffix)
	files, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, file := range files {
		opened, err := pkgfile.OpenFile(file)
		if err != nil {
			if err := unlessDamaged(err); err != nil {
				return err
			}
			continue
		}
		rel, err := filepath.Rel(m.repository.dir, file)
		m.by[opened.ManifestSHA256()] = filepath.ToSlash(rel)
		if err := errors.Join(err, opened.Close()); err != nil {
			return err
		}
	}
	if path, found := m.by[p.Manifest]; found {
		m.needed[path] = true
	}
	return nil
}
