package hostile

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// framed is a good package whose data is compressed in this way.
func framed(compress func([]byte) []byte) *pkg {
	p := good()
	p.frame = compress
	return p
}

// framedXZ is framed for a package of xz streams.
func framedXZ(compress func([]byte) []byte) *pkg {
	p := framed(compress)
	p.xz = true
	return p
}

// lies is a good package whose frame table says something else.
func lies(change func(frame says)) *pkg {
	p := good()
	p.table = change
	return p
}

// front is a good package whose file begins with something else.
func front(change func([]byte) []byte) *pkg {
	p := good()
	p.whole = change
	return p
}

func zstdOf(b []byte) []byte { return zstdFrame(nowhere{}, b) }
func xzOf(b []byte) []byte   { return xzStream(nowhere{}, b, dictionary(len(b))) }

// nowhere is for writers that cannot fail but ask for a test.
type nowhere struct{ testing.TB }

func (nowhere) Helper()           {}
func (nowhere) Fatal(args ...any) { panic(args) }

var (
	skippable  = append(binary.LittleEndian.AppendUint32(nil, 0x184D2A50), 0, 0, 0, 0)
	emptyFrame = []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0}
)

func compressionFixtures() []fixture {
	return []fixture{
		{62, "zstd bomb in the data", framed(func([]byte) []byte { return zstdOf(make([]byte, 8<<20)) }), "instead of", nil},
		{62, "zstd bomb twice", framed(func([]byte) []byte { return zstdOf(zstdOf(make([]byte, 200<<20))) }), "instead of", nil},
		{62, "zstd bomb in front", front(func([]byte) []byte { return zstdOf(make([]byte, 200<<20)) }), "more than the", nil},
		{62, "zstd bomb of the largest front allowed", front(func([]byte) []byte { return zstdOf(make([]byte, 34<<20)) }), "meta frame", nil},
		{62, "xz bomb in the data", framedXZ(func([]byte) []byte { return xzOf(make([]byte, 8<<20)) }), "instead of", nil},
		{62, "xz bomb twice", framedXZ(func([]byte) []byte { return xzOf(xzOf(make([]byte, 32<<20))) }), "instead of", nil},
		{62, "xz bomb in front", front(func([]byte) []byte { return xzOf(make([]byte, 200<<20)) }), "more than the", nil},
		{62, "gzip", front(func(b []byte) []byte { return append([]byte{0x1f, 0x8b, 8, 0}, b...) }), "neither a zstd frame nor an xz stream", nil},
		{63, "zstd window of 2 GiB", framed(func(b []byte) []byte {
			f := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x04, 0xa8}
			f = append(f, byte(1|len(b)<<3), byte(len(b)>>5), byte(len(b)>>13))
			return append(append(f, b...), 0, 0, 0, 0)
		}), "single-segment", nil},
		{63, "zstd claims 2^60 bytes", framed(func(b []byte) []byte { return append(zstdHeader(1<<60), 1, 0, 0, 0, 0, 0, 0) }), "more than the", nil},
		{63, "zstd claims a byte more", framed(func(b []byte) []byte { f := zstdOf(b); f[5]++; return f }), "instead of", nil},
		{63, "zstd without checksum", framed(func(b []byte) []byte { f := zstdOf(b); f[4] &^= 4; return f[:len(f)-4] }), "single-segment", nil},
		{63, "zstd with a wrong checksum", framed(func(b []byte) []byte { f := zstdOf(b); f[len(f)-1]++; return f }), "decompress", nil},
		{63, "zstd with a dictionary", framed(func(b []byte) []byte { f := zstdOf(b); f[4] |= 1; return f }), "single-segment", nil},
		{63, "skippable frame in front", front(func(b []byte) []byte { return append(bytes.Clone(skippable), b...) }), "neither", nil},
		{63, "skippable frame before the data", framed(func(b []byte) []byte { return append(bytes.Clone(skippable), zstdOf(b)...) }), "not a zstd frame", nil},
		{63, "skippable frame behind the data", framed(func(b []byte) []byte { return append(zstdOf(b), skippable...) }), "behind the end", nil},
		{63, "xz dictionary of 1 GiB", framedXZ(func(b []byte) []byte { f := xzOf(b); f[16] = 0x24; return f }), "an xz stream that no package has", nil},
		{63, "xz dictionary of 8 MiB, all else right", framedXZ(func(b []byte) []byte { return xzStream(nowhere{}, b, 8<<20) }), "an xz stream that no package has", nil},
		{63, "xz dictionary larger than the content needs", framedXZ(func(b []byte) []byte { return xzStream(nowhere{}, b, 4<<20) }), "an xz stream that no package has", nil},
		{63, "xz chunk claims more", framedXZ(func(b []byte) []byte { f := xzOf(b); f[26]++; return f }), "", nil},
		{63, "xz with a wrong check", framedXZ(func(b []byte) []byte { f := xzOf(b); f[len(f)-12-8-8]++; return f }), "", nil},
		{63, "xz index of another length", framedXZ(func(b []byte) []byte { f := xzOf(b); f[len(f)-12-6]++; return f }), "the end of an xz stream", nil},
		{64, "two zstd frames", framed(func(b []byte) []byte { return append(zstdOf(b[:512]), zstdOf(b[512:])...) }), "instead of", nil},
		{64, "two xz streams", framedXZ(func(b []byte) []byte { return append(xzOf(b[:512]), xzOf(b[512:])...) }), "instead of", nil},
		{64, "xz behind zstd", framed(func(b []byte) []byte { return xzOf(b) }), "not a zstd frame", nil},
		{64, "zstd behind xz", framedXZ(func(b []byte) []byte { return zstdOf(b) }), "an xz stream that no package has", nil},
		{65, "garbage behind the file", front(func(b []byte) []byte { return append(b, "garbage"...) }), "the file is", nil},
		{65, "garbage in the last frame", framed(func(b []byte) []byte { return append(zstdOf(b), "garbage"...) }), "behind the end", nil},
		{65, "xz stream padding", framedXZ(func(b []byte) []byte { return append(xzOf(b), 0, 0, 0, 0) }), "behind the end", nil},
		{66, "many empty zstd frames", framed(func(b []byte) []byte { return append(zstdOf(b), bytes.Repeat(emptyFrame, 100)...) }), "behind the end", nil},
		{66, "a frame of empty blocks without end", framed(func(b []byte) []byte { return append(zstdHeader(uint64(len(b))), make([]byte, 900)...) }), "truncated zstd frame", nil},
		{66, "empty blocks without end in front", front(func([]byte) []byte { return append(zstdHeader(4096), make([]byte, 8<<20)...) }), "truncated zstd frame", nil},
		{67, "a byte more than signed", framed(func(b []byte) []byte { return zstdOf(append(bytes.Clone(b), 0)) }), "instead of", nil},
		{67, "a byte less than signed", framed(func(b []byte) []byte { return zstdOf(b[:len(b)-1]) }), "instead of", nil},
		{67, "xz: a byte more than signed", framedXZ(func(b []byte) []byte { return xzOf(append(bytes.Clone(b), 0)) }), "instead of", nil},
		{67, "xz: a byte less than signed", framedXZ(func(b []byte) []byte { return xzOf(b[:len(b)-1]) }), "instead of", nil},
		{67, "the table says a byte more", lies(func(f says) { f["usize"] = f["usize"].(int) + 1 }), "its files make", nil},
		{67, "the table says a byte less", lies(func(f says) { f["usize"] = f["usize"].(int) - 1 }), "its files make", nil},
		{67, "the table says another hash", lies(func(f says) { f["sha256"] = sum(nil) }), "sha256 is not", nil},
	}
}
