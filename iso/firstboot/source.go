package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"golang.org/x/sys/unix"
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

// source is a block device with the data of a cloud.
type source struct {
	device, kind string
	drive        bool // a config drive, not NoCloud
}

// findSource looks at all block devices; nil means that there is none.
func findSource(sys, dev string) (*source, error) {
	names, err := os.ReadDir(sys)
	if err != nil {
		return nil, fmt.Errorf("look for block devices: %w", err)
	}
	for _, n := range names {
		device := filepath.Join(dev, n.Name())
		kind, label := readLabel(device)
		switch {
		case strings.EqualFold(label, "cidata"):
			return &source{device, kind, false}, nil
		case strings.EqualFold(label, "config-2"):
			return &source{device, kind, true}, nil
		}
	}
	return nil, nil
}

// readLabel returns kind and label of an ISO 9660, FAT or ext file system.
func readLabel(device string) (kind, label string) {
	f, err := os.Open(device)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	at := func(offset int64, n int) string {
		b := make([]byte, n)
		if _, err := f.ReadAt(b, offset); err != nil {
			return ""
		}
		return strings.TrimRight(string(b), " \x00")
	}
	switch {
	case at(16*2048, 6) == "\x01CD001":
		return "iso9660", at(16*2048+40, 32)
	case at(54, 3) == "FAT":
		return "vfat", at(43, 11)
	case at(82, 5) == "FAT32":
		return "vfat", at(71, 11)
	case at(1024+0x38, 2) == "\x53\xef":
		return "ext4", at(1024+0x78, 16)
	}
	return "", ""
}

// read mounts the source and reads its files.
func (s *source) read() (*instance, error) {
	dir, err := os.MkdirTemp("/run", "ashlar-firstboot-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(dir)
	if err := unix.Mount(s.device, dir, s.kind, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return nil, fmt.Errorf("mount %s: %w", s.device, err)
	}
	defer unix.Unmount(dir, 0)
	return readInstance(os.DirFS(dir), s.drive)
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
