package system

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ashlar/pkgtool/pkgfile"
)

// folderList is the folders of a generation's tree, and how many names each
// should hold. With it and the folders' times, what somebody else has done to a
// tree is found without reading all of it.
type folderList map[string]int

func foldersPath(number int) string { return generationDir(number) + "/folders" }

// foldersOf counts the names in the folders that packages make.
func foldersOf(manifests []*pkgfile.Manifest) folderList {
	list, seen := folderList{}, map[string]bool{}
	for _, m := range manifests {
		for i := range m.Files {
			f := &m.Files[i]
			if !inTree(f.Path) {
				continue
			}
			if f.Type == pkgfile.TypeDir {
				list[f.Path] += 0
			}
			list.add(f.Path, seen)
		}
	}
	list.add(identityPath, seen)
	return list
}

// add counts a name, and those of the folders above it, unless they were seen.
func (l folderList) add(path string, seen map[string]bool) {
	for path != "" && !seen[path] {
		seen[path] = true
		dir := folderOf(path)
		if dir != "" {
			l[dir]++
		}
		path = dir
	}
}

// successor is the list after names came and went. touched are all paths that
// either generation's changed packages have, with the folders above them.
func (l folderList) successor(touched map[string]bool, before, after *ownership) folderList {
	next := maps.Clone(l)
	for path := range touched {
		if !inTree(path) {
			continue
		}
		had, has := before.has(path), after.has(path)
		if dir := folderOf(path); dir != "" && had != has {
			if has {
				next[dir]++
			} else {
				next[dir]--
			}
		}
	}
	for path := range touched {
		if !inTree(path) {
			continue
		}
		if after.isFolder(path) {
			next[path] += 0
		} else {
			delete(next, path)
		}
	}
	return next
}

// folderOf is the folder that a path is in; "" for one at the root.
func folderOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}

func itoa(n int) string { return strconv.Itoa(n) }

// encode writes the list: a line that says of which generation it is, a line
// for each folder with the number of names in it, and the hash of all that.
func (l folderList) encode(of [32]byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "ashlar folders 1 %x\n", of)
	for _, path := range slices.Sorted(maps.Keys(l)) {
		b.WriteString(itoa(l[path]))
		b.WriteByte(' ')
		b.WriteString(path)
		b.WriteByte('\n')
	}
	b.WriteString(hexSum(b.Bytes()))
	b.WriteByte('\n')
	return b.Bytes()
}

func decodeFolders(data []byte, of [32]byte) (folderList, error) {
	const trailer = 65
	if len(data) < trailer {
		return nil, fmt.Errorf("list of folders: truncated")
	}
	body := data[:len(data)-trailer]
	if hexSum(body)+"\n" != string(data[len(body):]) {
		return nil, fmt.Errorf("list of folders: damaged")
	}
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	if lines[0] != "ashlar folders 1 "+hex.EncodeToString(of[:]) {
		return nil, fmt.Errorf("list of folders: of another generation")
	}
	list := make(folderList, len(lines))
	for _, line := range lines[1:] {
		count, path, found := strings.Cut(line, " ")
		n, err := strconv.Atoi(count)
		if !found || err != nil {
			return nil, fmt.Errorf("list of folders: line %q", line)
		}
		list[path] = n
	}
	return list, nil
}

func (d *disk) readFolders(g *Generation) (folderList, error) {
	data, err := d.readFile(foldersPath(g.Number), maxIndex)
	if err != nil {
		return nil, err
	}
	return decodeFolders(data, g.contentHash())
}
