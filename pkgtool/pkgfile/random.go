package pkgfile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"sync"
)

// OpenFrameFile returns the verified content of one file of the manifest, or of
// the file that a hard link names, without reading the others. A file in one
// frame is verified before this returns; a bigger one is streamed, and its
// reader returns io.EOF only if the hash is right. Close the reader.
//
// The frames last used, of all packages together, are kept decompressed, so
// opening neighbours one after the other is cheap.
func (p *Package) OpenFrameFile(f *File) (io.ReadCloser, error) {
	if f.Type == TypeHardlink {
		f = p.manifest.File(f.Target)
	}
	if f == nil || f.Type != TypeFile {
		return nil, fmt.Errorf("package %s: not a file with content", p.manifest.FileName())
	}
	if f.Size == 0 {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	if !p.frames[f.Frame].split {
		b, err := recent.get(p, f.Frame)
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", p.manifest.FileName(), err)
		}
		return io.NopCloser(bytes.NewReader(p.contentOf(f, f.Frame, b))), nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, end := p.manifest.FramesOf(f)
	ahead := p.readAhead(ctx, f.Frame, end)
	return &splitFile{
		splitReader: splitReader{p: p, f: f, frame: f.Frame, end: end, next: ahead.next, sum: sha256.New()},
		cancel:      cancel, ahead: ahead,
	}, nil
}

type splitFile struct {
	splitReader
	cancel context.CancelFunc
	ahead  *readAhead
}

func (s *splitFile) Close() error {
	s.release()
	s.cancel()
	s.ahead.wait()
	return nil
}

// recentFrames keeps the last few frames with several files, the newest last.
type recentFrames struct {
	mu   sync.Mutex
	kept []recentFrame
}

type recentFrame struct {
	p     *Package
	frame int
	data  []byte
}

const keptFrames = 16

var recent recentFrames

func (c *recentFrames) get(p *Package, frame int) ([]byte, error) {
	c.mu.Lock()
	for i, k := range c.kept {
		if k.p == p && k.frame == frame {
			c.kept = append(slices.Delete(c.kept, i, i+1), k)
			c.mu.Unlock()
			return k.data, nil
		}
	}
	c.mu.Unlock()
	buf, err := p.readFrame(frame)
	if err != nil {
		return nil, err
	}
	data := *buf // kept or in use by a reader: never given back
	if layout := p.frames[frame]; layout.last-layout.first < 2 {
		return data, nil // a file of its own, which nobody reads twice
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) == keptFrames {
		c.kept = slices.Delete(c.kept, 0, 1)
	}
	c.kept = append(c.kept, recentFrame{p, frame, data})
	return data, nil
}

// forget drops the kept frames of a package that is closed.
func forget(p *Package) {
	recent.mu.Lock()
	defer recent.mu.Unlock()
	recent.kept = slices.DeleteFunc(recent.kept, func(k recentFrame) bool { return k.p == p })
}
