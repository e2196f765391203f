package repo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ashlar/repo/index"
)

// PruneOptions says what Prune keeps.
type PruneOptions struct {
	// Keep, if not 0, takes all but so many versions of each package out of the
	// channels. It has effect with the next Publish, like Remove.
	Keep int
	// Grace is for how long what clients could see stays; 0 means the
	// repository's, which is DefaultGrace days unless it was made with another.
	Grace time.Duration
	// DryRun changes nothing and tells what would be done.
	DryRun bool
}

// Pruned is what Prune did.
type Pruned struct {
	Files   []string      `json:"files"`             // removed, sorted
	Bytes   int64         `json:"bytes"`             // that they had
	Kept    int           `json:"kept"`              // files that are needed
	Removed []index.Entry `json:"removed,omitempty"` // packages that leave channels with the next Publish, by Keep
	// Forgotten are superseded packages whose grace period is over: with the next
	// Publish nobody finds them any more, and a later Prune removes the files.
	Forgotten []index.Entry `json:"forgotten,omitempty"`
}

// decide is what has effect with the next Publish.
func (p *Pruned) decide(ctx context.Context, v *view, o PruneOptions) (s *superseding, err error) {
	if o.Keep > 0 {
		if p.Removed, err = v.keepNewest(ctx, o.Keep); err != nil {
			return nil, err
		}
	}
	if s, err = v.superseding(); err != nil {
		return nil, err
	}
	s.grace = o.Grace
	p.Forgotten, err = s.decideToForget()
	return s, err
}

// Prune removes files that nobody needs: neither the state that clients see, nor
// one that they saw within the grace period, nor what is added and not yet
// published, nor a stage, nor a lock file that is kept. Root metadata stays for
// ever. It needs no key. A lock keeps publishers away meanwhile; killed, it leaves
// what the next one removes.
func (r *Repository) Prune(ctx context.Context, o PruneOptions) (*Pruned, error) {
	v, unlock, err := r.lockedView(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if o.Grace <= 0 {
		o.Grace = r.config.grace()
	}
	p := &Pruned{Files: []string{}}
	s, err := p.decide(ctx, v, o)
	if err != nil {
		return nil, err
	}
	if !o.DryRun {
		if len(p.Removed)+len(p.Forgotten) > 0 {
			err = v.save()
		}
		if err := errors.Join(err, s.save(), r.record(v.published)); err != nil {
			return nil, err
		}
	}
	m := v.marking(r.now().Add(-o.Grace))
	if err := m.mark(ctx); err != nil {
		return nil, err
	}
	if err := m.sweep(ctx, p, o.DryRun); err != nil || o.DryRun {
		return p, err
	}
	return p, r.writeHistory(m.history)
}

// keepNewest decides that of each package only so many versions are listed.
func (v *view) keepNewest(ctx context.Context, keep int) ([]index.Entry, error) {
	var gone []index.Entry
	for _, channel := range v.channels() {
		before, err := v.channel(channel)
		if err != nil {
			return nil, err
		}
		older, err := beyond(before, keep)
		if err != nil {
			return nil, err
		}
		for _, e := range older {
			if err := v.drop(channel, e); err != nil {
				return nil, err
			}
		}
		if len(older) > 0 {
			if err := v.completes(ctx, channel, before, false); err != nil {
				return nil, err
			}
		}
		gone = append(gone, older...)
	}
	return gone, nil
}

// channels lists the channels of the state to come.
func (v *view) channels() []string {
	var names []string
	for _, target := range v.indexes() {
		channel, _, _ := parseIndexTarget(target)
		names = append(names, channel)
	}
	return slices.Compact(names)
}

// beyond returns of each name and arch all but the newest versions.
func beyond(entries []index.Entry, keep int) ([]index.Entry, error) {
	entries = slices.Clone(entries)
	if err := index.Sort(entries); err != nil {
		return nil, err
	}
	var older []index.Entry
	count := map[string]int{}
	for _, e := range slices.Backward(entries) { // the newest first
		key := e.Name + " " + e.Arch
		if count[key]++; count[key] > keep {
			older = append(older, e)
		}
	}
	slices.Reverse(older)
	return older, nil
}

// sweep removes what is not marked: first the metadata of states that are
// forgotten, then what only they listed. So one that is killed never leaves a
// state that lacks something.
func (m *marking) sweep(ctx context.Context, p *Pruned, dry bool) error {
	for _, folder := range []string{metadataDir, indexDir, keyringDir, advisoriesDir, poolDir} {
		var files []string
		var folders []string
		top := m.repository.path(folder)
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case d.IsDir():
				if path != top {
					folders = append(folders, path)
				}
				return ctx.Err()
			}
			rel, err := filepath.Rel(m.repository.dir, path)
			if err != nil || m.needs(filepath.ToSlash(rel)) {
				p.Kept++
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			files = append(files, path)
			p.Files, p.Bytes = append(p.Files, filepath.ToSlash(rel)), p.Bytes+info.Size()
			return nil
		})
		if err != nil {
			return err
		}
		if dry {
			continue
		}
		for _, path := range files {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
		for _, path := range slices.Backward(folders) {
			os.Remove(path) // those that are empty now
		}
	}
	slices.Sort(p.Files)
	return nil
}

// needs reports whether a file of the served folders stays.
func (m *marking) needs(path string) bool {
	return m.needed[path] || path == TimestampPath || strings.HasPrefix(path, metadataDir+"/") && strings.HasSuffix(path, ".root.json")
}
