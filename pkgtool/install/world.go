package install

import (
	"bytes"
	"fmt"
	"os"
	"slices"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/version"

	"github.com/goccy/go-yaml"
)

// World is what a system shall consist of: the packages that somebody wants,
// with conditions on their versions. What they need comes along.
// Its file format is specified in docs/formats/lock.md.
type World struct {
	Schema     int      `yaml:"schema" jsonschema:"enum=1" jsonschema_description:"version of this format"`
	Packages   []string `yaml:"packages" jsonschema_description:"what is wanted: NAME, NAME@VERSION or 'NAME >=1.2'"`
	Recommends *bool    `yaml:"recommends,omitempty" jsonschema_description:"also add what new packages recommend; default: true"`
}

// WorldSchema is the JSON Schema of a world file, for editors.
func WorldSchema() ([]byte, error) { return strictyaml.Schema(&World{}, "Ashlar world file") }

// ReadTarget reads a world file or a lock file, whichever it is; the other
// result is nil. Errors are of class fault.Usage.
func ReadTarget(path string) (*World, *Lock, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, nil, err
	}
	if bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		lock, err := ParseLock(path, data)
		return nil, lock, err
	}
	world, err := ParseWorld(path, data)
	return world, nil, err
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxLock) {
		err = fmt.Errorf("%s is not a file of at most %d MiB", path, maxLock>>20)
	}
	if err != nil {
		return nil, fault.Mark(err, fault.Usage, "")
	}
	data, err := os.ReadFile(path)
	return data, fault.Mark(err, fault.Usage, "")
}

// ParseWorld reads a world file; path stands for it in errors.
func ParseWorld(path string, data []byte) (*World, error) {
	var w World
	if err := strictyaml.Decode(path, data, &w); err != nil {
		return nil, fault.Mark(err, fault.Usage, "")
	}
	if w.Schema != 1 {
		return nil, fault.Errorf(fault.Usage, "%s: schema is %d; this pkgtool reads schema 1", path, w.Schema)
	}
	seen := map[string]bool{}
	for _, text := range w.Packages {
		d, err := parseWish(text)
		if err != nil {
			return nil, fault.Errorf(fault.Usage, "%s: %w", path, err)
		}
		if seen[d.String()] {
			return nil, fault.Errorf(fault.Usage, "%s: %s is listed twice; remove one of them", path, d)
		}
		seen[d.String()] = true
	}
	return &w, nil
}

// dependencies are the wishes, parsed.
func (w *World) dependencies() ([]version.Dependency, error) {
	var all []version.Dependency
	for _, text := range w.Packages {
		d, err := parseWish(text)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// WorldOf is the world that a system consists of: the names that somebody asked
// for, without conditions.
func WorldOf(installed []system.Record) *World {
	w := &World{Schema: 1, Packages: []string{}}
	for _, r := range installed {
		if r.Requested && !slices.Contains(w.Packages, r.Name) {
			w.Packages = append(w.Packages, r.Name)
		}
	}
	return w
}

// Encode returns the text of a world file.
func (w *World) Encode() ([]byte, error) { return yaml.Marshal(w) }
