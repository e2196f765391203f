package iso

import (
	"fmt"

	"ashlar/iso/tree"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system"
)

var kinds = map[string]tree.Kind{pkgfile.TypeFile: tree.File, pkgfile.TypeDir: tree.Dir,
	pkgfile.TypeSymlink: tree.Symlink, pkgfile.TypeHardlink: tree.HardLink}

// rootTree returns the file tree of a system that has the packages installed,
// with the records that tell it so.
func rootTree(packages []*pkgfile.Package) ([]tree.Entry, error) {
	nodes, err := system.Tree(packages, system.TreeOptions{})
	if err != nil {
		return nil, err
	}
	entries := make([]tree.Entry, 0, len(nodes))
	for _, n := range nodes {
		kind, ok := kinds[n.Type]
		if !ok {
			return nil, fmt.Errorf("%s has the type %q, which an image cannot hold", n.Path, n.Type)
		}
		entries = append(entries, tree.Entry{Path: n.Path, Kind: kind, Perm: n.Mode, UID: n.UID, GID: n.GID, ModTime: n.Time,
			Size: n.Size, Digest: n.SHA256, Target: n.Target, Xattrs: n.Xattrs, Open: n.Open})
	}
	return entries, nil
}
