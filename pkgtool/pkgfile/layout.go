package pkgfile

import "fmt"

// Framing (docs/formats/package.md): small neighbours share a frame of about
// SmallFrame bytes, so that a partial download and a random access cost little;
// a file of that size has frames of its own, cut at bigFrame so that cores can
// decode it in parallel. What that costs and gains: docs/decisions/0006-small-frames.md.
const (
	// SmallFrame is the size of a frame of small files, in bytes. What is packed
	// depends on it, so it is part of the keys under which packages are kept.
	SmallFrame = 64 << 10
	bigFrame   = 4 << 20
)

// frameLayout is what one frame holds: either the whole members first to last
// (exclusive) of the file table, or, if split, the bytes from from on of member
// first. The last frame also holds the archive's trailer.
type frameLayout struct {
	first, last int
	split       bool
	from        int64
	trailer     bool
	usize       int64
}

// packer applies the framing rule to one member after the other.
type packer struct {
	frames []frameLayout
	open   *frameLayout
}

// place says where the next member, of the given length including header and
// padding, begins, and whether the open frame is complete before it.
// A member that is big gets frames of its own.
func (p *packer) place(index int, length int64) (frame int, offset int64, flush, big bool) {
	big = length >= SmallFrame
	if p.open != nil && (big || p.open.usize+length > SmallFrame) {
		p.close()
		flush = true
	}
	frame = len(p.frames)
	if big {
		for from := int64(0); from < length; from += bigFrame {
			p.frames = append(p.frames, frameLayout{first: index, last: index + 1, split: length > bigFrame,
				from: from, usize: min(bigFrame, length-from)})
		}
		return frame, 0, flush, true
	}
	if p.open == nil {
		p.open = &frameLayout{first: index, last: index}
	}
	offset = p.open.usize
	p.open.usize += length
	p.open.last = index + 1
	return frame, offset, flush, false
}

func (p *packer) close() {
	p.frames = append(p.frames, *p.open)
	p.open = nil
}

// finish puts the trailer into the open frame, or into one of its own.
func (p *packer) finish(members int) []frameLayout {
	if p.open == nil {
		p.open = &frameLayout{first: members, last: members}
	}
	p.open.trailer = true
	p.open.usize += trailerSize
	p.close()
	return p.frames
}

// layOut computes the frames that m's files make and checks that every file
// says truly where it begins.
func layOut(m *Manifest) ([]frameLayout, error) {
	var p packer
	for i := range m.Files {
		f := &m.Files[i]
		header := headerSize(f)
		frame, offset, _, _ := p.place(i, header+f.Size+padding(f.Size))
		wantFrame, wantOffset := 0, int64(0)
		if f.Size > 0 {
			wantFrame, wantOffset = frame, offset+header
		}
		if f.Frame != wantFrame || f.Offset != wantOffset {
			return nil, fmt.Errorf("file %.200q: said to begin in frame %d at %d; it is frame %d at %d",
				f.Path, f.Frame, f.Offset, wantFrame, wantOffset)
		}
	}
	return p.finish(len(m.Files)), nil
}

// FramesOf returns the frames that hold the content of f: first up to, not
// including, end. For a file without content they are equal.
func (m *Manifest) FramesOf(f *File) (first, end int) {
	if f.Size == 0 {
		return 0, 0
	}
	left := f.Offset + f.Size
	for end = f.Frame; left > 0 && end < len(m.Frames); end++ {
		left -= m.Frames[end].USize
	}
	return f.Frame, end
}
