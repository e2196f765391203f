package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// rules counts the changes of how the data is made: it is part of the stamp
// that says whether a folder is up to date.
const rules = 1

// Formats are the package formats, by the name of their folder.
var Formats = []string{"ashlar", "deb", "rpm", "pacman"}

// Sets are the sets of packages, by the name of their folder.
const (
	Base    = "base"    // the server
	Upgrade = "upgrade" // new versions of some of its packages
	Filler  = "filler"  // synthetic packages, nine times as many files
)

// Dataset describes a folder that Make made.
type Dataset struct {
	Stamp    string             `json:"stamp"`
	Wanted   []string           `json:"wanted"` // names that, with what they need, are the base set
	Packages map[string][]Entry `json:"packages"`

	dir string
}

// Entry is one package.
type Entry struct {
	Name     string           `json:"name"`
	Version  string           `json:"version"`
	Debian   string           `json:"debian,omitempty"` // version of the package it was made from
	Paths    int              `json:"paths"`            // files, folders and links
	Files    int              `json:"files"`            // regular files, each name of a hard linked one
	Size     int64            `json:"size"`             // bytes of the files
	Changed  int              `json:"changed,omitempty"`
	Requires []string         `json:"requires,omitempty"`
	Config   []string         `json:"config,omitempty"`
	Summary  string           `json:"summary"`
	Bytes    map[string]int64 `json:"bytes"` // size of the package file, by format
}

// Open reads the dataset in dir. Its error wraps fs.ErrNotExist if there is none.
func Open(dir string) (*Dataset, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "dataset.json"))
	if err != nil {
		return nil, err
	}
	d := &Dataset{dir: dir}
	if err := json.Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return d, nil
}

func (d *Dataset) save() error {
	text, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(d.Path("dataset.json"), append(text, '\n'), 0o644)
}

// Path joins a path below the dataset's folder.
func (d *Dataset) Path(elem ...string) string {
	return filepath.Join(append([]string{d.dir}, elem...)...)
}

// Tree is the folder with all files of a set, as one system would have them.
func (d *Dataset) Tree(set string) string { return d.Path(set, "tree") }

// Archive is a tar archive of Tree, compressed by zstd into one frame.
func (d *Dataset) Archive(set string) string { return d.Path(set, "all.tar.zst") }

// Files returns the package files of a set in a format, sorted by name.
func (d *Dataset) Files(set, format string) ([]string, error) {
	files, err := filepath.Glob(d.Path(set, format, "*.*"))
	if err == nil && len(files) != len(d.Packages[set]) {
		err = fmt.Errorf("%s holds %d files, not %d; remove the folder and make it anew", d.Path(set, format), len(files), len(d.Packages[set]))
	}
	return files, err
}

// Total adds up a set's packages.
func (d *Dataset) Total(set string) Entry {
	t := Entry{Name: set, Bytes: map[string]int64{}}
	for _, e := range d.Packages[set] {
		t.Paths += e.Paths
		t.Files += e.Files
		t.Size += e.Size
		t.Changed += e.Changed
		for format, n := range e.Bytes {
			t.Bytes[format] += n
		}
	}
	return t
}

// Names returns the names of a set's packages.
func (d *Dataset) Names(set string) []string {
	var names []string
	for _, e := range d.Packages[set] {
		names = append(names, e.Name)
	}
	return names
}

// exists reports whether there is something at path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
