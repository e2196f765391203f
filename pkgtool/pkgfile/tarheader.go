package pkgfile

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

const tarBlock = 512

// trailerSize is the length of the zeros that end a tar archive.
const trailerSize = 2 * tarBlock

func padding(size int64) int64 { return -size & (tarBlock - 1) }

// tarHeader is what stands in the archive before a file's content: a ustar
// header (POSIX.1-2001), preceded by a pax header only if a name, a link or an
// extended attribute needs one. It depends on nothing but the manifest: attr is
// where mode and owner come from, which for a hard link is its target.
func tarHeader(f, attr *File, epoch int64) []byte { return appendTarHeader(nil, f, attr, epoch) }

func appendTarHeader(out []byte, f, attr *File, epoch int64) []byte {
	name := f.Path
	if f.Type == TypeDir {
		name += "/"
	}
	if records := paxRecords(name, f); records != "" {
		h := ustar("PaxHeaders/pax", 'x', 0o644, int64(len(records)), epoch, "", "root", "root")
		out = append(out, h[:]...)
		out = append(out, records...)
		out = append(out, make([]byte, padding(int64(len(records))))...)
	}
	h := ustar(name, tarKind(f.Type), attr.Mode, f.Size, epoch, f.Target, attr.Owner, attr.Group)
	return append(out, h[:]...)
}

func tarKind(fileType string) byte {
	switch fileType {
	case TypeHardlink:
		return '1'
	case TypeSymlink:
		return '2'
	case TypeDir:
		return '5'
	}
	return '0'
}

// headerSize is len(tarHeader(f, ...)).
func headerSize(f *File) int64 {
	name := f.Path
	if f.Type == TypeDir {
		name += "/"
	}
	n := int64(len(paxRecords(name, f)))
	if n > 0 {
		n += tarBlock + padding(n)
	}
	return n + tarBlock
}

func paxRecords(name string, f *File) string {
	if len(f.Xattrs) == 0 && fitsUstar(name) && fitsUstar(f.Target) {
		return ""
	}
	records := map[string]string{}
	if !fitsUstar(name) {
		records["path"] = name
	}
	if !fitsUstar(f.Target) {
		records["linkpath"] = f.Target
	}
	for attr, value := range f.Xattrs {
		records["SCHILY.xattr."+attr] = string(value)
	}
	keys := make([]string, 0, len(records))
	for key := range records {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	var out strings.Builder
	for _, key := range keys {
		out.WriteString(paxRecord(key, records[key]))
	}
	return out.String()
}

// paxRecord is "length key=value\n", where length counts itself.
func paxRecord(key, value string) string {
	rest := len(key) + len(value) + 3 // space, =, newline
	length := rest + len(strconv.Itoa(rest))
	if len(strconv.Itoa(length)) != len(strconv.Itoa(rest)) {
		length++
	}
	return fmt.Sprintf("%d %s=%s\n", length, key, value)
}

// fitsUstar reports whether s can stand in a 100-byte field as it is.
func fitsUstar(s string) bool { return len(s) <= 100 && isASCII(s) }

// ustarText is s, or if it does not fit a hint of it for readers without pax.
func ustarText(s string) string {
	if fitsUstar(s) {
		return s
	}
	hint := []byte(s[:min(len(s), 100)])
	for i, c := range hint {
		if c >= 0x80 {
			hint[i] = '_'
		}
	}
	return string(hint)
}

func ustar(name string, kind byte, mode uint32, size, epoch int64, target, owner, group string) (h [tarBlock]byte) {
	copy(h[0:100], ustarText(name))
	octal(h[100:108], int64(mode))
	octal(h[108:116], numericID(owner))
	octal(h[116:124], numericID(group))
	octal(h[124:136], size)
	octal(h[136:148], epoch)
	copy(h[148:156], "        ")
	h[156] = kind
	copy(h[157:257], ustarText(target))
	copy(h[257:265], "ustar\x0000")
	copy(h[265:297], owner)
	copy(h[297:329], group)
	octal(h[329:337], 0)
	octal(h[337:345], 0)
	var sum int64
	for _, c := range h {
		sum += int64(c)
	}
	octal(h[148:155], sum)
	h[155] = ' '
	return h
}

// numericID stands beside an owner's name for hosts that do not know it:
// nobody, so that a setuid file unpacked there does not become root's.
func numericID(owner string) int64 {
	if owner == "root" {
		return 0
	}
	return 65534
}

// octal fills a field with leading zeros and a closing NUL.
func octal(field []byte, n int64) {
	digits := len(field) - 1
	s := strconv.FormatInt(n, 8)
	for i := range digits {
		field[i] = '0'
	}
	copy(field[digits-len(s):], s)
	field[digits] = 0
}
