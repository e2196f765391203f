package trigger

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

const (
	maxChanges  = 100_000
	overlayData = "user.overlay." // attributes of overlayfs itself
)

// collect lists the differences between the layers and what triggers wrote.
func (o *Output) collect() error {
	for _, name := range shown {
		c := collector{top: name, upper: o.workspace.upper[name], layers: o.workspace.layers[name]}
		if err := c.folder(name, false); err != nil {
			return fmt.Errorf("read what triggers wrote: %w", err)
		}
		if len(c.layers) == 0 && len(c.changes) == 1 {
			continue // a missing folder, and nothing was put into it
		}
		o.Changes = append(o.Changes, c.changes...)
	}
	slices.SortFunc(o.Changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

// collector reads the changes of one of the shown folders.
type collector struct {
	top     string
	upper   string
	layers  []string
	changes []Change
}

// in returns where path is in one of the folders that hold the top one.
func (c *collector) in(folder, path string) string {
	return filepath.Join(folder, strings.TrimPrefix(path, c.top))
}

// folder compares a folder that overlayfs has made above with those below.
// With alone, nothing below shows through.
func (c *collector) folder(path string, alone bool) error {
	now, err := describe(c.in(c.upper, path), path)
	if err != nil {
		return err
	}
	opaque := now.Xattrs[overlayData+"opaque"]
	alone = alone || string(opaque) == "y"
	if err := c.add(now); err != nil {
		return err
	}
	entries, err := os.ReadDir(c.in(c.upper, path))
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, e := range entries {
		seen[e.Name()] = true
		inside := path + "/" + e.Name()
		if e.IsDir() {
			err = c.folder(inside, alone)
		} else {
			err = c.file(inside)
		}
		if err != nil {
			return err
		}
	}
	if !alone {
		return nil
	}
	for _, name := range c.below(path) {
		if !seen[name] {
			if err := c.removed(path + "/" + name); err != nil {
				return err
			}
		}
	}
	return nil
}

// removed notes that a path of the layers has gone with all that is in it.
func (c *collector) removed(path string) error {
	before, err := c.before(path)
	if err != nil || before == nil {
		return err
	}
	if err := c.note(&Change{Path: path, Type: Removed}); err != nil || before.Type != pkgfile.TypeDir {
		return err
	}
	for _, name := range c.below(path) {
		if err := c.removed(path + "/" + name); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) file(path string) error {
	now, err := describe(c.in(c.upper, path), path)
	if err != nil {
		return err
	}
	return c.add(now)
}

// add notes a change if it is one.
func (c *collector) add(now *Change) error {
	if now.Type == Removed {
		return c.removed(now.Path)
	}
	before, err := c.before(now.Path)
	if err != nil {
		return err
	}
	maps.DeleteFunc(now.Xattrs, func(name string, _ []byte) bool { return strings.HasPrefix(name, overlayData) })
	if len(now.Xattrs) == 0 {
		now.Xattrs = nil
	}
	if before != nil {
		same, err := equal(before, now)
		if same || err != nil {
			return err
		}
	}
	if err := allowed(before, now); err != nil {
		return fault.Mark(err, fault.Failed, "this is a mistake of the package with the trigger; --no-triggers leaves triggers out")
	}
	return c.note(now)
}

func (c *collector) note(change *Change) error {
	if len(c.changes) == maxChanges {
		return fmt.Errorf("triggers changed more than %d paths", maxChanges)
	}
	c.changes = append(c.changes, *change)
	return nil
}

// allowed refuses what no index or cache needs: it would hinder a transaction, or
// help an intruder. before is nil for a new path.
func allowed(before, now *Change) error {
	if before != nil && (before.Type == pkgfile.TypeDir) != (now.Type == pkgfile.TypeDir) {
		return fmt.Errorf("a trigger turned the %s /%s into a %s", before.Type, now.Path, now.Type)
	}
	if now.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 && now.Type == pkgfile.TypeFile {
		return fmt.Errorf("a trigger made /%s with mode %04o; triggers make no setuid or setgid files", now.Path, now.Mode)
	}
	if now.Type == special {
		return fmt.Errorf("a trigger made /%s, which is no file, folder or link", now.Path)
	}
	if _, found := now.Xattrs["security.capability"]; found {
		return fmt.Errorf("a trigger gave /%s capabilities; triggers make no privileged files", now.Path)
	}
	if err := pkgfile.CheckPath(now.Path); err != nil {
		return fmt.Errorf("a trigger made the path %q: %w", now.Path, err)
	}
	return nil
}

// find returns where path is in the layers, "" if nowhere.
func (c *collector) find(path string) string {
	for _, layer := range c.layers {
		switch found, state := lookIn(layer, strings.TrimPrefix(strings.TrimPrefix(path, c.top), "/")); state {
		case here:
			return found
		case hidden:
			return ""
		}
	}
	return ""
}

func (c *collector) before(path string) (*Change, error) {
	found := c.find(path)
	if found == "" {
		return nil, nil
	}
	return describe(found, path)
}

// below lists the names that the layers have in a folder.
func (c *collector) below(path string) []string {
	names := map[string]bool{}
	for _, layer := range c.layers {
		found, state := lookIn(layer, strings.TrimPrefix(strings.TrimPrefix(path, c.top), "/"))
		if state == hidden {
			break
		}
		if state != here {
			continue
		}
		entries, err := os.ReadDir(found)
		if err != nil {
			break // no folder: it hides the layers below
		}
		for _, e := range entries {
			names[e.Name()] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
