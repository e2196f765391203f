package hostile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"ashlar/signing"

	"github.com/gowebpki/jcs"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// epoch is the time of all files.
const epoch = 1767225600

// says is what a manifest says about something: a JSON object.
type says map[string]any

// with is s with other values; a nil value takes the key away.
func (s says) with(pairs ...any) says {
	s = maps.Clone(s)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == nil {
			delete(s, pairs[i].(string))
		} else {
			s[pairs[i].(string)] = pairs[i+1]
		}
	}
	return s
}

// header is a tar header, field by field as it stands in the archive; "" is
// what a package has there.
type header struct {
	name, mode, uid, gid, size, mtime, checksum string
	kind                                        byte
	link, magic, user, group, minor             string
}

func octal(width int, n int64) string { return fmt.Sprintf("%0*o\x00", width-1, n) }

func (h header) bytes() []byte {
	b := make([]byte, 512)
	put := func(from, to int, text, otherwise string) {
		if text == "" {
			text = otherwise
		}
		copy(b[from:to], text)
	}
	put(0, 100, h.name, "")
	put(100, 108, h.mode, octal(8, 0o644))
	put(108, 116, h.uid, octal(8, 0))
	put(116, 124, h.gid, octal(8, 0))
	put(124, 136, h.size, octal(12, 0))
	put(136, 148, h.mtime, octal(12, epoch))
	put(148, 156, "        ", "")
	b[156] = '0'
	if h.kind != 0 {
		b[156] = h.kind
	}
	put(157, 257, h.link, "")
	put(257, 265, h.magic, "ustar\x0000")
	put(265, 297, h.user, "root")
	put(297, 329, h.group, "root")
	put(329, 337, "", octal(8, 0))
	put(337, 345, h.minor, octal(8, 0))
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	put(148, 156, h.checksum, fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// pax is an extended header with these records, each already "key=value".
func pax(records ...string) []byte {
	var body string
	for _, r := range records {
		n := len(r) + 3 // at least one digit, space, newline
		for len(fmt.Sprint(n))+len(r)+2 > n {
			n++
		}
		body += fmt.Sprintf("%d %s\n", n, r)
	}
	return rawPax('x', body)
}

// rawPax is an extended header of any kind and body.
func rawPax(kind byte, body string) []byte {
	h := header{name: "PaxHeaders/pax", kind: kind, size: octal(12, int64(len(body)))}.bytes()
	return append(h, padded([]byte(body))...)
}

func padded(b []byte) []byte { return append(bytes.Clone(b), make([]byte, -len(b)&511)...) }

// member is one file: what the manifest says, and what the archive holds.
type member struct {
	says    says // nil: the manifest does not know it
	header  []byte
	content []byte
}

func file(path, content string) member {
	sum := sha256.Sum256([]byte(content))
	m := member{says: says{"path": path, "type": "file", "mode": 0o644, "owner": "root", "group": "root", "sha256": hex.EncodeToString(sum[:])},
		header: named(path, header{size: octal(12, int64(len(content)))}), content: []byte(content)}
	if content != "" {
		m.says["size"] = len(content)
	}
	return m
}

func dir(path string) member {
	return member{says: says{"path": path, "type": "dir", "mode": 0o755, "owner": "root", "group": "root"},
		header: named(path+"/", header{kind: '5', mode: octal(8, 0o755)})}
}

func symlink(path, target string) member {
	m := member{says: says{"path": path, "type": "symlink", "mode": 0o777, "owner": "root", "group": "root", "target": target},
		header: header{name: path, kind: '2', mode: octal(8, 0o777), link: target}.bytes()}
	if len(target) > 100 {
		m.header = append(pax("linkpath="+target), header{name: path, kind: '2', mode: octal(8, 0o777), link: target[:100]}.bytes()...)
	}
	return m
}

func hardlink(path, target string) member {
	return member{says: says{"path": path, "type": "hardlink", "target": target}, header: header{name: path, kind: '1', link: target}.bytes()}
}

// named is a header with the name in a pax record where it does not fit.
func named(path string, h header) []byte {
	plain := strings.Map(func(r rune) rune {
		if r > 0x7e {
			return '_'
		}
		return r
	}, path)
	if plain == path && len(path) <= 100 {
		h.name = path
		return h.bytes()
	}
	hint := []byte(path[:min(len(path), 100)])
	for i, c := range hint {
		if c >= 0x80 {
			hint[i] = '_'
		}
	}
	h.name = string(hint)
	return append(pax("path="+path), h.bytes()...)
}

// claims is m with other values in the manifest.
func (m member) claims(pairs ...any) member {
	m.says = m.says.with(pairs...)
	return m
}

// archived is m with another header in the archive.
func (m member) archived(header ...[]byte) member {
	m.header = bytes.Join(header, nil)
	return m
}

// pkg is a package in the making. The hooks, all optional, spoil it at the
// different stages; what comes after fits what the hook left.
type pkg struct {
	name, version string
	members       []member
	fields        says                // of the manifest, over the usual ones
	json          func([]byte) []byte // the manifest's text
	plain         func([]byte) []byte // the data before compression
	frame         func([]byte) []byte // instead of compression
	table         func(frame says)    // the data's entry in the frame table
	meta          func([]byte) []byte // the meta frame's members
	whole         func([]byte) []byte // the file
	xz            bool
}

// good is a package that is all right, with these files besides its own.
func good(members ...member) *pkg {
	return &pkg{name: "hostile", version: "1.0.0", members: append([]member{dir("a"), file("a/f", "hello")}, members...)}
}

// bytes writes the package, signed by key.
func (p *pkg) bytes(t testing.TB, key *signing.PrivateKey) []byte {
	t.Helper()
	var data []byte
	var total int64
	files := []any{}
	for _, m := range p.members {
		if m.says != nil {
			if n, ok := m.says["size"].(int); ok && m.says["type"] == "file" {
				if _, given := m.says["offset"]; !given {
					m.says = m.says.with("offset", len(data)+len(m.header))
				}
				total += int64(n)
			}
			files = append(files, m.says)
		}
		data = append(append(data, m.header...), padded(m.content)...)
	}
	data = append(data, make([]byte, 1024)...)
	if p.plain != nil {
		data = p.plain(data)
	}
	packed := p.compress(t, data)
	if p.frame != nil {
		packed = p.frame(data)
	}
	frame := says{"size": len(packed), "usize": len(data), "sha256": sum(packed)}
	if p.table != nil {
		p.table(frame)
	}
	manifest := says{"format": 1, "name": p.name, "version": p.version, "release": 1, "arch": "noarch", "summary": "s", "license": "MIT",
		"provenance": says{"origin": "import", "epoch": epoch}, "files": files, "frames": []any{frame}, "installed_size": total}
	for key, value := range p.fields {
		manifest = manifest.with(key, value)
	}
	if total == 0 {
		manifest = manifest.with("installed_size", nil)
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = jcs.Transform(text); err != nil {
		t.Fatal(err)
	}
	if p.json != nil {
		text = p.json(text)
	}
	signature, err := key.SignAt(text, time.Unix(epoch, 0))
	if err != nil {
		t.Fatal(err)
	}
	metaMember := func(name string, content []byte) []byte {
		return append(header{name: name, size: octal(12, int64(len(content))), mtime: octal(12, 0)}.bytes(), padded(content)...)
	}
	meta := append(metaMember(".pkg/manifest.json", text), metaMember(".pkg/sig/"+key.Fingerprint(), signature)...)
	if p.meta != nil {
		meta = p.meta(meta)
	}
	out := append(p.compress(t, meta), packed...)
	if p.whole != nil {
		out = p.whole(out)
	}
	return out
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func (p *pkg) compress(t testing.TB, b []byte) []byte {
	t.Helper()
	if p.xz {
		return xzStream(t, b, dictionary(len(b)))
	}
	return zstdFrame(t, b)
}

func zstdFrame(t testing.TB, b []byte) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true), zstd.WithEncoderCRC(true))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	return e.EncodeAll(b, nil)
}

// dictionary is the size that an xz stream of n bytes has in a package.
func dictionary(n int) int {
	size := 64 << 10
	for size < n && size < 4<<20 {
		size *= 2
	}
	return size
}

// xzStream is an xz stream with a dictionary of this size in bytes.
func xzStream(t testing.TB, b []byte, dictionary int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.WriterConfig{DictCap: dictionary}.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// zstdHeader is the beginning of a single-segment frame with a checksum that
// claims to hold n bytes.
func zstdHeader(n uint64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe4}, n)
}
