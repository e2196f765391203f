package tree

import (
	"fmt"
	"io"
)

// Content returns a file's content. It fails instead of giving fewer or more
// bytes than the entry's size, so that no writer can place a file wrongly.
// The caller closes it.
func (n *Node) Content() (io.ReadCloser, error) {
	r, err := n.Open()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", n.Path, err)
	}
	return &exact{n: n, r: r, left: n.Size}, nil
}

type exact struct {
	n    *Node
	r    io.ReadCloser
	left int64
}

func (e *exact) Close() error { return e.r.Close() }

func (e *exact) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if e.left == 0 { // one more read: a verifying reader speaks up at its end
		var one [1]byte
		switch n, err := io.ReadFull(e.r, one[:]); {
		case n > 0:
			return 0, fmt.Errorf("read %s: longer than the %d bytes announced", e.n.Path, e.n.Size)
		case err == io.EOF:
			return 0, io.EOF
		default:
			return 0, fmt.Errorf("read %s: %w", e.n.Path, err)
		}
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	switch {
	case err == io.EOF && e.left > 0:
		return n, fmt.Errorf("read %s: %d bytes shorter than announced", e.n.Path, e.left)
	case err == io.EOF:
		return n, nil // the next call confirms the end
	case err != nil:
		return n, fmt.Errorf("read %s: %w", e.n.Path, err)
	}
	return n, nil
}

// Finish confirms that r has come to its end, for readers that took a known
// number of bytes: a verifying reader reports a wrong checksum only here.
func Finish(r io.Reader) error {
	n, err := r.Read(make([]byte, 1))
	if n == 0 && err == io.EOF {
		return nil
	}
	if err == nil || err == io.EOF {
		err = fmt.Errorf("content is longer than announced")
	}
	return err
}
