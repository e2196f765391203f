package tree

import (
	"io"
	"io/fs"
	"path"
	"sort"
	"time"
)

// FS shows entries as a file system to read from: regular files, hard links to
// them, and folders. Links are not followed: opening a symbolic link or a device is
// [fs.ErrInvalid].
func FS(entries []Entry) (fs.FS, error) {
	t, err := Of(entries)
	if err != nil {
		return nil, err
	}
	v := view{".": t.Root}
	for _, n := range t.Nodes {
		v[n.Path] = n
	}
	return v, nil
}

type view map[string]*Node

// Open implements [fs.FS].
func (v view) Open(name string) (fs.File, error) {
	refuse := func(err error) error { return &fs.PathError{Op: "open", Path: name, Err: err} }
	if !fs.ValidPath(name) {
		return nil, refuse(fs.ErrInvalid)
	}
	n := v[name]
	if n == nil {
		return nil, refuse(fs.ErrNotExist)
	}
	if n.IsDir() {
		d := &openDir{info: info{n}, rest: append([]*Node(nil), n.Children...)}
		sort.Slice(d.rest, func(i, j int) bool { return d.rest[i].Name < d.rest[j].Name })
		return d, nil
	}
	file := n
	if n.Link != nil {
		file = n.Link
	}
	if file.Kind != File {
		return nil, refuse(fs.ErrInvalid)
	}
	content, err := file.Content()
	if err != nil {
		return nil, refuse(err)
	}
	return &openFile{content, info{n}}, nil
}

type openFile struct {
	io.ReadCloser
	info info
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }

type openDir struct {
	info info
	rest []*Node
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.n.Path, Err: fs.ErrInvalid}
}

// ReadDir implements [fs.ReadDirFile].
func (d *openDir) ReadDir(count int) ([]fs.DirEntry, error) {
	if count > 0 && len(d.rest) == 0 {
		return nil, io.EOF
	}
	if count <= 0 || count > len(d.rest) {
		count = len(d.rest)
	}
	var list []fs.DirEntry
	for _, n := range d.rest[:count] {
		list = append(list, fs.FileInfoToDirEntry(info{n}))
	}
	d.rest = d.rest[count:]
	return list, nil
}

type info struct{ n *Node }

var fsTypes = map[Kind]fs.FileMode{Dir: fs.ModeDir, Symlink: fs.ModeSymlink, CharDevice: fs.ModeDevice | fs.ModeCharDevice, BlockDevice: fs.ModeDevice, FIFO: fs.ModeNamedPipe}

func (i info) Name() string       { return path.Base(i.n.Path) }
func (i info) ModTime() time.Time { return time.Unix(i.n.ModTime, 0) }
func (i info) IsDir() bool        { return i.n.IsDir() }
func (i info) Sys() any           { return i.n }

func (i info) Size() int64 {
	if i.n.Link != nil {
		return i.n.Link.Size
	}
	return i.n.Size
}

func (i info) Mode() fs.FileMode { return fsTypes[i.n.Kind] | fs.FileMode(i.n.Perm&0o777) }
