package tree

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"sort"
	"strings"
)

// Kind is the type of an entry.
type Kind uint8

// The kinds of entries.
const (
	File Kind = iota
	Dir
	Symlink
	HardLink // another name of the regular file at Target
	CharDevice
	BlockDevice
	FIFO
)

// modeType gives the file type bits of st_mode.
var modeType = [...]uint32{File: 0o100000, Dir: 0o040000, Symlink: 0o120000, HardLink: 0o100000,
	CharDevice: 0o020000, BlockDevice: 0o060000, FIFO: 0o010000}

// Limits that hold for every format. They are Linux's own.
const (
	MaxName = 255
	MaxPath = 4095
)

// Entry is one file, folder, link or device.
type Entry struct {
	Path         string // relative, clean, slash separated; "." is the root
	Kind         Kind
	Perm         uint32 // the twelve permission bits
	UID, GID     uint32
	ModTime      int64  // seconds since 1970
	Target       string // of a Symlink: its text; of a HardLink: the path of the file
	Major, Minor uint32 // of a device
	Xattrs       map[string][]byte
	Size         int64  // of a File: exactly as many bytes as Open gives
	Digest       string // of a File: identifies the content, if known; equal digests are written once
	Open         func() (io.ReadCloser, error)
}

// Bytes returns an Open for content in memory.
func Bytes(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// Node is an entry in its place.
type Node struct {
	Entry
	Name     string // last element of the path; "" for the root
	Parent   *Node  // the root is its own parent
	Children []*Node
	Link     *Node // of a HardLink: the file
	Links    int   // st_nlink: names of a file, or 2 + sub-folders
}

// Mode returns st_mode: file type and permission bits.
func (n *Node) Mode() uint32 { return modeType[n.Kind] | n.Perm }

// IsDir reports whether the node is a folder.
func (n *Node) IsDir() bool { return n.Kind == Dir }

// Tree is a checked tree.
type Tree struct {
	Root  *Node
	Nodes []*Node // every node once, a folder directly before what is below it
}

// Of checks entries and builds their tree. A folder on the way to an entry
// that is not listed itself is made with mode 0755, owner 0 and the time of
// the first entry that needs it.
func Of(entries []Entry) (*Tree, error) {
	sorted := make([]*Node, len(entries))
	for i, e := range entries {
		if err := check(&e); err != nil {
			return nil, err
		}
		sorted[i] = &Node{Entry: e, Links: 1}
	}
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].Path < sorted[j].Path })
	root := &Node{Entry: Entry{Path: ".", Kind: Dir, Perm: 0o755}}
	nodes := make(map[string]*Node, len(sorted)+1)
	nodes["."] = root
	for _, n := range sorted {
		if n.Path == "." {
			if root.Parent != nil {
				return nil, fmt.Errorf("tree: the root stands twice")
			}
			root.Entry, root.Parent = n.Entry, root
			continue
		}
		if err := insert(nodes, n); err != nil {
			return nil, err
		}
	}
	root.Parent = root
	t := &Tree{Root: root, Nodes: make([]*Node, 0, len(nodes))}
	t.order(root)
	for _, n := range t.Nodes {
		if n.Kind != HardLink {
			continue
		}
		file := nodes[n.Target]
		if file == nil || file.Kind != File {
			return nil, fmt.Errorf("tree: %s is a hard link to %s, which is not a file of this tree", n.Path, n.Target)
		}
		n.Link = file
		file.Links++
	}
	for _, n := range t.Nodes {
		if n.Kind == HardLink {
			n.Links = n.Link.Links
		}
	}
	return t, nil
}

func check(e *Entry) error {
	clean := e.Path == path.Clean(e.Path) && !path.IsAbs(e.Path) && e.Path != ".." &&
		!strings.HasPrefix(e.Path, "../") && !strings.Contains(e.Path, "\x00")
	switch {
	case !clean:
		return fmt.Errorf("tree: path %q is not clean and relative", e.Path)
	case len(e.Path) > MaxPath || len(path.Base(e.Path)) > MaxName:
		return fmt.Errorf("tree: path %q is longer than Linux allows", e.Path)
	case int(e.Kind) >= len(modeType):
		return fmt.Errorf("tree: %s has an unknown kind", e.Path)
	case e.Path == "." && e.Kind != Dir:
		return fmt.Errorf("tree: the root is not a folder")
	case e.Perm&^0o7777 != 0:
		return fmt.Errorf("tree: %s has bits beside the permission bits in its mode %o", e.Path, e.Perm)
	case e.Kind == File && (e.Size < 0 || e.Open == nil):
		return fmt.Errorf("tree: %s has no content", e.Path)
	case e.Kind == Symlink && (e.Target == "" || len(e.Target) > MaxPath || strings.Contains(e.Target, "\x00")):
		return fmt.Errorf("tree: symbolic link %s has the impossible target %q", e.Path, e.Target)
	}
	return nil
}

func insert(nodes map[string]*Node, n *Node) error {
	if nodes[n.Path] != nil {
		return fmt.Errorf("tree: %s stands twice", n.Path)
	}
	dir := path.Dir(n.Path)
	parent := nodes[dir]
	if parent == nil {
		parent = &Node{Entry: Entry{Path: dir, Kind: Dir, Perm: 0o755, ModTime: n.ModTime}}
		if err := insert(nodes, parent); err != nil {
			return err
		}
	}
	if parent.Kind != Dir {
		return fmt.Errorf("tree: %s is below %s, which is not a folder", n.Path, parent.Path)
	}
	n.Name, n.Parent = path.Base(n.Path), parent
	parent.Children = append(parent.Children, n)
	nodes[n.Path] = n
	return nil
}

func (t *Tree) order(n *Node) {
	t.Nodes = append(t.Nodes, n)
	if n.Kind != Dir {
		return
	}
	sort.Slice(n.Children, func(i, j int) bool { return n.Children[i].Name < n.Children[j].Name })
	n.Links = 2
	for _, c := range n.Children {
		if c.Kind == Dir {
			n.Links++
		}
		t.order(c)
	}
}
