package repo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"ashlar/pkgtool/durable"
	"ashlar/repo/index"
)

// What is added and not yet published lies as whole indexes, the packages of
// the channel as they will be, in .ashlar/pending/. A channel without such a
// file is as published.

func (r *Repository) pendingPath(name string) string {
	return r.path(privateDir, "pending", filepath.Base(name))
}

// pendingIndexes lists the target names of the indexes that were added to.
func (r *Repository) pendingIndexes() ([]string, error) {
	files, err := os.ReadDir(r.path(privateDir, "pending"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, f := range files {
		// What else lies there are temporary files of a publisher that was killed.
		if _, _, ok := parseIndexTarget(indexDir + "/" + f.Name()); ok {
			names = append(names, indexDir+"/"+f.Name())
		}
	}
	return names, nil
}

// wantedIndexes lists all indexes of the state to come, sorted.
func (r *Repository) wantedIndexes(published *state) ([]string, error) {
	names, err := r.pendingIndexes()
	if err != nil {
		return nil, err
	}
	names = append(names, published.indexes()...)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// wanted returns the packages of an index as the next Publish will show them.
func (r *Repository) wanted(published *state, name string) ([]index.Entry, error) {
	entries, ok, err := r.readPending(name)
	if ok || err != nil {
		return entries, err
	}
	return published.entries(r.dir, name)
}

func (r *Repository) readPending(name string) ([]index.Entry, bool, error) {
	_, _, entries, err := r.pendingIndex(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return entries, err == nil, err
}

// pendingIndex returns an index to come, in the bytes that will be published.
func (r *Repository) pendingIndex(name string) ([]byte, index.Header, []index.Entry, error) {
	data, err := os.ReadFile(r.pendingPath(name))
	if err != nil {
		return nil, index.Header{}, nil, err
	}
	header, entries, err := index.Decode(bytes.NewReader(data), index.Limits{})
	if channel, arch, _ := parseIndexTarget(name); err == nil && (header.Channel != channel || header.Arch != arch) {
		err = fmt.Errorf("it is the index of %s.%s", header.Channel, header.Arch)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", r.pendingPath(name), err)
	}
	return data, header, entries, err
}

func (r *Repository) writePending(name string, entries []index.Entry) error {
	channel, arch, ok := parseIndexTarget(name)
	if !ok {
		return fmt.Errorf("invalid index name %q", name)
	}
	data, _, err := index.Encode(channel, arch, entries)
	if err != nil {
		return err
	}
	path := r.pendingPath(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(path, data, 0o644)
}

// forgetPending follows a publication. Should it not come to pass, the next
// publication finds nothing new in what is left.
func (r *Repository) forgetPending() {
	os.RemoveAll(r.path(privateDir, "pending"))
}
