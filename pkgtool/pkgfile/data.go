package pkgfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// readFrame returns the decompressed content of a frame, after its hash, its
// size and everything in it that does not need other frames were checked:
// headers, padding, and the content of whole files. The buffer is the caller's
// to give back.
func (p *Package) readFrame(i int) (*[]byte, error) {
	content, err := p.decodeData(i)
	if err != nil {
		return nil, err
	}
	if p.frames[i].split {
		err = p.checkSplit(p.frames[i], *content)
	} else {
		err = p.checkMembers(i, *content, nil)
	}
	if err != nil {
		buffers.Put(content)
		return nil, invalid(fmt.Errorf("frame %d: %w", i, err))
	}
	return content, nil
}

// decodeData returns the decompressed content of a frame whose hash and size
// are right.
func (p *Package) decodeData(i int) (*[]byte, error) {
	frame := p.manifest.Frames[i]
	packed := takeBuffer(frame.Size)
	defer buffers.Put(packed)
	if err := p.readPacked(i, packed); err != nil {
		return nil, err
	}
	content := takeBuffer(frame.USize + decodeRoom)
	*content = (*content)[:frame.USize]
	if err := decodeFrame(p.codec, *packed, *content); err != nil {
		buffers.Put(content)
		return nil, invalid(fmt.Errorf("frame %d: %w", i, err))
	}
	return content, nil
}

// readPacked reads a frame as it lies in the file, and checks its hash.
func (p *Package) readPacked(i int, packed *[]byte) error {
	frame := p.manifest.Frames[i]
	*packed = (*packed)[:frame.Size]
	if n, err := p.r.ReadAt(*packed, p.metaSize+frame.Offset); err != nil && int64(n) != frame.Size {
		if err == io.EOF {
			return invalid(fmt.Errorf("frame %d: truncated", i))
		}
		return fmt.Errorf("read frame %d: %w", i, err)
	}
	if hexSum(*packed) != frame.SHA256 {
		return invalid(fmt.Errorf("frame %d: its sha256 is not the manifest's", i))
	}
	return nil
}

// checkMembers checks the members of a frame that holds whole ones. Of the
// contents it hashes those of wanted, entries of the manifest in path order, or
// if wanted is nil all.
func (p *Package) checkMembers(i int, b []byte, wanted []*File) error {
	layout := p.frames[i]
	all := wanted == nil
	var header []byte
	for n := layout.first; n < layout.last; n++ {
		f := &p.manifest.Files[n]
		header = p.appendHeader(header[:0], f)
		if !bytes.HasPrefix(b, header) {
			return fmt.Errorf("file %.200q: tar header differs from the manifest", f.Path)
		}
		b = b[len(header):]
		this := len(wanted) > 0 && wanted[0] == f
		if this {
			wanted = wanted[1:]
		}
		if (this || all && f.Type == TypeFile) && hexSum(b[:f.Size]) != f.SHA256 {
			return fmt.Errorf("file %.200q: its sha256 is not the manifest's", f.Path)
		}
		if !allZero(b[f.Size : f.Size+padding(f.Size)]) {
			return fmt.Errorf("file %.200q: wrongly padded", f.Path)
		}
		b = b[f.Size+padding(f.Size):]
	}
	if !allZero(b) { // the trailer; sizes were checked with the layout
		return errors.New("the archive does not end in zeros")
	}
	if len(wanted) > 0 {
		return fmt.Errorf("file %.200q: wanted twice, or not an entry of the manifest", wanted[0].Path)
	}
	return nil
}

// checkSplit checks a piece of a big file except for the content, whose hash
// needs all pieces.
func (p *Package) checkSplit(layout frameLayout, b []byte) error {
	f := &p.manifest.Files[layout.first]
	header := p.appendHeader(nil, f)
	if layout.from == 0 && !bytes.HasPrefix(b, header) {
		return fmt.Errorf("file %.200q: tar header differs from the manifest", f.Path)
	}
	if end := int64(len(header)) + f.Size - layout.from; end < int64(len(b)) && !allZero(b[max(end, 0):]) {
		return fmt.Errorf("file %.200q: wrongly padded", f.Path)
	}
	return nil
}

func (p *Package) appendHeader(out []byte, f *File) []byte {
	attr := f
	if f.Type == TypeHardlink {
		attr = p.manifest.File(f.Target)
	}
	return appendTarHeader(out, f, attr, p.manifest.Provenance.Epoch)
}

// contentOf returns the part of a decompressed frame that is content of f.
func (p *Package) contentOf(f *File, frame int, b []byte) []byte {
	layout := p.frames[frame]
	if !layout.split {
		return b[f.Offset : f.Offset+f.Size]
	}
	begin := max(f.Offset-layout.from, 0)
	end := min(f.Offset+f.Size-layout.from, int64(len(b)))
	return b[begin:max(begin, end)]
}
