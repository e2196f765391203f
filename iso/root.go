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
func rootTree(image *Image, packages []*pkgfile.Package) ([]tree.Entry, error) {
	asked, err := image.Dependencies()
	if err != nil {
		return nil, err
	}
	options := system.TreeOptions{Requested: []string{}}
	for _, d := range asked {
		options.Requested = append(options.Requested, d.Name)
	}
	// With several repositories nobody can say which one a package came from.
	if len(image.Repositories) == 1 {
		options.Repo = image.Repositories[0].Name
	}
	nodes, err := system.Tree(packages, options)
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
