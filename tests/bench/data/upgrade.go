package data

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// upgraded are the packages that get a new version: 14, about 35 MB.
var upgraded = []string{
	"bind9", "bind9-libs", "chrony", "curl", "libcurl4", "libssl3", "nginx", "openssh-client", "openssh-server",
	"openssl", "rsync", "sudo", "systemd", "zlib1g",
}

// changedShare is how many of an upgraded package's files change: one in.
const changedShare = 20

// changeEvery is the distance in bytes of the places where a changed file
// differs, so that no block of it stays the same.
const changeEvery = 4096

// upgrade makes the trees of the new versions: the old ones with the content
// of one file in twenty changed, at least one of each package. The order of
// the files and a fixed seed decide which.
func (m *maker) upgrade(ctx context.Context) error {
	m.say("making new versions of %d packages", len(upgraded))
	if err := os.MkdirAll(m.Path(Upgrade, "trees"), 0o755); err != nil {
		return err
	}
	byName := map[string]Entry{}
	for _, e := range m.Packages[Base] {
		byName[e.Name] = e
	}
	chosen := rand.New(rand.NewPCG(1, 2))
	for _, name := range upgraded {
		e, ok := byName[name]
		if !ok {
			return fmt.Errorf("packages.lock has no %s, which is to be upgraded", name)
		}
		e.Version, e.Bytes = "2.0.0", map[string]int64{}
		tree := m.unpacked(Upgrade, name)
		if err := run(ctx, "cp", "-a", m.unpacked(Base, name), tree); err != nil {
			return err
		}
		var files []string
		err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				if info, e := d.Info(); e == nil && info.Size() > 0 {
					files = append(files, path)
				}
			}
			return err
		})
		if err != nil {
			return err
		}
		e.Changed = min(len(files), max(1, (len(files)+changedShare/2)/changedShare))
		for _, i := range chosen.Perm(len(files))[:e.Changed] {
			if err := change(files[i]); err != nil {
				return err
			}
		}
		m.Packages[Upgrade] = append(m.Packages[Upgrade], e)
	}
	return nil
}

// change gives a file other content of the same length.
func change(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for at := 0; at < len(content); at += changeEvery {
		content[at] ^= 1
	}
	if err := os.WriteFile(path, content, info.Mode()); err != nil {
		return err
	}
	return os.Chtimes(path, info.ModTime(), info.ModTime())
}
