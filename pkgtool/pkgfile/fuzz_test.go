package pkgfile

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

func FuzzOpen(f *testing.F) {
	m, inputs := plain()
	good := write(f, m, inputs, Options{})
	f.Add(good)
	f.Add(spoilData(f, header(at(156, "S"))))
	f.Add(spoilManifest(f, pathOf("../escape")))
	f.Add(good[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if p.Verify(context.Background()) == nil {
			// What is accepted is what the writer writes: reading it again
			// and adding no signature gives equal data.
			var out bytes.Buffer
			if err := Resign(&out, p); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzManifest skips compression, so that the fuzzer reaches the rules.
func FuzzManifest(f *testing.F) {
	m, inputs := plain()
	p := open(f, write(f, m, inputs, Options{}))
	f.Add(p.raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decodeManifest(raw)
		if err != nil || m.validate() != nil {
			return
		}
		for i := range m.Files {
			h := &m.Files[i]
			attr := h
			if h.Type == TypeHardlink {
				attr = m.File(h.Target)
			}
			if got := tarHeader(h, attr, m.Provenance.Epoch); int64(len(got)) != headerSize(h) {
				t.Fatalf("header of %d bytes, counted as %d", len(got), headerSize(h))
			}
			if _, end := m.FramesOf(h); end > len(m.Frames) {
				t.Fatal("frames out of range")
			}
		}
	})
}

// FuzzMeta gives any members to the reader of the meta frame: what it accepts,
// the writer writes.
func FuzzMeta(f *testing.F) {
	manifest := []byte("{}")
	fingerprint := strings.Repeat("A", 40)
	for _, signatures := range []map[string][]byte{nil, {fingerprint: []byte("sig")}, {fingerprint: nil, strings.Repeat("B", 40): make([]byte, 600)}} {
		meta, err := encodeMeta(zstdCodec{}, manifest, signatures)
		if err != nil {
			f.Fatal(err)
		}
		size, _, err := frameLength(zstdCodec{}, &sliceReader{b: meta}, int64(len(meta)))
		if err != nil {
			f.Fatal(err)
		}
		members := make([]byte, size)
		if err := decodeFrame(zstdCodec{}, meta, members); err != nil {
			f.Fatal(err)
		}
		f.Add(members)
	}
	f.Fuzz(func(t *testing.T, members []byte) {
		manifest, signatures, err := decodeMeta(members)
		if err != nil {
			return
		}
		meta, err := encodeMeta(zstdCodec{}, manifest, signatures)
		if err != nil {
			t.Fatal(err)
		}
		again := make([]byte, len(members))
		if err := decodeFrame(zstdCodec{}, meta, again); err != nil || !bytes.Equal(again, members) {
			t.Fatalf("accepted, and written otherwise: %v", err)
		}
	})
}

// FuzzFrame gives any bytes to the readers of both kinds of frame, and what the
// reader accepts to the other: nothing is a frame of both kinds, a frame ends
// where frameLength says, and it never makes more than it claims.
func FuzzFrame(f *testing.F) {
	for _, content := range []string{"x", strings.Repeat("ab", 3000), noise(1, 3000), noise(2, 70_000)} {
		for _, kind := range codecs {
			f.Add(compress(f, kind, []byte(content)))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		accepted := 0
		for _, kind := range codecs {
			size, length, err := frameLength(kind, &sliceReader{b: b}, int64(len(b)))
			if err != nil {
				continue
			}
			accepted++
			if length > int64(len(b)) || size < 0 || size > maxMeta {
				t.Fatalf("%s: %d bytes in %d of %d", kind.name(), size, length, len(b))
			}
			if size > 8<<20 {
				continue // a claim that costs memory; whether it holds is the same question
			}
			exact, roomy := make([]byte, size), make([]byte, size, size+2*decodeRoom)
			errExact, errRoomy := decodeFrame(kind, b[:length], exact), decodeFrame(kind, b[:length], roomy)
			if (errExact == nil) != (errRoomy == nil) || errExact == nil && !bytes.Equal(exact, roomy) {
				t.Fatalf("%s: with room behind it, another content: %v, %v", kind.name(), errExact, errRoomy)
			}
			if behind := roomy[:cap(roomy)][size:]; !allZero(behind[decodeRoom:]) {
				t.Fatalf("%s: written behind the room", kind.name())
			}
			if err := decodeFrame(kind, append(bytes.Clone(b[:length]), 0), exact); err == nil {
				t.Fatalf("%s: a byte behind the frame is not noticed", kind.name())
			}
		}
		if accepted > 1 {
			t.Fatal("a frame of two kinds")
		}
	})
}

// FuzzTarHeader makes headers of any file that a manifest can hold; Go's own tar
// reader must see in them what the manifest says.
func FuzzTarHeader(f *testing.F) {
	f.Add("usr/bin/ls", TypeFile, "", "root", "root", uint32(0o4755), int64(3), "security.capability", []byte{1, 0}, int64(1767225600))
	f.Add(strings.Repeat("long/", 30)+"name", TypeSymlink, strings.Repeat("t/", 80)+"z", "root", "wheel", uint32(0o777), int64(0), "", []byte(nil), int64(0))
	f.Add("usr/Főtanúsítvány", TypeDir, "", "daemon", "root", uint32(0o1777), int64(0), "user.a", []byte("=\n\x00"), int64(maxEpochTime))
	f.Fuzz(func(t *testing.T, path, kind, target, owner, group string, mode uint32, size int64, xattr string, value []byte, epoch int64) {
		file := &File{Path: path, Type: kind, Target: target, Owner: owner, Group: group, Mode: mode, Size: size}
		if kind == TypeFile {
			file.SHA256 = emptySHA256
		}
		if xattr != "" {
			file.Xattrs = map[string][]byte{xattr: value}
		}
		if file.check() != nil || epoch < 0 || epoch > maxEpochTime {
			return
		}
		attr := file
		if kind == TypeHardlink {
			attr = &File{Mode: 0o644, Owner: "root", Group: "root"}
		}
		header := tarHeader(file, attr, epoch)
		if int64(len(header)) != headerSize(file) {
			t.Fatalf("%d bytes, counted as %d", len(header), headerSize(file))
		}
		h, err := tar.NewReader(io.MultiReader(bytes.NewReader(header), zeros{})).Next()
		if err != nil {
			t.Fatalf("%+v: %v", file, err)
		}
		if strings.TrimSuffix(h.Name, "/") != path || h.Linkname != target || h.Size != size || uint32(h.Mode) != attr.Mode ||
			h.Uname != attr.Owner || h.Gname != attr.Group || h.ModTime.Unix() != epoch {
			t.Fatalf("%+v is read as %+v", file, h)
		}
		if xattr != "" && h.PAXRecords["SCHILY.xattr."+xattr] != string(value) {
			t.Fatalf("attribute %q: %q", xattr, h.PAXRecords)
		}
	})
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
