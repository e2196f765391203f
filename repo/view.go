package repo

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"

	"ashlar/repo/index"
)

// view is the channels as the next Publish will show them: what is published,
// and the changes to it. It reads of a large index only what it is asked for.
type view struct {
	repository *Repository
	published  *state
	changes    changes
	shelves    map[string]*shelf // by target
}

// lockedView is a view to change and save, with other publishers kept away.
func (r *Repository) lockedView(ctx context.Context) (v *view, unlock func(), err error) {
	if unlock, err = r.lock(ctx); err != nil {
		return nil, nil, err
	}
	if v, err = r.view(); err != nil {
		unlock()
		return nil, nil, err
	}
	return v, unlock, nil
}

// view is one to read.
func (r *Repository) view() (*view, error) {
	published, err := readState(r.dir)
	if err != nil {
		return nil, err
	}
	c, err := r.readPending()
	if err != nil {
		return nil, err
	}
	return &view{r, published, c, map[string]*shelf{}}, nil
}

// shelf answers for one published index.
type shelf struct {
	data  []byte // nil if there is no such index
	asked int
	all   map[string][]index.Entry // by name, once that pays
}

// manyNames is from how many names on it is faster to decode a whole index.
const manyNames = 64

func (v *view) shelf(target string) (*shelf, error) {
	if s := v.shelves[target]; s != nil {
		return s, nil
	}
	data, err := v.published.readTarget(v.repository.dir, target)
	if errors.Is(err, fs.ErrNotExist) && !v.published.has(target) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	s := &shelf{data: data}
	v.shelves[target] = s
	return s, nil
}

func (s *shelf) entries() ([]index.Entry, error) {
	if s.data == nil {
		return nil, nil
	}
	_, entries, err := index.Decode(bytes.NewReader(s.data), index.Limits{})
	return entries, err
}

func (s *shelf) named(name string) ([]index.Entry, error) {
	if s.data == nil {
		return nil, nil
	}
	if s.asked++; s.all == nil && s.asked < manyNames {
		if _, err := index.Table(s.data); err == nil {
			return index.Lookup(s.data, name)
		}
	}
	if s.all == nil {
		entries, err := s.entries()
		if err != nil {
			return nil, err
		}
		s.all = map[string][]index.Entry{}
		for _, e := range entries {
			s.all[e.Name] = append(s.all[e.Name], e)
		}
	}
	return s.all[name], nil
}

// listed returns the package of an index that is published now under an ID
// and name; nil if there is none.
func (v *view) listed(target, name, id string) (*index.Entry, error) {
	s, err := v.shelf(target)
	if err != nil {
		return nil, err
	}
	entries, err := s.named(name)
	if err != nil {
		return nil, err
	}
	return withID(entries, id), nil
}

func withID(entries []index.Entry, id string) *index.Entry {
	for i := range entries {
		if entries[i].ID() == id {
			return &entries[i]
		}
	}
	return nil
}

// coming returns the package that an index will list under an ID; nil if there
// will be none.
func (v *view) coming(target, name, id string) (*index.Entry, error) {
	if c, ok := v.changes[changeKey{target, id}]; ok {
		return c.Add, nil
	}
	return v.listed(target, name, id)
}

// entries returns all packages that an index will list, in no order.
func (v *view) entries(target string) ([]index.Entry, error) {
	s, err := v.shelf(target)
	if err != nil {
		return nil, err
	}
	entries, err := s.entries()
	if err != nil {
		return nil, err
	}
	some := v.changes.of(target)
	if len(some) == 0 {
		return entries, nil
	}
	entries = slices.DeleteFunc(entries, func(e index.Entry) bool {
		_, changed := v.changes[changeKey{target, e.ID()}]
		return changed
	})
	for _, c := range some {
		if c.Add != nil {
			entries = append(entries, *c.Add)
		}
	}
	return entries, nil
}

// set decides that a package is listed by a channel.
func (v *view) set(channel string, e index.Entry) error {
	target, id := IndexTarget(channel, e.Arch), e.ID()
	published, err := v.listed(target, e.Name, id)
	if err != nil {
		return err
	}
	if published != nil && sameEntry(published, &e) {
		delete(v.changes, changeKey{target, id})
	} else {
		v.changes[changeKey{target, id}] = change{Channel: channel, Add: &e}
	}
	return nil
}

// drop decides that a package is not listed by a channel.
func (v *view) drop(channel string, e index.Entry) error {
	target, id := IndexTarget(channel, e.Arch), e.ID()
	published, err := v.listed(target, e.Name, id)
	if err != nil {
		return err
	}
	if published == nil {
		delete(v.changes, changeKey{target, id})
	} else {
		v.changes[changeKey{target, id}] = change{Channel: channel, Remove: published}
	}
	return nil
}

// indexes lists all indexes of the state to come, sorted.
func (v *view) indexes() []string {
	names := append(v.changes.indexes(), v.published.indexes()...)
	slices.Sort(names)
	return slices.Compact(names)
}

// of lists the indexes of a channel, one for each arch.
func (v *view) of(channel string) []string {
	return slices.DeleteFunc(v.indexes(), func(name string) bool {
		c, _, _ := parseIndexTarget(name)
		return c != channel
	})
}

// channel returns the packages of a channel, for all arches.
func (v *view) channel(name string) ([]index.Entry, error) {
	var all []index.Entry
	for _, target := range v.of(name) {
		some, err := v.entries(target)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func (v *view) save() error { return v.repository.writePending(v.changes) }
