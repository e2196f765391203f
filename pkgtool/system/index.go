package system

import (
	"crypto/sha256"
	"io"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/pathindex"
)

// ownership answers who owns a path of a generation, by its path index. The
// numbers are those of the generation's packages; the one after them stands for
// what triggers made. The index has three kinds of entries, told apart by what
// follows the path: nothing for what is no folder, a slash for a folder that
// the package lists, two slashes for a folder that it only needs.
type ownership struct {
	index   *pathindex.Index
	data    []byte // the index as it is stored
	folders folderList
}

const (
	listedFolder = "/"
	neededFolder = "//"
)

func (o *ownership) file(path string) []int   { return o.index.Lookup(path) }
func (o *ownership) listed(path string) []int { return o.index.Lookup(path, listedFolder) }

// isFolder reports whether the path is a folder of the generation.
func (o *ownership) isFolder(path string) bool {
	return o.hasListed(path) || o.index.Contains(path, neededFolder)
}

// hasFile reports whether the path is something else than a folder.
func (o *ownership) hasFile(path string) bool { return o.index.Contains(path) }

// hasListed reports whether the path is a folder that a package lists.
func (o *ownership) hasListed(path string) bool { return o.index.Contains(path, listedFolder) }

// has reports whether the generation has anything at the path.
func (o *ownership) has(path string) bool { return o.hasFile(path) || o.isFolder(path) }

// indexed lists the entries of a package's files.
func indexed(m *pkgfile.Manifest) []string {
	paths := make([]string, 0, len(m.Files)*3/2)
	last := ""
	for i := range m.Files {
		f := &m.Files[i]
		if f.Type == pkgfile.TypeDir {
			paths = append(paths, f.Path+listedFolder)
		} else {
			paths = append(paths, f.Path)
		}
		// Neighbours are mostly in one folder; Merge drops other duplicates.
		if dir := folderOf(f.Path); dir != last {
			last = dir
			for ; dir != ""; dir = folderOf(dir) {
				paths = append(paths, dir+neededFolder)
			}
		}
	}
	return paths
}

func indexPath(number int) string { return generationDir(number) + "/paths" }

// ownIndexed is the tree's identity, which counts as made by triggers.
var ownIndexed = indexed(&pkgfile.Manifest{Files: []pkgfile.File{{Path: identityPath, Type: pkgfile.TypeFile}}})

// contentHash says of which lists of files an index is one.
func (g *Generation) contentHash() (sum [32]byte) {
	h := sha256.New()
	for _, r := range g.Packages {
		io.WriteString(h, r.Manifest+"\n")
	}
	io.WriteString(h, g.Generated+"\n")
	return [32]byte(h.Sum(nil))
}

// ownership reads the index of a generation. One that is missing, damaged or of
// another generation is made again from all manifests, in memory.
func (s *System) ownership(g *Generation) (*ownership, error) {
	if s.owned != nil && s.ownedOf == g.contentHash() {
		return s.owned, nil
	}
	o, err := s.readOwnership(g)
	if err != nil {
		o, err = s.rebuildOwnership(g)
	}
	if err == nil {
		s.owned, s.ownedOf = o, g.contentHash()
	}
	return o, err
}

// maxIndex bounds what is read back, in bytes.
const maxIndex = 1 << 30

func (s *System) readOwnership(g *Generation) (*ownership, error) {
	data, err := s.disk.readFile(indexPath(g.Number), maxIndex)
	if err != nil {
		return nil, err
	}
	o := &ownership{data: data}
	if o.index, err = pathindex.Open(data, g.contentHash()); err != nil {
		return nil, err
	}
	o.folders, err = s.disk.readFolders(g)
	return o, err
}

func (s *System) rebuildOwnership(g *Generation) (*ownership, error) {
	s.loadManifests(g.Packages)
	var manifests []*pkgfile.Manifest
	for _, r := range g.Packages {
		m, err := s.Manifest(r)
		if err != nil {
			return nil, err
		}
		manifests = append(manifests, m)
	}
	made, err := s.generated(g)
	if err != nil {
		return nil, err
	}
	return newOwnership(append(manifests, made), g.contentHash())
}

// newOwnership makes an index from nothing. The last manifest is that of what
// triggers made.
func newOwnership(manifests []*pkgfile.Manifest, of [32]byte) (*ownership, error) {
	added := make([]pathindex.Added, len(manifests))
	for i, m := range manifests {
		added[i] = pathindex.Added{Number: i, Paths: indexed(m)}
	}
	last := &added[len(added)-1]
	last.Paths = append(last.Paths, ownIndexed...)
	data, err := pathindex.Merge(nil, nil, added, len(manifests), of)
	if err != nil {
		return nil, err
	}
	o := &ownership{data: data}
	if o.index, err = pathindex.Open(data, of); err != nil {
		return nil, err
	}
	o.folders = foldersOf(manifests)
	return o, nil
}

// successor makes the index of a generation that follows: those packages of the
// old one stay whose manifest is in the new one. coming are the manifests of the
// others, by number.
func (o *ownership) successor(from, to *Generation, coming map[int]*pkgfile.Manifest) (*ownership, error) {
	numbers := map[string]int{}
	for i, r := range to.Packages {
		numbers[r.Manifest] = i
	}
	renumber := make([]int, len(from.Packages)+1)
	for i, r := range from.Packages {
		if n, stays := numbers[r.Manifest]; stays {
			renumber[i] = n
		} else {
			renumber[i] = pathindex.Gone
		}
	}
	renumber[len(from.Packages)] = len(to.Packages)
	if from.Generated != to.Generated {
		renumber[len(from.Packages)] = pathindex.Gone
	}
	var added []pathindex.Added
	for n, m := range coming {
		paths := indexed(m)
		if n == len(to.Packages) {
			paths = append(paths, ownIndexed...)
		}
		added = append(added, pathindex.Added{Number: n, Paths: paths})
	}
	next := &ownership{}
	var err error
	if next.data, err = pathindex.Merge(o.index, renumber, added, len(to.Packages)+1, to.contentHash()); err != nil {
		return nil, err
	}
	next.index, err = pathindex.Open(next.data, to.contentHash())
	return next, err
}
