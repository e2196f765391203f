package pkgfile

import "sync"

// buffers recycles the memory of frames, compressed and not.
var buffers = framePool{
	small: sync.Pool{New: func() any { return newBuffer(smallBuffer) }},
	big:   sync.Pool{New: func() any { return newBuffer(bigBuffer) }},
}

// A buffer holds a frame compressed, or its content and the decoder's room.
var (
	smallBuffer = SmallFrame + trailerSize + int64(decodeRoom)
	bigBuffer   = bigFrame + trailerSize + int64(decodeRoom)
)

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
	case size <= smallBuffer:
		return buffers.small.Get().(*[]byte)
	case size <= bigBuffer:
		return buffers.big.Get().(*[]byte)
	}
	return newBuffer(size)
}

// Put takes a buffer back that nobody uses any more.
func (p *framePool) Put(b *[]byte) {
	switch int64(cap(*b)) {
	case smallBuffer:
		p.small.Put(b)
	case bigBuffer:
		p.big.Put(b)
	}
}
