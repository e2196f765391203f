package iso

import (
	"fmt"
	"io"

	"ashlar/iso/tree"
	"ashlar/pkgtool/pkgfile"
)

var kinds = map[string]tree.Kind{pkgfile.TypeFile: tree.File, pkgfile.TypeDir: tree.Dir, pkgfile.TypeSymlink: tree.Symlink, pkgfile.TypeHardlink: tree.HardLink}

// rootTree returns the file tree of a system that has the packages installed.
func rootTree(packages []*pkgfile.Package, epoch int64) ([]tree.Entry, error) {
	var entries []tree.Entry
	seen := map[string]bool{}
	for _, p := range sortedPackages(packages) {
		for i := range p.Manifest().Files {
			f := &p.Manifest().Files[i]
			if seen[f.Path] {
				if f.Type == "dir" {
					continue
				}
				return nil, fmt.Errorf("%s twice", f.Path)
			}
			seen[f.Path] = true
			e := tree.Entry{Path: f.Path, Kind: kinds[f.Type], Perm: f.Mode, ModTime: epoch, Target: f.Target, Xattrs: f.Xattrs, Size: f.Size, Digest: f.SHA256}
			if f.Type == "file" {
				e.Open = func() (io.ReadCloser, error) { return p.OpenFrameFile(f) }
			}
			entries = append(entries, e)
		}
	}
	return entries, nil
}
