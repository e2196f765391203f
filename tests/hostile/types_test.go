package hostile

import (
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// typed is a good package whose last member has another type in manifest and
// archive.
func typed(name string, kind byte) *pkg {
	m := file("z", "")
	m.header = header{name: "z", kind: kind, minor: octal(8, 1)}.bytes()
	return good(m.claims("type", name))
}

// archivedAs is a good package whose last member has these headers in the
// archive.
func archivedAs(headers ...[]byte) *pkg { return good(file("z", "evil").archived(headers...)) }

// plainHeader is the header that a good file z has.
func plainHeader() header { return header{name: "z", size: octal(12, 4)} }

func changed(change func(*header)) *pkg {
	h := plainHeader()
	change(&h)
	return archivedAs(h.bytes())
}

func typeFixtures() []fixture {
	return []fixture{
		{37, "block device", typed("block", '4'), `type "block"`, nil},
		{37, "character device in the archive", changed(func(h *header) { h.kind = '3' }), "header differs", nil},
		{38, "FIFO", typed("fifo", '6'), `type "fifo"`, nil},
		{38, "FIFO in the archive", changed(func(h *header) { h.kind = '6' }), "header differs", nil},
		{39, "socket", typed("socket", 's'), `type "socket"`, nil},
		{39, "socket in the archive", changed(func(h *header) { h.kind = 's' }), "header differs", nil},
		{40, "unknown type", changed(func(h *header) { h.kind = '~' }), "header differs", nil},
		{40, "GNU volume", changed(func(h *header) { h.kind = 'V' }), "header differs", nil},
		{40, "GNU continuation", changed(func(h *header) { h.kind = 'M' }), "header differs", nil},
		{40, "GNU old name", changed(func(h *header) { h.kind = 'N' }), "header differs", nil},
		{40, "GNU folder dump", changed(func(h *header) { h.kind = 'D' }), "header differs", nil},
		{40, "NUL, the oldest file", archivedAs(patched(plainHeader().bytes(), 156, "\x00")), "header differs", nil},
		{41, "setuid that is not declared", changed(func(h *header) { h.mode = octal(8, 0o4755) }), "header differs", nil},
		{41, "setgid that is not declared", changed(func(h *header) { h.mode = octal(8, 0o2755) }), "header differs", nil},
		{41, "declared setuid comes with its content", nil, "", func(w *world) {
			w.hasMode("opt/su", file("opt/su", "x").claims("mode", 0o4755).archived(header{name: "opt/su", size: octal(12, 1), mode: octal(8, 0o4755)}.bytes()), 0o755|fs.ModeSetuid)
		}},
		{42, "bits that are not permissions", good(file("z", "").claims("mode", 0o10644)), "not permissions", nil},
		{42, "sticky folder that is not declared", good(dir("z").archived(header{name: "z/", kind: '5', mode: octal(8, 0o1777)}.bytes())), "header differs", nil},
		{42, "declared sticky folder", nil, "", func(w *world) {
			w.hasMode("opt/z", dir("opt/z").claims("mode", 0o1777).archived(header{name: "opt/z/", kind: '5', mode: octal(8, 0o1777)}.bytes()), 0o777|fs.ModeSticky|fs.ModeDir)
		}},
		{43, "capability that is not declared", archivedAs(pax("SCHILY.xattr.security.capability=\x01\x00\x00\x02"), plainHeader().bytes()), misplaced, nil},
		{43, "access list that is not declared", archivedAs(pax("SCHILY.xattr.system.posix_acl_access=\x02\x00"), plainHeader().bytes()), misplaced, nil},
		{43, "of a foreign name space", good(file("z", "").claims("xattrs", says{"os2.x": "AQ=="})), "not allowed", nil},
		{44, "attribute without a name space", good(file("z", "").claims("xattrs", says{"x": "AQ=="})), "not allowed", nil},
		{44, "attribute with =", good(file("z", "").claims("xattrs", says{"user.a=b": "AQ=="})), "not allowed", nil},
		{44, "attribute with a newline", good(file("z", "").claims("xattrs", says{"user.a\n12 path=/etc/shadow": "AQ=="})), "not allowed", nil},
		{44, "attribute of 64 KiB", good(file("z", "").claims("xattrs", says{"user.a": base64.StdEncoding.EncodeToString(make([]byte, 64<<10))})), "extended attributes", nil},
		{45, "owner -1", good(file("z", "").claims("owner", "-1")), "not a name", nil},
		{45, "owner 2^32-1", good(file("z", "").claims("owner", "4294967295")), "not a name", nil},
		{45, "number where a name belongs", good(file("z", "").claims("owner", 0)), "manifest", nil},
		{45, "owner with a colon", good(file("z", "").claims("group", "root:x")), "not a name", nil},
		{45, "2^31 in the archive", changed(func(h *header) { h.uid = "\x80\x00\x00\x00\x80\x00\x00\x00" }), "header differs", nil},
		{45, "2^63 in the archive", changed(func(h *header) { h.gid = "\xff\xff\xff\xff\xff\xff\xff\xff" }), "header differs", nil},
		{45, "unknown name", nil, "", func(w *world) {
			r := w.try(&pkg{name: "stranger", version: "1.0.0", members: []member{file("z", "x").claims("owner", "nobody-knows").archived(
				header{name: "z", size: octal(12, 1), uid: octal(8, 65534), user: "nobody-knows"}.bytes())}})
			w.bounded(r)
			if !strings.Contains(r.stdout+r.stderr, "nobody-knows") {
				w.t.Errorf("exit code %d, without naming the unknown owner: %s%s", r.code, r.stdout, r.stderr)
			}
		}},
		{46, "closed folder with files can be removed", nil, "", func(w *world) {
			closed := dir("opt/closed").claims("mode", nil).archived(header{name: "opt/closed/", kind: '5', mode: octal(8, 0)}.bytes())
			before := names(w.t, w.root)
			p := &pkg{name: "closed", version: "1.0.0", members: []member{closed, file("opt/closed/x", "x")}}
			w.install(p)
			if r := w.pkgtool("remove", "--yes", "closed"); r.code != 0 || names(w.t, w.root) != before {
				w.t.Errorf("remove: %s\n%s", r.stderr, names(w.t, w.root))
			}
			out := filepath.Join(w.dir, "out")
			if r := w.pkgtool("pkg", "extract", w.write(p.bytes(w.t, w.key)), "-C", out); r.code != 0 {
				w.t.Errorf("extract: %s", r.stderr)
			}
			w.must(os.Chmod(filepath.Join(out, "opt/closed"), 0o700))
		}},
		{47, "negative time", good().with("provenance", says{"origin": "import", "epoch": -1}), "not a time", nil},
		{47, "2^53 seconds", good().with("provenance", says{"origin": "import", "epoch": 1 << 53}), "not a time", nil},
		{47, "no number", good().with("provenance", says{"origin": "import", "epoch": "NaN"}), "manifest", nil},
		{47, "another time in the archive", changed(func(h *header) { h.mtime = octal(12, 1) }), "header differs", nil},
		{47, "NaN in a pax record", archivedAs(pax("mtime=NaN"), plainHeader().bytes()), misplaced, nil},
		{48, "immutable flag", archivedAs(pax("SCHILY.fflags=schg,immutable"), plainHeader().bytes()), misplaced, nil},
		{48, "security label", archivedAs(pax("RHT.security.selinux=system_u:object_r:shadow_t:s0"), plainHeader().bytes()), misplaced, nil},
		{48, "label as a field", good(file("z", "").claims("flags", "immutable")), "canonical", nil},
	}
}

// with sets a field of the manifest.
func (p *pkg) with(field string, value any) *pkg {
	p.fields = says{field: value}
	return p
}

// patched is b with text at offset, and a checksum that fits again.
func patched(b []byte, offset int, text string) []byte {
	copy(b[offset:], text)
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], octal(7, int64(sum))+" ")
	return b
}

// hasMode installs a member and asks for the mode that it then has.
func (w *world) hasMode(path string, m member, want fs.FileMode) {
	w.t.Helper()
	w.install(&pkg{name: "modes", version: "1.0.0", members: []member{m}})
	info, err := os.Lstat(filepath.Join(w.root, path))
	w.must(err)
	if info.Mode() != want {
		w.t.Errorf("%s has mode %v instead of %v", path, info.Mode(), want)
	}
}
