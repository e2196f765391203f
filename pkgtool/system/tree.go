package system

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/pkgfile"
)

// Node is one path of a file tree as data.
type Node struct {
	Path     string // relative, clean
	Type     string // file, dir, symlink, hardlink: as in pkgfile
	Mode     uint32 // permission, setuid, setgid and sticky bits
	UID, GID uint32
	Time     int64  // modification time, seconds since 1970
	Size     int64  // of a file
	SHA256   string // of a file's content
	Target   string // symlink: its text; hardlink: the path of a file of the tree
	Xattrs   map[string][]byte
	Open     func() (io.ReadCloser, error) // a file's content, verified
}

// TreeOptions describe the generation that a tree begins with.
type TreeOptions struct {
	Reason string // default: "image"
	Repo   string // noted as where the packages come from

	// Requested are the names of the packages that were asked for; the others
	// are there because these need them. nil means all.
	Requested []string
}

// Tree returns the files of a system on which exactly these packages are
// installed, sorted by path, so that a folder comes before what is in it,
// without touching any disk. Together with the packages' files it holds the
// records of generation 1, so that the system knows what is installed. The
// result depends on the packages only: the newest package's time is the
// generation's. The packages must stay open while content is read.
func Tree(packages []*pkgfile.Package, opts TreeOptions) ([]Node, error) {
	var manifests []*pkgfile.Manifest
	byManifest := map[*pkgfile.Manifest]*pkgfile.Package{}
	names := newOwners()
	for _, p := range packages {
		m := p.Manifest()
		if other := slices.IndexFunc(manifests, func(o *pkgfile.Manifest) bool { return o.Name == m.Name }); other >= 0 {
			return nil, fmt.Errorf("package %s is given twice", m.Name)
		}
		manifests = append(manifests, m)
		byManifest[m] = p
		if err := names.addPackage(p); err != nil {
			return nil, err
		}
	}
	all, err := claimAll(manifests)
	if err != nil {
		return nil, err
	}
	nodes, newest, err := stateNodes(packages, opts)
	if err != nil {
		return nil, err
	}
	for path, c := range all {
		n, err := node(c.file, byManifest[c.owner], names)
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", c.owner.Name, err)
		}
		n.Path = path
		nodes = append(nodes, n)
	}
	for _, path := range all.missingFolders() {
		nodes = append(nodes, Node{Path: path, Type: pkgfile.TypeDir, Mode: 0o755, Time: newest})
	}
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.Path, b.Path) })
	return nodes, nil
}

func node(f *pkgfile.File, p *pkgfile.Package, names *owners) (Node, error) {
	n := Node{Type: f.Type, Mode: f.Mode, Time: p.Manifest().Provenance.Epoch, Target: f.Target, Xattrs: f.Xattrs}
	if f.Type == pkgfile.TypeHardlink { // everything but the name is the target's
		return n, nil
	}
	var err error
	if n.UID, n.GID, err = names.of(f); err != nil {
		return n, err
	}
	if f.Type == pkgfile.TypeFile {
		n.Size, n.SHA256 = f.Size, f.SHA256
		n.Open = func() (io.ReadCloser, error) { return p.OpenFrameFile(f) }
	}
	return n, nil
}

// stateNodes returns the nodes of /.ashlar and the time of the newest package.
func stateNodes(packages []*pkgfile.Package, opts TreeOptions) ([]Node, int64, error) {
	g := &Generation{Format: formatVersion, Number: 1, Reason: opts.Reason, Packages: []Record{}}
	if g.Reason == "" {
		g.Reason = "image"
	}
	var newest int64
	for _, p := range packages {
		requested := opts.Requested == nil || slices.Contains(opts.Requested, p.Manifest().Name)
		r, err := newRecord(p, opts.Repo, requested)
		if err != nil {
			return nil, 0, err
		}
		g.Packages = append(g.Packages, r)
		newest = max(newest, p.Manifest().Provenance.Epoch)
	}
	sortRecords(g.Packages)
	g.Time = time.Unix(newest, 0).UTC()
	record, err := g.encode()
	if err != nil {
		return nil, 0, err
	}
	folder := func(path string, mode uint32) Node {
		return Node{Path: path, Type: pkgfile.TypeDir, Mode: mode, Time: newest}
	}
	file := func(path string, data []byte) Node {
		return Node{Path: path, Type: pkgfile.TypeFile, Mode: 0o644, Time: newest, Size: int64(len(data)),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
	}
	nodes := []Node{
		folder(stateDir, 0o755), folder(generationsDir, 0o755), folder(generationsDir+"/1", 0o755), folder(manifestsDir, 0o755),
		file(generationPath(1), record),
		{Path: currentPath, Type: pkgfile.TypeSymlink, Mode: 0o777, Time: newest, Target: "generations/1"},
	}
	for _, p := range packages {
		nodes = append(nodes, file(manifestPath(p.ManifestSHA256()), p.ManifestBytes()))
	}
	return nodes, newest, nil
}
