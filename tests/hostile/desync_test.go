package hostile

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"ashlar/pkgtool/pkgfile"
)

// nested is an archive in an archive: what a reader that lost its place would
// take for files.
var nested = append(append(header{name: "etc/shadow", size: octal(12, 5)}.bytes(), padded([]byte("evil\n"))...), make([]byte, 1024)...)

// afterwards is a good package with more behind the end of its archive, or with
// less.
func afterwards(change func([]byte) []byte) *pkg {
	p := good(file("z", "evil"))
	p.plain = change
	return p
}

func desyncFixtures() []fixture {
	return []fixture{
		{49, "pax size larger", good(file("z", "evil").archived(pax(fmt.Sprint("size=", len(nested))), plainHeader().bytes())), misplaced, nil},
		{49, "pax size smaller, with a nested archive", good(file("z", string(nested)).archived(pax("size=0"), header{name: "z", size: octal(12, int64(len(nested)))}.bytes())), misplaced, nil},
		{49, "ustar size smaller, with a nested archive", good(file("z", string(nested)).archived(header{name: "z", size: octal(12, 0)}.bytes())), "header differs", nil},
		{50, "pax header before a GNU long name", archivedAs(pax("size=4"), gnuName('L', "z"), plainHeader().bytes()), misplaced, nil},
		{51, "two pax headers", archivedAs(pax("path=z"), pax("path=y"), plainHeader().bytes()), misplaced, nil},
		{52, "pax and GNU long name", archivedAs(gnuName('L', "y"), pax("path=z"), plainHeader().bytes()), misplaced, nil},
		{52, "GNU long link", archivedAs(gnuName('K', "/etc/shadow"), plainHeader().bytes()), misplaced, nil},
		{53, "global pax header with a path", archivedAs(rawPax('g', "15 path=escape\n"), plainHeader().bytes()), misplaced, nil},
		{53, "global pax header with a size", archivedAs(rawPax('g', "10 size=0\n"), plainHeader().bytes()), misplaced, nil},
		{54, "pax record too short", pathRecord("999 path=" + long + "\n"), "header differs", nil},
		{54, "pax length overflows", pathRecord("99999999999999999999 path=" + long[:80] + "\n"), "header differs", nil},
		{54, "pax record without newline", pathRecord(longRecord[:len(longRecord)-1] + "x"), "header differs", nil},
		{54, "pax key twice", pathRecord(longRecord + "10 path=z\n"), "header differs", nil},
		{54, "pax value empty", pathRecord("8 path=\n" + longRecord), "header differs", nil},
		{54, "pax record with a NUL", pathRecord(strings.Replace(longRecord, "x", "\x00", 1)), "header differs", nil},
		{55, "negative size in base 256", changed(func(h *header) { h.size = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" }), "header differs", nil},
		{55, "2^63-1 in base 256", changed(func(h *header) { h.size = "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff" }), "header differs", nil},
		{55, "right size in base 256", changed(func(h *header) { h.size = "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04" }), "header differs", nil},
		{55, "negative size in the manifest", good(file("z", "evil").claims("size", -5)), "not possible", nil},
		{55, "2^63-1 in the manifest", good(file("z", "evil")).spelled(`"size":4`, `"size":9223372036854775807`), "not possible", nil},
		{55, "sum overflows", good(file("y", "evil").claims("size", 1<<33-1), file("z", "evil").claims("size", 1<<33-1)), "said to begin", nil},
		{56, "checksum", changed(func(h *header) { h.checksum = "000000\x00 " }), "header differs", nil},
		{56, "checksum of signed bytes", signedChecksum(), "header differs", nil},
		{57, "no end", afterwards(func(b []byte) []byte { return b[:len(b)-1024] }), "bytes uncompressed", nil},
		{58, "one zero block, then an entry", afterwards(func(b []byte) []byte {
			return append(append(b[:len(b)-512], nested[:1024]...), make([]byte, 1024)...)
		}), "bytes uncompressed", nil},
		{58, "an entry in place of the second zero block", afterwards(func(b []byte) []byte { return append(b[:len(b)-512], nested[:512]...) }), "end in zeros", nil},
		{59, "second archive behind the end", afterwards(func(b []byte) []byte { return append(b, nested...) }), "bytes uncompressed", nil},
		{59, "second archive in a frame of its own", front(func(b []byte) []byte { return append(b, zstdPlain(nested)...) }), "the file is", nil},
		{60, "truncated anywhere", nil, "", func(w *world) { truncated(w) }},
		{61, "old GNU sparse map", archivedAs(oldSparse()), "header differs", nil},
		{61, "pax 0.0 sparse map with holes of 2^60", archivedAs(pax("GNU.sparse.size=1152921504606846976", "GNU.sparse.numblocks=2", "GNU.sparse.offset=0", "GNU.sparse.numbytes=4",
			"GNU.sparse.offset=1152921504606846970", "GNU.sparse.numbytes=4"), plainHeader().bytes()), misplaced, nil},
		{61, "pax 0.1 sparse map with overlaps", archivedAs(pax("GNU.sparse.map=0,4,2,4", "GNU.sparse.size=8"), plainHeader().bytes()), misplaced, nil},
		{61, "pax 0.1 sparse map of 2^20 entries", archivedAs(pax("GNU.sparse.map="+strings.Repeat("0,0,", 1<<20)+"0,4"), plainHeader().bytes()), misplaced, nil},
		{61, "pax 1.0 sparse map", good(file("z", "2\n0\n4\n1152921504606846976\n0\n").archived(pax("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=1152921504606846976"),
			header{name: "z", size: octal(12, 26)}.bytes())), misplaced, nil},
	}
}

// long is a path that needs a pax header, longRecord the record it should have.
var (
	long       = strings.Repeat("x/", 60) + "z"
	longRecord = fmt.Sprintf("%d path=%s\n", len(long)+10, long)
)

// pathRecord is a package with a file of a long path whose pax header has this
// body.
func pathRecord(body string) *pkg {
	return good(file(long, "evil").archived(rawPax('x', body), header{name: long[:100], size: octal(12, 4)}.bytes()))
}

// gnuName is GNU tar's own way to give the next member a long name or link.
func gnuName(kind byte, name string) []byte {
	return append(header{name: "././@LongLink", kind: kind, size: octal(12, int64(len(name)+1)), magic: "ustar  \x00"}.bytes(), padded([]byte(name+"\x00"))...)
}

// signedChecksum has a name with bytes beyond ASCII, whose checksum some old
// programs computed with signed characters.
func signedChecksum() *pkg {
	h := header{name: "z\xc3\xa9", size: octal(12, 4)}
	sum := 0
	for i, c := range h.bytes() {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int(int8(c))
	}
	h.checksum = octal(7, int64(sum)) + " "
	return archivedAs(h.bytes())
}

// oldSparse is a header of type S whose map says that a file of 2^33 bytes has
// its 4 bytes at the end.
func oldSparse() []byte {
	h := header{name: "z", kind: 'S', size: octal(12, 4), magic: "ustar  \x00"}.bytes()
	copy(h[386:], octal(12, 1<<33-4)+octal(12, 4))
	copy(h[483:], octal(12, 1<<33-1))
	return patched(h, 482, "\x00")
}

// truncated cuts a good package at every block and at every byte of the last
// KiB; each piece must be refused as truncated or as no package.
func truncated(w *world) {
	t := w.t
	noise := make([]byte, 40_000)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	for _, xz := range []bool{false, true} {
		p := good(file("z", string(noise)))
		p.xz = xz
		whole := p.bytes(t, w.key)
		if _, err := pkgfile.Open(bytes.NewReader(whole), int64(len(whole))); err != nil {
			t.Fatal(err)
		}
		for n := range whole {
			if n%512 != 0 && n < len(whole)-1024 {
				continue
			}
			if err := openAll(whole[:n]); err == nil {
				t.Errorf("accepted though cut to %d of %d bytes", n, len(whole))
			}
		}
	}
}

func openAll(b []byte) error {
	p, err := pkgfile.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	return p.Verify(context.Background())
}

// zstdPlain is a zstd frame of raw blocks, written by hand.
func zstdPlain(b []byte) []byte {
	out := append(zstdHeader(uint64(len(b))), binary.LittleEndian.AppendUint32(nil, uint32(len(b)<<3|1))[:3]...)
	return append(append(out, b...), 0, 0, 0, 0) // the checksum is wrong; nobody may come so far
}
