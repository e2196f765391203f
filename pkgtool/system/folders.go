package system

import (
	"fmt"
	"strconv"
	"strings"

	"ashlar/pkgtool/pkgfile"
)

// folderList is the folders of a generation's tree, and how many names each
// should hold: a line for each folder with the number and the path, in the order
// of paths. With it and the folders' times, what somebody else has done to a
// tree is found without reading all of it.
type folderList string

func foldersPath(number int) string { return generationDir(number) + "/folders" }

// foldersOf counts the names in the folders that packages make.
func foldersOf(manifests []*pkgfile.Manifest) folderList {
	counts, seen := map[string]int{}, map[string]bool{}
	name := func(path string) {
		for path != "" && !seen[path] {
			seen[path] = true
			dir := folderOf(path)
			if dir != "" {
				counts[dir]++
			}
			path = dir
		}
	}
	for _, m := range manifests {
		for i := range m.Files {
			f := &m.Files[i]
			if !inTree(f.Path) {
				continue
			}
			if f.Type == pkgfile.TypeDir {
				counts[f.Path] += 0
			}
			name(f.Path)
		}
	}
	name(identityPath)
	var b strings.Builder
	for _, path := range sortedKeys(counts) {
		writeFolder(&b, counts[path], path)
	}
	return folderList(b.String())
}

func writeFolder(b *strings.Builder, count int, path string) {
	b.WriteString(itoa(count))
	b.WriteByte(' ')
	b.WriteString(path)
	b.WriteByte('\n')
}

// folder is a line of the list.
type treeFolder struct {
	path  string
	count int
}

// all reads the list.
func (l folderList) all() []treeFolder {
	folders := make([]treeFolder, 0, l.len())
	for line := range strings.Lines(string(l)) {
		folders = append(folders, readFolder(line))
	}
	return folders
}

func readFolder(line string) treeFolder {
	count, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	n, _ := strconv.Atoi(count)
	return treeFolder{path, n}
}

func (l folderList) len() int { return strings.Count(string(l), "\n") }

// edit is what changes about a folder.
type folderEdit struct {
	path    string
	delta   int  // in the number of names
	present bool // afterwards
}

// successor is the list after names came and went. touched are all paths that
// either generation's changed packages have, with the folders above them.
func (l folderList) successor(touched map[string]bool, before, after *ownership) folderList {
	edits := map[string]*folderEdit{}
	edit := func(path string) *folderEdit {
		e := edits[path]
		if e == nil {
			e = &folderEdit{path: path, present: after.isFolder(path)}
			edits[path] = e
		}
		return e
	}
	for path := range touched {
		if !inTree(path) {
			continue
		}
		if was, is := before.isFolder(path), after.isFolder(path); was != is {
			edit(path)
		}
		if dir := folderOf(path); dir != "" {
			switch had, has := before.has(path), after.has(path); {
			case has && !had:
				edit(dir).delta++
			case had && !has:
				edit(dir).delta--
			}
		}
	}
	sorted := make([]*folderEdit, 0, len(edits))
	for _, path := range sortedKeys(edits) {
		sorted = append(sorted, edits[path])
	}
	return l.apply(sorted)
}

// apply edits the list in one pass.
func (l folderList) apply(edits []*folderEdit) folderList {
	var b strings.Builder
	b.Grow(len(l) + 64*len(edits))
	put := func(e *folderEdit, count int) {
		if e.present {
			writeFolder(&b, count+e.delta, e.path)
		}
	}
	for line := range strings.Lines(string(l)) {
		path := line[strings.IndexByte(line, ' ')+1 : len(line)-1]
		for len(edits) > 0 && edits[0].path < path {
			put(edits[0], 0)
			edits = edits[1:]
		}
		if len(edits) > 0 && edits[0].path == path {
			put(edits[0], readFolder(line).count)
			edits = edits[1:]
			continue
		}
		b.WriteString(line)
	}
	for _, e := range edits {
		put(e, 0)
	}
	return folderList(b.String())
}

// folderOf is the folder that a path is in; "" for one at the root.
func folderOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}

func itoa(n int) string { return strconv.Itoa(n) }

// encode writes the list between a line that says of which generation it is and
// the hash of all that.
func (l folderList) encode(of [32]byte) []byte {
	head := fmt.Sprintf("ashlar folders 1 %x\n", of)
	data := make([]byte, 0, len(head)+len(l)+65)
	data = append(append(data, head...), l...)
	return append(append(data, hexSum(data)...), '\n')
}

func decodeFolders(data []byte, of [32]byte) (folderList, error) {
	const trailer = 65
	if len(data) < trailer {
		return "", fmt.Errorf("list of folders: truncated")
	}
	body := data[:len(data)-trailer]
	if hexSum(body)+"\n" != string(data[len(body):]) {
		return "", fmt.Errorf("list of folders: damaged")
	}
	list, ours := strings.CutPrefix(string(body), fmt.Sprintf("ashlar folders 1 %x\n", of))
	if !ours {
		return "", fmt.Errorf("list of folders: of another generation")
	}
	return folderList(list), nil
}

func (d *disk) readFolders(g *Generation) (folderList, error) {
	data, err := d.readFile(foldersPath(g.Number), maxIndex)
	if err != nil {
		return "", err
	}
	return decodeFolders(data, g.contentHash())
}
