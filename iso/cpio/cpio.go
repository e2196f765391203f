package cpio

import (
	"context"
	"fmt"
	"io"
	"math"

	"ashlar/iso/tree"
)

// trailer is the name that ends an archive.
const trailer = "TRAILER!!!"

// endAlign is the archive's size unit: the block size that cpio programs expect.
const endAlign = 512

type writer struct {
	w   io.Writer
	n   int64
	err error
}

// Write writes an archive of entries to w. The root folder itself is not a
// member. Files of 4 GiB and more are refused: the format cannot hold them.
func Write(ctx context.Context, w io.Writer, entries []tree.Entry) error {
	t, err := tree.Of(entries)
	if err != nil {
		return err
	}
	c := &writer{w: w}
	inode := map[*tree.Node]uint32{}
	for i, n := range t.Nodes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n == t.Root {
			continue
		}
		number, again := uint32(i), false
		file := n
		if n.Link != nil {
			file = n.Link
		}
		if file.Kind == tree.File { // links share the number; the first name brings the content
			if number, again = inode[file]; !again {
				number = uint32(i)
				inode[file] = number
			}
		}
		if err := c.member(n, file, number, again); err != nil {
			return fmt.Errorf("cpio: %s: %w", n.Path, err)
		}
	}
	c.header(trailer, 0, 0, 0, 0, 1, 0, 0, 0, 0)
	c.align(endAlign)
	return c.err
}

func (c *writer) member(n, file *tree.Node, inode uint32, again bool) error {
	size := int64(0)
	switch {
	case file.Kind == tree.Symlink:
		size = int64(len(file.Target))
	case file.Kind == tree.File && !again:
		size = file.Size
	}
	if size > math.MaxUint32 {
		return fmt.Errorf("%d bytes; this format ends at 4 GiB", size)
	}
	if file.Xattrs != nil {
		return fmt.Errorf("has extended attributes, which this format cannot hold")
	}
	mtime := uint32(min(max(file.ModTime, 0), math.MaxUint32))
	c.header(n.Path, inode, file.Mode(), file.UID, file.GID, uint32(file.Links), mtime, uint32(size), file.Major, file.Minor)
	switch {
	case file.Kind == tree.Symlink:
		c.Write([]byte(file.Target))
	case size > 0:
		r, err := file.Content()
		if err != nil {
			return err
		}
		defer r.Close()
		if _, err := io.Copy(c, r); err != nil {
			return err
		}
	}
	c.align(4)
	return c.err
}

func (c *writer) header(name string, inode, mode, uid, gid, links, mtime, size, major, minor uint32) {
	fmt.Fprintf(c, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		inode, mode, uid, gid, links, mtime, size, 0, 0, major, minor, len(name)+1, 0, name)
	c.align(4)
}

func (c *writer) align(to int64) { c.Write(make([]byte, (to-c.n%to)%to)) }

// Write counts bytes and keeps the first error.
func (c *writer) Write(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.err = err
	return n, err
}
