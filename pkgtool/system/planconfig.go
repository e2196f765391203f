package system

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"ashlar/pkgtool/system/merge"
	"ashlar/pkgtool/system/store"

	"golang.org/x/sys/unix"
)

// ConfigNote tells of a configuration file that an administrator has edited.
// At most one of New, Kept, Merge and Merged says what happens.
type ConfigNote struct {
	Path   string `json:"path"`
	New    string `json:"new,omitempty"`    // where the package's version was put
	Kept   bool   `json:"kept,omitempty"`   // its package goes, the file stays
	Merge  bool   `json:"merge,omitempty"`  // before Commit: both sides changed it; Commit tries to merge
	Merged bool   `json:"merged,omitempty"` // the package's changes were put into the edited file
}

// newSuffix follows the name of a configuration file that waits beside.
const newSuffix = ".new"

// configBases are the texts with which the edits of configuration files began,
// where that is not the text of the present package.
type configBases struct {
	Format int                 `json:"format"`
	Bases  map[string]baseText `json:"bases"`
}

// baseText names an object of the store. No SHA256 means that there is no base.
type baseText struct {
	SHA256 string `json:"sha256,omitempty"`
	Size   int64  `json:"size,omitempty"`
	Mode   uint32 `json:"mode,omitempty"`
	UID    uint32 `json:"uid,omitempty"`
	GID    uint32 `json:"gid,omitempty"`
}

func (b baseText) object() *store.Object {
	return &store.Object{SHA256: b.SHA256, Size: b.Size, Mode: b.Mode, UID: b.UID, GID: b.GID}
}

func configPath(number int) string { return generationDir(number) + "/config.json" }

// maxConfigBases bounds what is read back, in bytes.
const maxConfigBases = 64 << 20

func (d *disk) readBases(number int) (configBases, error) {
	b := configBases{Format: 1, Bases: map[string]baseText{}}
	data, err := d.readFile(configPath(number), maxConfigBases)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(data, &b); err != nil || b.Format != 1 {
		return b, damaged(fmt.Errorf("read %s: format %d, %w", configPath(number), b.Format, err))
	}
	return b, nil
}

// planConfig decides about a configuration file that comes: an unedited one
// follows the package, an edited one stays if the package's text is the same,
// else they are to be merged. A deleted one counts as edited.
func (p *Plan) planConfig(e entry, st *unix.Stat_t) (to string, err error) {
	f := e.file
	old, was := p.live.gone[f.Path]
	if st == nil && !was {
		return f.Path, nil
	}
	var now string // hash of what is there; "" if it is no file
	if st != nil && isRegular(st) {
		if now, err = p.system.disk.hash(f.Path); err != nil {
			return "", err
		}
	}
	base, waits := p.bases.Bases[f.Path]
	settled := func() {
		if waits { // somebody has settled it by hand
			delete(p.bases.Bases, f.Path)
			p.late = append(p.late, operation{Do: doUnlink, Path: f.Path + newSuffix})
		}
	}
	switch {
	case was && now == old.file.SHA256:
		settled()
		if sameContent(old.file, f) && looksLike(st, f) {
			return "", nil
		}
		return f.Path, nil
	case now == f.SHA256:
		settled()
		return "", nil
	case was && old.file.SHA256 == f.SHA256:
		return "", nil
	}
	if !waits && was {
		o, err := p.owners.object(old)
		if err != nil {
			return "", err
		}
		base = baseText{o.SHA256, o.Size, o.Mode, o.UID, o.GID}
	}
	c := configMerge{entry: e, base: base, now: st}
	if now == "" || base.SHA256 == "" { // nothing to merge with
		p.noteConflict(c)
		return f.Path + newSuffix, nil
	}
	p.merges = append(p.merges, c)
	p.Config = append(p.Config, ConfigNote{Path: f.Path, Merge: true})
	return "", nil
}

// configMerge is a configuration file that both sides changed.
type configMerge struct {
	entry entry
	base  baseText
	now   *unix.Stat_t // what is there
}

// noteConflict says that a person must look at a file.
func (p *Plan) noteConflict(c configMerge) {
	path := c.entry.file.Path
	p.bases.Bases[path] = c.base
	p.note(ConfigNote{Path: path, New: path + newSuffix})
}

// note replaces what was said of a file.
func (p *Plan) note(n ConfigNote) {
	p.Config = slices.DeleteFunc(p.Config, func(o ConfigNote) bool { return o.Path == n.Path })
	p.Config = append(p.Config, n)
}

// mergeConfigs merges what can be merged, now that all texts can be read.
func (p *Plan) mergeConfigs() error {
	for _, c := range p.merges {
		path := c.entry.file.Path
		theirs, err := p.contentOf(c.entry)
		if err != nil {
			return err
		}
		ours, err := p.system.disk.readFile(path, maxGeneration)
		if err != nil {
			return fmt.Errorf("merge %s: %w", path, err)
		}
		var merged []byte
		conflicts := 1
		if base, err := p.system.objectText(c.base.object()); err == nil {
			merged, conflicts = merge.Three(base, ours, theirs)
		}
		if conflicts > 0 {
			p.noteConflict(c)
			p.put(c.entry, path+newSuffix)
			continue
		}
		if _, waited := p.bases.Bases[path]; waited {
			delete(p.bases.Bases, path)
			p.late = append(p.late, operation{Do: doUnlink, Path: path + newSuffix})
		}
		p.note(ConfigNote{Path: path, Merged: true})
		if string(merged) != string(ours) {
			p.putText(path, merged, c.now)
		}
	}
	p.merges = nil
	sortNotes(p.Config)
	return nil
}

// objectText reads an object that holds a text, and proves it.
func (s *System) objectText(o *store.Object) ([]byte, error) {
	f, err := s.openObject(o)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if o.Size > maxGeneration {
		return nil, fmt.Errorf("object %s is too large for a text", o.SHA256)
	}
	data := make([]byte, o.Size)
	if _, err := f.ReadAt(data, 0); err != nil && o.Size > 0 {
		return nil, err
	}
	if hexSum(data) != o.SHA256 {
		return nil, damaged(fmt.Errorf("object %s is damaged", o.Key()))
	}
	return data, nil
}

// edited reports whether a configuration file differs from what its package
// put there. A missing one does not need to be kept.
func (p *Plan) edited(e entry) (bool, error) {
	path := e.file.Path
	st, err := p.system.disk.lstat(path)
	if err != nil || st == nil {
		return false, err
	}
	if !isRegular(st) {
		return true, nil
	}
	now, err := p.system.disk.hash(path)
	return now != e.file.SHA256, err
}

// sortNotes gives the notes an order for people and tests.
func sortNotes(notes []ConfigNote) {
	slices.SortFunc(notes, func(a, b ConfigNote) int { return strings.Compare(a.Path, b.Path) })
}
