package repo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/repo/index"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Difference is how one list of packages becomes another. Each is sorted by
// name, version and arch.
type Difference struct {
	Added   []index.Entry `json:"added"`
	Removed []index.Entry `json:"removed"`
	Rebuilt []index.Entry `json:"rebuilt"` // the same version and release with other content, as it becomes
}

// Same reports whether nothing differs.
func (d *Difference) Same() bool { return len(d.Added)+len(d.Removed)+len(d.Rebuilt) == 0 }

// Compare says how a becomes b.
func Compare(a, b []index.Entry) (*Difference, error) {
	d := &Difference{[]index.Entry{}, []index.Entry{}, []index.Entry{}}
	was := map[string]string{}
	for i := range a {
		was[a[i].ID()] = a[i].SHA256
	}
	is := map[string]bool{}
	for i := range b {
		id := b[i].ID()
		is[id] = true
		switch sum, there := was[id]; {
		case !there:
			d.Added = append(d.Added, b[i])
		case sum != b[i].SHA256:
			d.Rebuilt = append(d.Rebuilt, b[i])
		}
	}
	for i := range a {
		if !is[a[i].ID()] {
			d.Removed = append(d.Removed, a[i])
		}
	}
	return d, errors.Join(index.Sort(d.Added), index.Sort(d.Removed), index.Sort(d.Rebuilt))
}

// PendingDifferences says, by channel, what the next Publish changes. Channels that stay
// as they are are left out.
func (r *Repository) PendingDifferences() (map[string]*Difference, error) {
	v, err := r.view()
	if err != nil {
		return nil, err
	}
	all := map[string]*Difference{}
	for _, channel := range v.channels() {
		var before, after []index.Entry
		for _, target := range v.of(channel) {
			if len(v.changes.of(target)) == 0 {
				continue
			}
			was, err := v.published.entries(r.dir, target)
			if err != nil {
				return nil, err
			}
			is, err := v.entries(target)
			if err != nil {
				return nil, err
			}
			before, after = append(before, was...), append(after, is...)
		}
		d, err := Compare(before, after)
		if err != nil {
			return nil, err
		}
		if !d.Same() {
			all[channel] = d
		}
	}
	return all, nil
}

// ReadList returns the packages that text names: CHANNEL of the repository in dir as
// clients see it, CHANNEL@VERSION as it was in a former publication, and
// FOLDER:CHANNEL or FOLDER:CHANNEL@VERSION of another repository or copy. It
// needs no key.
func ReadList(dir, text string) ([]index.Entry, error) {
	if folder, rest, other := cutLast(text, ":"); other {
		dir, text = folder, rest
	}
	channel, version, former := strings.Cut(text, "@")
	if err := checkChannel(channel); err != nil {
		return nil, err
	}
	s, err := readState(dir)
	if err != nil {
		return nil, err
	}
	if former {
		if s, err = formerState(dir, s, version); err != nil {
			return nil, err
		}
	}
	var all []index.Entry
	found := false
	for _, target := range s.indexes() {
		if c, _, _ := parseIndexTarget(target); c == channel {
			found = true
			entries, err := s.entries(dir, target)
			if err != nil {
				return nil, err
			}
			all = append(all, entries...)
		}
	}
	if !found {
		return nil, fault.Mark(fmt.Errorf("%s has no channel %s", dir, channel), fault.Usage, "see: pkgtool repo status "+dir)
	}
	return all, nil
}

// formerState reads the targets of the publication that text, a version of
// timestamp metadata, names. It must be signed by the keys of today.
func formerState(dir string, now *state, text string) (*state, error) {
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fault.Errorf(fault.Usage, "version %.50q is not a number", text)
	}
	history, err := (&Repository{dir: dir}).readHistory()
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(history, func(p publishedState) bool { return p.Timestamp == version })
	if at < 0 {
		return nil, fault.Mark(fmt.Errorf("%s knows no publication %d", dir, version), fault.Usage, "repo status lists those that it knows")
	}
	path := MetadataPath(metadata.TARGETS, history[at].Targets)
	targets, err := readRole(dir, path, metadata.TARGETS, metadata.Targets())
	if err != nil {
		return nil, err
	}
	if err := now.root.VerifyDelegate(metadata.TARGETS, targets); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &state{root: now.root, targets: targets}, nil
}

// sizeOf adds up the files below a folder.
func sizeOf(dir string) (files int, size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files, size = files+1, size+info.Size()
		return nil
	})
	return files, size, err
}
