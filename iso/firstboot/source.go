package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"ashlar/iso/volume"

	"github.com/goccy/go-yaml"
)

// maxFile bounds what is read of each file of a cloud.
const maxFile = 4 << 20

// instance is what a cloud says of a machine.
type instance struct {
	meta    metaData
	user    []byte // user-data
	script  []byte // user-data that is a script
	network []byte
}

// metaData is meta-data of NoCloud, and meta_data.json of a config drive.
type metaData struct {
	ID       string `yaml:"instance-id" json:"uuid"`
	Hostname string `yaml:"local-hostname" json:"hostname"`
	Keys     any    `yaml:"public-keys" json:"public_keys"`
}

// keys returns the public keys, which clouds give as a list or under names.
func (m *metaData) keys() (list []string) {
	add := func(v any) {
		if text, ok := v.(string); ok {
			list = append(list, strings.TrimSpace(text))
		}
	}
	switch keys := m.Keys.(type) {
	case []any:
		for _, v := range keys {
			add(v)
		}
	case map[string]any:
		for _, v := range keys {
			add(v)
		}
		slices.Sort(list)
	default:
		add(keys)
	}
	return list
}

// source is a volume with the data of a cloud.
type source struct {
	volume.Volume
	drive bool // a config drive, not NoCloud
}

// findSource looks at all block devices; nil means that there is none.
func findSource(sys, dev string) (*source, error) {
	found, err := volume.Find(sys, dev, "cidata", "config-2")
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &source{found[0], strings.EqualFold(found[0].Label, "config-2")}, nil
}

// read mounts the source and reads its files.
func (s *source) read() (i *instance, err error) {
	err = s.Read(func(files fs.FS) error {
		i, err = readInstance(files, s.drive)
		return err
	})
	return i, err
}

func readInstance(files fs.FS, drive bool) (*instance, error) {
	names := []string{"meta-data", "user-data", "network-config"}
	if drive {
		names = []string{"openstack/latest/meta_data.json", "openstack/latest/user_data", ""}
	}
	i := &instance{}
	var meta []byte
	for n, into := range []*[]byte{&meta, &i.user, &i.network} {
		if names[n] == "" {
			continue
		}
		info, err := fs.Stat(files, names[n])
		if errors.Is(err, fs.ErrNotExist) && n > 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		if info.Size() > maxFile {
			return nil, fmt.Errorf("%s has %d bytes; it may have %d", names[n], info.Size(), maxFile)
		}
		if *into, err = fs.ReadFile(files, names[n]); err != nil {
			return nil, err
		}
	}
	decode := func(b []byte, v any) error { return yaml.Unmarshal(b, v) }
	if drive {
		decode = json.Unmarshal
	}
	if err := decode(meta, &i.meta); err != nil {
		return nil, fmt.Errorf("%s: %w", names[0], err)
	}
	if i.meta.ID == "" {
		i.meta.ID = "unnamed"
	}
	if strings.HasPrefix(string(i.user), "#!") {
		i.script, i.user = i.user, nil
	}
	return i, nil
}
