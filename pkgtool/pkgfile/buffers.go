package pkgfile

import "sync"

// buffers recycles the memory of frames, compressed and not.
var buffers = framePool{
	small: sync.Pool{New: func() any { return newBuffer(maxCompressed(SmallFrame + trailerSize)) }},
	big:   sync.Pool{New: func() any { return newBuffer(maxCompressed(bigFrame + trailerSize)) }},
}

// framePool keeps buffers of two capacities, so that one never has to be thrown
// away because it is too small for the next frame.
type framePool struct{ small, big sync.Pool }

func newBuffer(size int64) *[]byte {
	b := make([]byte, 0, size)
	return &b
}

// takeBuffer returns a buffer of at least this capacity. Give it back with
// buffers.Put.
func takeBuffer(size int64) *[]byte {
	switch {
	case size <= maxCompressed(SmallFrame+trailerSize):
		return buffers.small.Get().(*[]byte)
	case size <= maxCompressed(bigFrame+trailerSize):
		return buffers.big.Get().(*[]byte)
	}
	return newBuffer(size)
}

// Put takes a buffer back that nobody uses any more.
func (p *framePool) Put(b *[]byte) {
	switch int64(cap(*b)) {
	case maxCompressed(SmallFrame + trailerSize):
		p.small.Put(b)
	case maxCompressed(bigFrame + trailerSize):
		p.big.Put(b)
	}
}
