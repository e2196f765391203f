package fat

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"

	"ashlar/iso/tree"
)

const (
	sector      = 512
	direntSize  = 32
	rootEntries = 512 // of FAT16's fixed root folder
	fats        = 2

	minFAT16 = 4085 + 16 // clusters; 16 away from the border, as the specification advises
	maxFAT16 = 65524 - 16
	minFAT32 = 65525 + 16
	maxFAT32 = 1 << 22 // keeps the tables below 16 MiB
)

var le = binary.LittleEndian

// Options of a file system.
type Options struct {
	Label    string    // up to 11 characters of A-Z, 0-9, space, _ and -
	VolumeID uint32    //
	Time     time.Time // of every file; FAT knows 1980 to 2107
	Size     int64     // bytes; 0 is the smallest multiple of 1 MiB that fits
}

// FileSystem is a file system whose layout is decided and that can be written.
type FileSystem struct {
	opt     Options
	root    *node
	fat32   bool
	sectors uint32 // of the whole file system
	cluster uint32 // sectors per cluster
	tables  uint32 // sectors per FAT
	count   uint32 // clusters
	used    uint32 // clusters that files and folders take
}

// node is a file or folder and its run of clusters.
type node struct {
	*tree.Node
	children []*node
	parent   *node
	first    uint32 // first cluster; 0 for none
	length   uint32 // clusters
	short    [11]byte
	long     bool // needs long-name entries
}

// New checks entries and lays the file system out.
func New(entries []tree.Entry, opt Options) (*FileSystem, error) {
	if err := checkLabel(opt.Label); err != nil {
		return nil, err
	}
	t, err := tree.Of(entries)
	if err != nil {
		return nil, err
	}
	root, err := convert(t.Root, nil)
	if err != nil {
		return nil, fmt.Errorf("fat: %w", err)
	}
	if opt.Size != 0 {
		return layout(root, opt)
	}
	const step = 1 << 20
	content := int64(0)
	for _, n := range t.Nodes {
		content += n.Size
	}
	for opt.Size = content/step*step + 3*step; ; opt.Size += step + opt.Size/step/16*step {
		fs, err := layout(root, opt)
		if err == nil || opt.Size > 2*content+64*step {
			return fs, err
		}
	}
}

func checkLabel(label string) error {
	for _, c := range label {
		ok := c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == ' ' || c == '_' || c == '-'
		if !ok {
			return fmt.Errorf("fat: label %q has a character beside A-Z, 0-9, space, _ and -", label)
		}
	}
	if label == "" || len(label) > 11 {
		return fmt.Errorf("fat: label %q is not of 1 to 11 characters", label)
	}
	return nil
}

func convert(t *tree.Node, parent *node) (*node, error) {
	if t.Kind != tree.File && t.Kind != tree.Dir {
		return nil, fmt.Errorf("%s is neither a file nor a folder, which is all that FAT knows", t.Path)
	}
	if t.Size > math.MaxUint32 {
		return nil, fmt.Errorf("%s has %d bytes; FAT ends at 4 GiB", t.Path, t.Size)
	}
	n := &node{Node: t, parent: parent}
	for _, c := range t.Children {
		child, err := convert(c, n)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, child)
	}
	return n, n.nameChildren()
}

// layout chooses the kind of FAT and the cluster size, then gives every file
// and folder its clusters.
func layout(root *node, opt Options) (*FileSystem, error) {
	if opt.Size%sector != 0 || opt.Size/sector > math.MaxUint32 {
		return nil, fmt.Errorf("fat: size %d is not a number of 512-byte sectors that FAT can count", opt.Size)
	}
	fs := &FileSystem{opt: opt, root: root, sectors: uint32(opt.Size / sector)}
	if !fs.choose() {
		return nil, fmt.Errorf("fat: %d bytes is not a size for FAT16 or FAT32; from 3 MiB on it is", opt.Size)
	}
	next := uint32(2)
	fs.allocate(root, &next)
	fs.used = next - 2
	if fs.used > fs.count {
		return nil, fmt.Errorf("fat: content needs %d clusters and %d bytes hold %d", fs.used, opt.Size, fs.count)
	}
	if !fs.fat32 && root.listingSize() > rootEntries*direntSize {
		return nil, fmt.Errorf("fat: too many names in the root folder")
	}
	return fs, nil
}

func (fs *FileSystem) choose() bool {
	for _, fs.fat32 = range []bool{false, true} {
		low, high := uint32(minFAT16), uint32(maxFAT16)
		if fs.fat32 {
			low, high = minFAT32, maxFAT32
		}
		for fs.cluster = 1; fs.cluster <= 64; fs.cluster *= 2 {
			if fs.fit() && fs.count >= low && fs.count <= high && (fs.fat32 || fs.cluster <= 4) {
				return true
			}
		}
	}
	return false
}

// fit computes how many clusters, with the tables for them, the size holds.
func (fs *FileSystem) fit() bool {
	width := uint32(2)
	if fs.fat32 {
		width = 4
	}
	fixed := fs.reserved() + fs.rootSectors()
	for fs.tables = 1; ; fs.tables++ {
		if fixed+fats*fs.tables+fs.cluster > fs.sectors {
			return false
		}
		fs.count = (fs.sectors - fixed - fats*fs.tables) / fs.cluster
		if need := ((fs.count+2)*width + sector - 1) / sector; need <= fs.tables {
			return true
		} else if need > fs.tables+8 {
			fs.tables = need - 8
		}
	}
}

func (fs *FileSystem) reserved() uint32 {
	if fs.fat32 {
		return 32
	}
	return 1
}

func (fs *FileSystem) rootSectors() uint32 {
	if fs.fat32 {
		return 0
	}
	return rootEntries * direntSize / sector
}

// allocate gives n and what is below it consecutive clusters, in the order in
// which they are written.
func (fs *FileSystem) allocate(n *node, next *uint32) {
	size := n.Size
	if n.IsDir() {
		size = int64(n.listingSize())
	}
	n.first, n.length = 0, 0
	if n != fs.root || fs.fat32 {
		unit := int64(fs.cluster) * sector
		n.length = uint32((size + unit - 1) / unit)
	}
	if n.length > 0 {
		n.first = *next
		*next += n.length
	}
	for _, c := range n.children {
		fs.allocate(c, next)
	}
}

// Size returns the file system's size in bytes.
func (fs *FileSystem) Size() int64 { return int64(fs.sectors) * sector }

// Write writes the file system to w.
func (fs *FileSystem) Write(ctx context.Context, w io.Writer) error {
	buffer := bufio.NewWriterSize(w, 64<<10)
	c := &counter{w: buffer}
	c.Write(fs.bootSectors())
	for range fats {
		fs.writeTable(c)
	}
	if !fs.fat32 {
		c.Write(fs.listing(fs.root))
		c.padTo(int64(fs.reserved()+fats*fs.tables+fs.rootSectors()) * sector)
	}
	if err := fs.writeNode(ctx, c, fs.root); err != nil {
		return fmt.Errorf("fat: %w", err)
	}
	c.padTo(fs.Size())
	if c.err != nil {
		return c.err
	}
	return buffer.Flush()
}

func (fs *FileSystem) writeNode(ctx context.Context, c *counter, n *node) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if n.length > 0 {
		end := c.n + int64(n.length)*int64(fs.cluster)*sector
		if n.IsDir() {
			c.Write(fs.listing(n))
		} else if err := copyContent(c, n.Node); err != nil {
			return err
		}
		c.padTo(end)
	}
	for _, child := range n.children {
		if err := fs.writeNode(ctx, c, child); err != nil {
			return err
		}
	}
	return c.err
}

func copyContent(w io.Writer, n *tree.Node) error {
	r, err := n.Content()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

// writeTable writes one file allocation table: every run links each cluster to
// the next and ends with the end mark.
func (fs *FileSystem) writeTable(c *counter) {
	end := c.n + int64(fs.tables)*sector
	entry := func(v uint32) {
		if fs.fat32 {
			c.Write(le.AppendUint32(nil, v&0x0fffffff))
		} else {
			c.Write(le.AppendUint16(nil, uint16(v)))
		}
	}
	entry(0xfffffff8) // media type
	entry(0xffffffff)
	var walk func(*node)
	walk = func(n *node) {
		for i := range n.length {
			if i == n.length-1 {
				entry(0xffffffff)
			} else {
				entry(n.first + i + 1)
			}
		}
		for _, child := range n.children {
			walk(child)
		}
	}
	walk(fs.root)
	c.padTo(end)
}

// counter counts bytes and keeps the first error.
type counter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *counter) Write(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.err = err
	return n, err
}

var zeroes [64 << 10]byte

func (c *counter) padTo(end int64) {
	for c.n < end && c.err == nil {
		c.Write(zeroes[:min(end-c.n, int64(len(zeroes)))])
	}
}
