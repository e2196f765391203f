package pkgfile

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
)

// inputContent is the opened content of a file with its size.
type inputContent struct {
	r    io.ReadCloser
	size int64
	sum  hash.Hash
	head []byte // already read
}

func openInput(in *Input) (*inputContent, error) {
	r, err := in.Open()
	if err != nil {
		return nil, err
	}
	c := &inputContent{r: r, size: in.Size, sum: sha256.New()}
	if s, ok := r.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if info, err := s.Stat(); err == nil && info.Mode().IsRegular() {
			c.size = info.Size()
		}
	}
	if c.size == 0 { // unknown, or empty
		if err := c.measure(in); err != nil {
			r.Close()
			return nil, err
		}
	}
	if c.size > maxFileSize {
		r.Close()
		return nil, fmt.Errorf("%d bytes, more than the %d a package can hold in one file", c.size, int64(maxFileSize))
	}
	return c, nil
}

// measure finds the size of the content: by keeping what is short, by reading
// twice what is long.
func (c *inputContent) measure(in *Input) error {
	var head bytes.Buffer
	n, err := io.CopyN(&head, c.r, bigFrame)
	if err == io.EOF {
		c.size, c.head = n, head.Bytes()
		return nil
	}
	if err != nil {
		return err
	}
	rest, err := io.Copy(io.Discard, io.LimitReader(c.r, maxFileSize))
	if err != nil {
		return err
	}
	c.r.Close()
	c.size = n + rest
	c.r, err = in.Open()
	return err
}

// copy puts the content through w's buffer, cutting frames at bigFrame.
func (c *inputContent) copy(w *frameWriter) error {
	r := io.MultiReader(bytes.NewReader(c.head), c.r)
	for left := c.size; left > 0; {
		n := int(min(left, int64(bigFrame-len(w.buf)), 256<<10))
		w.buf = slices.Grow(w.buf, n)
		part := w.buf[len(w.buf) : len(w.buf)+n]
		if _, err := io.ReadFull(r, part); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				return errors.New("shrank while it was packed")
			}
			return err
		}
		c.sum.Write(part)
		w.buf = w.buf[:len(w.buf)+n]
		left -= int64(n)
		if len(w.buf) == bigFrame {
			if err := w.emit(); err != nil {
				return err
			}
		}
	}
	var one [1]byte
	if n, err := r.Read(one[:]); n > 0 || err != nil && err != io.EOF {
		return cmp.Or(err, errors.New("grew while it was packed, or its size was given wrong"))
	}
	return nil
}

func (c *inputContent) close() { c.r.Close() }
