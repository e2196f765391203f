package system

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"

	"golang.org/x/sys/unix"
)

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
func (s *System) ConfigFiles() ([]ConfigFile, error) {
	bases, err := s.disk.readBases(s.generation.Number)
	if err != nil {
		return nil, err
	}
	files := []ConfigFile{}
	err = s.eachConfig(func(r Record, e entry) error {
		f := ConfigFile{Path: e.file.Path, Package: r.Name}
		st, err := s.disk.lstat(f.Path)
		if err != nil {
			return err
		}
		_, waits := bases.Bases[f.Path]
		switch {
		case waits:
			f.State = ConfigPending
		case st == nil:
			f.State = ConfigMissing
		default:
			f.State = ConfigModified
			if isRegular(st) && st.Size == e.file.Size {
				now, err := s.disk.hash(f.Path)
				if err != nil {
					return err
				}
				if now == e.file.SHA256 {
					f.State = ConfigUnmodified
				}
			}
		}
		if beside, err := s.disk.lstat(f.Path + newSuffix); err != nil {
			return err
		} else if beside != nil {
			f.New = f.Path + newSuffix
		}
		files = append(files, f)
		return nil
	})
	slices.SortFunc(files, func(a, b ConfigFile) int { return strings.Compare(a.Path, b.Path) })
	return files, err
}

// eachConfig calls fn for every configuration file of the installed packages.
// Of manifests without any, only the bytes are looked at.
func (s *System) eachConfig(fn func(Record, entry) error) error {
	for _, r := range s.generation.Packages {
		raw, err := s.disk.readFile(manifestPath(r.Manifest), maxManifest)
		if err != nil {
			return damaged(fmt.Errorf("read the manifest of %s: %w", r.Name, err))
		}
		if !bytes.Contains(raw, []byte(`"config":true`)) {
			continue
		}
		m, err := s.Manifest(r)
		if err != nil {
			return err
		}
		for i := range m.Files {
			if f := &m.Files[i]; isConfig(f) {
				if err := fn(r, entry{&member{manifest: m}, f, f}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// configEntry finds a configuration file of the installed packages.
func (s *System) configEntry(path string) (found entry, err error) {
	names, err := s.Owners(path)
	if err != nil {
		return found, err
	}
	for _, name := range names {
		for _, r := range s.Builds(name) {
			m, err := s.Manifest(r)
			if err != nil {
				return found, err
			}
			if f := m.File(path); f != nil && isConfig(f) {
				return entry{&member{manifest: m}, f, f}, nil
			}
		}
	}
	return found, fault.Mark(fmt.Errorf("/%s is not a configuration file of an installed package", path), fault.Usage, "see which there are: pkgtool config list")
}

// ConfigTexts returns the three texts of a configuration file: the one that the
// administrator's edits began with, the package's present one, and what is on
// disk. base and theirs are nil if the store does not have them, as for files of
// an image that were never upgraded; ours is nil if the file is missing.
func (s *System) ConfigTexts(path string) (base, theirs, ours []byte, err error) {
	e, err := s.configEntry(path)
	if err != nil {
		return nil, nil, nil, err
	}
	known, err := s.ownersOf(s.generation)
	if err != nil {
		return nil, nil, nil, err
	}
	o, err := known.object(e)
	if err != nil {
		return nil, nil, nil, err
	}
	ours, err = s.disk.readFile(path, maxGeneration)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) {
		ours, err = nil, nil
	}
	if err != nil {
		return nil, nil, nil, err
	}
	if theirs, err = s.objectText(o); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, nil, err
		}
		theirs = nil
		if ours != nil && hexSum(ours) == o.SHA256 {
			theirs = ours
		}
	}
	bases, err := s.disk.readBases(s.generation.Number)
	if err != nil {
		return nil, nil, nil, err
	}
	b, waits := bases.Bases[path]
	if !waits {
		return theirs, theirs, ours, nil
	}
	if b.SHA256 == "" {
		return nil, theirs, ours, nil
	}
	if base, err = s.objectText(b.object()); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return base, theirs, ours, err
}

// ResolveConfig ends a conflict: content becomes the file's text (nil keeps what
// is there), PATH.new goes, and the package's text is the base of later merges.
// When it returns nil, that is on disk; a crash leaves the file old or new.
func (s *System) ResolveConfig(path string, content []byte) error {
	if err := s.Lock([]string{"pkgtool", "config"}); err != nil {
		return err
	}
	e, err := s.configEntry(path)
	if err != nil {
		return err
	}
	if content != nil {
		if err := s.writeConfig(path, e, content); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	bases, err := s.disk.readBases(s.generation.Number)
	if err != nil {
		return err
	}
	if _, waits := bases.Bases[path]; waits {
		delete(bases.Bases, path)
		data, err := encodeJSON(bases)
		if err != nil {
			return err
		}
		if err := s.disk.replace(configPath(s.generation.Number), data, &unix.Stat_t{Mode: 0o644}, false); err != nil {
			return err
		}
	}
	return s.disk.unlink(path + newSuffix)
}

// writeConfig replaces a configuration file. Its mode and owner stay.
func (s *System) writeConfig(path string, e entry, content []byte) error {
	st, err := s.disk.lstat(path)
	if err != nil {
		return err
	}
	if st != nil && !isRegular(st) {
		return fmt.Errorf("it is %s", kindOf(st))
	}
	var xattrs map[string][]byte
	if st == nil {
		known, err := s.ownersOf(s.generation)
		if err != nil {
			return err
		}
		st = &unix.Stat_t{Mode: e.file.Mode}
		if st.Uid, st.Gid, err = known.of(e.file); err != nil {
			return err
		}
		xattrs = known.settable(e.file.Xattrs)
	} else if xattrs, err = s.disk.xattrs(path); err != nil {
		return err
	}
	return s.disk.replaceWith(path, content, st, privileged, xattrs)
}

// replace writes a file beside, flushes it and renames it into place.
func (d *disk) replace(path string, content []byte, like *unix.Stat_t, own bool) error {
	return d.replaceWith(path, content, like, own, nil)
}

func (d *disk) replaceWith(path string, content []byte, like *unix.Stat_t, own bool, xattrs map[string][]byte) error {
	beside := path + besideSuffix
	if err := d.unlink(beside); err != nil {
		return err
	}
	f, err := d.create(beside, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil && own {
		err = unix.Fchown(int(f), int(like.Uid), int(like.Gid))
	}
	if err == nil {
		err = unix.Fchmod(int(f), like.Mode&0o7777)
	}
	if err == nil {
		err = setXattrs(int(f), xattrs)
	}
	if err == nil {
		err = unix.Fsync(int(f))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, d.unlink(beside))
	}
	return d.renameAndFlush(beside, path)
}

// xattrs reads the extended attributes of a file.
func (d *disk) xattrs(path string) (map[string][]byte, error) {
	f, err := d.open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return xattrsOf(int(f.Fd()))
}
