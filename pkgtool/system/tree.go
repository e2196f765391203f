package system

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/sysusers"
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
	for _, p := range packages {
		m := p.Manifest()
		if slices.ContainsFunc(manifests, func(o *pkgfile.Manifest) bool { return o.Name == m.Name && o.FileName() == m.FileName() }) {
			return nil, fmt.Errorf("package %s is given twice", m.Name)
		}
		manifests = append(manifests, m)
		byManifest[m] = p
	}
	all, err := claimAll(manifests)
	if err != nil {
		return nil, err
	}
	accounts, names, err := treeAccounts(all, byManifest)
	if err != nil {
		return nil, err
	}
	g, err := firstGeneration(packages, opts, names)
	if err != nil {
		return nil, err
	}
	newest := g.Time.Unix()
	nodes, err := stateNodes(packages, g)
	if err != nil {
		return nil, err
	}
	t := &treeNodes{names: names, nodes: nodes, newest: newest, objects: map[string]bool{}}
	for path, c := range all {
		if err := t.add(path, c, byManifest[c.owner], accounts); err != nil {
			return nil, fmt.Errorf("package %s: %w", c.owner.Name, err)
		}
	}
	for path, text := range accounts {
		if _, owned := all[path]; !owned {
			t.nodes = append(t.nodes, textNode(path, text, newest, accountMode(path)))
		}
	}
	all[identityPath] = claim{}
	for _, path := range all.missingFolders() {
		t.nodes = append(t.nodes, Node{Path: path, Type: pkgfile.TypeDir, Mode: 0o755, Time: treeTimeOf(path, newest)})
	}
	t.nodes = append(t.nodes, textNode(identityPath, []byte(g.identity+"\n"), treeTime, 0o644))
	slices.SortFunc(t.nodes, func(a, b Node) int { return strings.Compare(a.Path, b.Path) })
	return t.nodes, nil
}

// treeNodes gathers the nodes of a tree.
type treeNodes struct {
	names   *owners
	nodes   []Node
	newest  int64
	objects map[string]bool // folders of the store and objects so far
}

// add adds a path of a package. Of configuration files the store has the text
// too, since an administrator's edits are merged with the help of it.
func (t *treeNodes) add(path string, c claim, p *pkgfile.Package, accounts map[string][]byte) error {
	n, err := node(c.file, p, t.names)
	if err != nil {
		return err
	}
	n.Path = path
	if n.Type == pkgfile.TypeDir || n.Type == pkgfile.TypeSymlink {
		n.Time = treeTimeOf(path, n.Time)
	}
	if isConfig(c.file) && c.file.Size > 0 {
		if err := t.addObject(c, n); err != nil {
			return err
		}
	}
	if text, changed := accounts[path]; changed {
		text := textNode(path, text, n.Time, n.Mode)
		n.Size, n.SHA256, n.Open = text.Size, text.SHA256, text.Open
	}
	t.nodes = append(t.nodes, n)
	return nil
}

func (t *treeNodes) addObject(c claim, n Node) error {
	o, err := t.names.object(entry{&member{manifest: c.owner}, c.file, c.file})
	if err != nil {
		return err
	}
	n.Path = objectPath(o.Key())
	for _, dir := range []string{folderOf(folderOf(n.Path)), folderOf(n.Path)} {
		if !t.objects[dir] {
			t.objects[dir] = true
			t.nodes = append(t.nodes, Node{Path: dir, Type: pkgfile.TypeDir, Mode: 0o700, Time: t.newest})
		}
	}
	if !t.objects[n.Path] {
		t.objects[n.Path] = true
		t.nodes = append(t.nodes, n)
	}
	return nil
}

// treeTimeOf is the time of a folder or symbolic link.
func treeTimeOf(path string, other int64) int64 {
	if inTree(path) {
		return treeTime
	}
	return other
}

// treeAccounts gives users and groups numbers, and returns the texts of
// etc/passwd and its like that no package brings as they are.
func treeAccounts(all claims, packages map[*pkgfile.Manifest]*pkgfile.Package) (map[string][]byte, *owners, error) {
	text := func(path string) ([]byte, error) {
		c, ok := all[path]
		if !ok || c.file.Type != pkgfile.TypeFile {
			return nil, nil
		}
		return readContent(packages[c.owner], c.file)
	}
	var now sysusers.Texts
	for _, t := range accountTexts(&now) {
		var err error
		if *t.text, err = text(t.path); err != nil {
			return nil, nil, err
		}
	}
	var conf []sysusers.Conf
	for _, path := range all.paths() {
		if folderOf(path) != sysusersDir || !strings.HasSuffix(path, ".conf") || all[path].file.Type != pkgfile.TypeFile {
			continue
		}
		data, err := text(path)
		if err != nil {
			return nil, nil, err
		}
		conf = append(conf, sysusers.Conf{Name: path, Text: data})
	}
	next, _, err := sysusers.Allocate(conf, now)
	if err != nil {
		return nil, nil, err
	}
	names := newOwners()
	names.mine = false // an image is written by nobody in particular
	names.addFile(passwdPath, next.Passwd)
	names.addFile(groupPath, next.Group)
	changed := map[string][]byte{}
	before := accountTexts(&now)
	for i, t := range accountTexts(&next) {
		if !bytes.Equal(*t.text, *before[i].text) {
			changed[t.path] = *t.text
		}
	}
	return changed, names, nil
}

func accountMode(path string) uint32 {
	for _, t := range accountTexts(&sysusers.Texts{}) {
		if t.path == path {
			return t.mode
		}
	}
	return 0o644
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

// firstGeneration is what an image says of itself.
func firstGeneration(packages []*pkgfile.Package, opts TreeOptions, names *owners) (*Generation, error) {
	g := &Generation{Format: formatVersion, Number: 1, Reason: opts.Reason, Packages: []Record{}}
	if g.Reason == "" {
		g.Reason = "image"
	}
	var newest int64
	var members []*member
	for _, p := range packages {
		requested := opts.Requested == nil || slices.Contains(opts.Requested, p.Manifest().Name)
		r, err := newRecord(p, opts.Repo, requested)
		if err != nil {
			return nil, err
		}
		g.Packages = append(g.Packages, r)
		members = append(members, &member{manifest: p.Manifest()})
		newest = max(newest, p.Manifest().Provenance.Epoch)
	}
	sortRecords(g.Packages)
	g.Time = time.Unix(newest, 0).UTC()
	names.note(g, entriesOf(members, nil))
	return g, nil
}

// stateNodes returns the nodes of /.ashlar. It settles the generation's
// identity.
func stateNodes(packages []*pkgfile.Package, g *Generation) ([]Node, error) {
	record, err := g.encode()
	if err != nil {
		return nil, err
	}
	newest := g.Time.Unix()
	folder := func(path string, mode uint32) Node {
		return Node{Path: path, Type: pkgfile.TypeDir, Mode: mode, Time: newest}
	}
	nodes := []Node{
		folder(stateDir, 0o755), folder(generationsDir, 0o755), folder(generationDir(1), 0o755), folder(manifestsDir, 0o755),
		textNode(generationPath(1), record, newest, 0o644),
		{Path: currentPath, Type: pkgfile.TypeSymlink, Mode: 0o777, Time: newest, Target: "generations/1"},
	}
	byHash := map[string]*pkgfile.Manifest{}
	for _, p := range packages {
		byHash[p.ManifestSHA256()] = p.Manifest()
		nodes = append(nodes, textNode(manifestPath(p.ManifestSHA256()), p.ManifestBytes(), newest, 0o644))
	}
	manifests := make([]*pkgfile.Manifest, 0, len(g.Packages)+1)
	for _, r := range g.Packages {
		manifests = append(manifests, byHash[r.Manifest])
	}
	o, err := newOwnership(append(manifests, &pkgfile.Manifest{}), g.contentHash())
	if err != nil {
		return nil, err
	}
	return append(nodes, textNode(indexPath(1), o.data, newest, 0o644),
		textNode(foldersPath(1), o.folders.encode(g.contentHash()), newest, 0o644)), nil
}

// textNode is a file of root's.
func textNode(path string, data []byte, seconds int64, mode uint32) Node {
	return Node{Path: path, Type: pkgfile.TypeFile, Mode: mode, Time: seconds, Size: int64(len(data)), SHA256: hexSum(data),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
}
