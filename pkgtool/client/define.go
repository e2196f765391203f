package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
	"ashlar/repo/transport"

	"github.com/goccy/go-yaml"
	"golang.org/x/sys/unix"
)

// Define adds a repository to the system and pins the root that it is trusted
// by, both durably, the root first. With a nil root one must be pinned already.
func (d Dirs) Define(c Config, root *Root) error {
	if err := c.validate(); err != nil {
		return fault.Mark(fmt.Errorf("repository %s: %w", c.Name, err), fault.Usage, "")
	}
	unlock, err := d.lockConfig()
	if err != nil {
		return err
	}
	defer unlock()
	path, err := d.definition(c.Name)
	if err != nil {
		return err
	}
	if path != "" {
		return fault.Mark(fmt.Errorf("repository %s is defined already, in %s", c.Name, path), fault.Usage, "choose another name, or: pkgtool remote remove "+c.Name)
	}
	path = filepath.Join(d.Config, c.Name+".yaml")
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fault.Mark(fmt.Errorf("%s defines another repository", path), fault.Usage, "choose another name")
	}
	if root == nil {
		_, err = d.PinnedRoot(c.Name)
	} else {
		err = d.pin(c.Name, root)
	}
	if err != nil {
		return err
	}
	text, err := yaml.MarshalWithOptions(&c, yaml.IndentSequence(true))
	if err != nil {
		return err
	}
	return writeBelow(path, text)
}

// Undefine removes a repository, and what it is trusted by, from the system.
// Packages that came from it stay. That it must not go back in time is
// remembered, should it come again under the same root.
func (d Dirs) Undefine(name string) error {
	unlock, err := d.lockConfig()
	if err != nil {
		return err
	}
	defer unlock()
	path, err := d.mustDefinition(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	if err := durable.SyncDir(d.Config); err != nil {
		return err
	}
	if err := d.unpin(name); err != nil {
		return err
	}
	err = os.Remove(filepath.Join(d.Cache, "catalogues", name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// SetEnabled switches a repository on or off, and changes nothing else in its
// definition. It reports whether that was otherwise before.
func (d Dirs) SetEnabled(name string, on bool) (changed bool, err error) {
	return d.set(name, "enabled", fmt.Sprint(on), func(c *Config) { c.Enabled = &on })
}

// SetChannel makes a repository follow another channel, and changes nothing else
// in its definition. It reports whether that was otherwise before.
func (d Dirs) SetChannel(name, channel string) (changed bool, err error) {
	if !channelName.MatchString(channel) {
		return false, fault.Errorf(fault.Usage, "invalid channel %q; use lower-case letters, digits, _ and -", channel)
	}
	return d.set(name, "channel", channel, func(c *Config) { c.Channel = channel })
}

// set gives a key of a definition another value, which change makes in what was
// read from it.
func (d Dirs) set(name, key, value string, change func(*Config)) (changed bool, err error) {
	unlock, err := d.lockConfig()
	if err != nil {
		return false, err
	}
	defer unlock()
	path, err := d.mustDefinition(name)
	if err != nil {
		return false, err
	}
	was, err := ReadConfig(path)
	if err != nil {
		return false, err
	}
	want := was
	change(&want)
	if want.same(was) {
		return false, nil
	}
	data, err := transport.ReadSmall(path, strictyaml.MaxSize)
	if err != nil {
		return false, err
	}
	text := string(data)
	line := regexp.MustCompile(`(?m)^` + key + `:[^#\n]*?([ \t]*#.*)?$`)
	if line.MatchString(text) {
		text = line.ReplaceAllString(text, key+": "+value+"$1")
	} else {
		text = strings.TrimSuffix(text, "\n") + "\n" + key + ": " + value + "\n"
	}
	// A text of an unusual form may now mean something else.
	var is Config
	err = strictyaml.Decode(path, []byte(text), &is)
	is.setDefaults()
	if err != nil || !is.same(want) {
		return false, fault.Mark(fmt.Errorf("%s is written in a way that cannot be changed by a program", path), fault.Usage, fmt.Sprintf("write %s: %s into it", key, value))
	}
	return true, durable.WriteFile(path, []byte(text), 0o644)
}

// same reports whether two definitions mean the same.
func (c Config) same(other Config) bool {
	on, otherOn := c.On(), other.On()
	c.Enabled, other.Enabled = &on, &otherOn
	return reflect.DeepEqual(c, other)
}

// definition returns the file that defines a repository; "" if none does. A
// broken file is an error: it might be the one.
func (d Dirs) definition(name string) (string, error) {
	files, err := definitionFiles(d.Config)
	if err != nil {
		return "", err
	}
	for _, file := range files {
		c, err := ReadConfig(file)
		if err != nil {
			return "", err
		}
		if c.Name == name {
			return file, nil
		}
	}
	return "", nil
}

func (d Dirs) mustDefinition(name string) (string, error) {
	path, err := d.definition(name)
	if err == nil && path == "" {
		err = fault.Mark(fmt.Errorf("no repository is called %q", name), fault.Usage, "see which there are: pkgtool remote list")
	}
	return path, err
}

// lockConfig keeps two programs from changing definitions at once.
func (d Dirs) lockConfig() (unlock func(), err error) {
	if err := makeDirs(d.Config); err != nil {
		return nil, err
	}
	dir, err := os.Open(d.Config)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		dir.Close()
		return nil, err
	}
	return func() { dir.Close() }, nil
}

// writeBelow writes a file durably, with the folders above it.
func writeBelow(path string, data []byte) error {
	if err := makeDirs(filepath.Dir(path)); err != nil {
		return err
	}
	return durable.WriteFile(path, data, 0o644)
}

// makeDirs makes a folder durably, with those above it.
func makeDirs(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDirs(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o755)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(dir))
}
