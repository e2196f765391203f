package squashfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"ashlar/iso/tree"
)

// fragment is the place of a block of tails.
type fragment struct {
	at   int64
	size uint32
}

// content identifies a file's bytes. Digests of different writers may not be
// comparable, so those that we make ourselves are marked.
type content struct {
	digest string
	own    bool
	size   int64
}

// writeData stores the content of all files: full blocks where they come, tails
// packed together into fragment blocks.
func (m *image) writeData(ctx context.Context) error {
	p := m.newPipeline(ctx)
	err := m.submitFiles(p)
	if err == nil {
		err = m.flushTail(p)
	}
	finished := p.finish()
	if err == nil || errors.Is(err, context.Canceled) { // the cause is what stopped the pipeline
		err = finished
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

func (m *image) submitFiles(p *pipeline) error {
	bySize := map[int64]int{}
	for _, n := range m.tree.Nodes {
		if n.Kind == tree.File && n.Digest == "" {
			bySize[n.Size]++
		}
	}
	seen := map[content]*file{}
	for _, n := range m.tree.Nodes {
		if n.Kind != tree.File {
			continue
		}
		if n.Size == 0 {
			m.files[n] = &file{fragment: none}
			continue
		}
		key := content{digest: n.Digest, size: n.Size}
		if n.Digest == "" && bySize[n.Size] > 1 {
			sum, err := digest(n)
			if err != nil {
				return err
			}
			key.digest, key.own = sum, true
		}
		if key.digest != "" {
			if twin := seen[key]; twin != nil {
				m.files[n] = twin
				continue
			}
		}
		f, err := m.submitFile(p, n)
		if err != nil {
			return err
		}
		m.files[n] = f
		if key.digest != "" {
			seen[key] = f
		}
	}
	return nil
}

func digest(n *tree.Node) (string, error) {
	r, err := n.Content()
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return string(h.Sum(nil)), nil
}

func (m *image) submitFile(p *pipeline, n *tree.Node) (*file, error) {
	r, err := n.Content()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	size := int64(m.opt.BlockSize)
	f := &file{fragment: none, blocks: make([]uint32, n.Size/size)}
	first := true
	for i := range f.blocks {
		b := p.buffer()[:size]
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		if allZero(b) {
			f.sparse += uint64(size)
			p.recycle(b)
			continue
		}
		start := first
		first = false
		err := p.submit(b, func(at int64, size uint32) {
			f.blocks[i] = size
			if start {
				f.start = at
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if tail := int(n.Size % size); tail > 0 {
		if err := m.addTail(p, f, r, tail); err != nil {
			return nil, err
		}
	}
	if err := tree.Finish(r); err != nil {
		return nil, fmt.Errorf("%s: %w", n.Path, err)
	}
	return f, nil
}

// addTail puts the last bytes of a file into the fragment block.
func (m *image) addTail(p *pipeline, f *file, r io.Reader, n int) error {
	if len(m.tail)+n > m.opt.BlockSize {
		if err := m.flushTail(p); err != nil {
			return err
		}
	}
	if m.tail == nil {
		m.tail = p.buffer()
	}
	at := len(m.tail)
	f.fragment, f.offset = uint32(len(m.fragments)), uint32(at)
	m.tail = m.tail[:at+n]
	_, err := io.ReadFull(r, m.tail[at:])
	return err
}

func (m *image) flushTail(p *pipeline) error {
	if len(m.tail) == 0 {
		return nil
	}
	f, b := new(fragment), m.tail
	m.fragments, m.tail = append(m.fragments, f), nil
	return p.submit(b, func(at int64, size uint32) { f.at, f.size = at, size })
}

var zeroes [4096]byte

func allZero(b []byte) bool {
	for ; len(b) > len(zeroes); b = b[len(zeroes):] {
		if !bytes.Equal(b[:len(zeroes)], zeroes[:]) {
			return false
		}
	}
	return bytes.Equal(b, zeroes[:len(b)])
}
