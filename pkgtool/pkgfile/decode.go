package pkgfile

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// decodeFast reads a manifest in canonical form, whose file list, which is
// nearly all of it, needs no general JSON reader. It returns nil for what it
// does not understand. What it understands need not be canonical: the caller
// encodes the result again and compares.
//
// The strings of files are parts of one copy of raw.
func decodeFast(raw []byte) *Manifest {
	// In a JSON text these bytes cannot be inside a string.
	const list = `"files":[`
	start := bytes.Index(raw, []byte(list))
	if start < 0 {
		return nil
	}
	r := &canonicalReader{rest: string(raw[start+len(list):]), good: true}
	files := r.files()
	if !r.good {
		return nil
	}
	others := append(bytes.Clone(raw[:start+len(list)]), ']')
	others = append(others, r.rest...)
	m := &Manifest{}
	if err := json.Unmarshal(others, m); err != nil {
		return nil
	}
	m.Files = files
	return m
}

// DecodeManifest reads a manifest that Open or ParseManifest has accepted before,
// which its hash must have shown: its form and rules are not checked again.
func DecodeManifest(raw []byte) (*Manifest, error) {
	if m := decodeFast(raw); m != nil {
		return m, nil
	}
	m := &Manifest{}
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}

// canonicalReader reads what encoding/json writes. It is not good any more after
// something unexpected.
type canonicalReader struct {
	rest string
	good bool
}

// files reads up to and with the bracket that ends the list.
func (r *canonicalReader) files() []File {
	// An entry has one type and at least 60 bytes, so this is enough and not much.
	files := make([]File, 0, min(strings.Count(r.rest, `"type":"`), len(r.rest)/60))
	for r.good {
		files = append(files, File{})
		r.file(&files[len(files)-1])
		if r.take("]") {
			return files
		}
		r.need(",")
	}
	return nil
}

// file reads the fields in the order of their names, those that are there.
func (r *canonicalReader) file(f *File) {
	r.need("{")
	if r.key(`"config":`) {
		f.Config = true
		r.need("true")
	}
	if r.key(`"frame":`) {
		f.Frame = int(r.number())
	}
	if r.key(`"group":`) {
		f.Group = r.text()
	}
	if r.key(`"mode":`) {
		f.Mode = uint32(r.number())
	}
	if r.key(`"offset":`) {
		f.Offset = r.number()
	}
	if r.key(`"owner":`) {
		f.Owner = r.text()
	}
	if r.key(`"path":`) {
		f.Path = r.text()
	}
	if r.key(`"sha256":`) {
		f.SHA256 = r.text()
	}
	if r.key(`"size":`) {
		f.Size = r.number()
	}
	if r.key(`"target":`) {
		f.Target = r.text()
	}
	if r.key(`"type":`) {
		f.Type = r.text()
	}
	if r.key(`"xattrs":`) {
		f.Xattrs = r.attributes()
	}
	r.need("}")
}

// key takes the name of a field, and the comma before it. Where there should be
// none or is none, encoding again shows it.
func (r *canonicalReader) key(name string) bool {
	if rest, ok := strings.CutPrefix(strings.TrimPrefix(r.rest, ","), name); ok {
		r.rest = rest
		return true
	}
	return false
}

func (r *canonicalReader) attributes() map[string][]byte {
	attributes := map[string][]byte{}
	r.need("{")
	for r.good {
		name := r.text()
		r.need(":")
		value, err := base64.StdEncoding.DecodeString(r.text())
		if err != nil {
			r.good = false
		}
		attributes[name] = value
		if r.take("}") {
			break
		}
		r.need(",")
	}
	return attributes
}

func (r *canonicalReader) take(token string) (ok bool) {
	r.rest, ok = strings.CutPrefix(r.rest, token)
	return ok
}

func (r *canonicalReader) need(token string) {
	if !r.take(token) {
		r.good = false
	}
}

// text reads a string. One with an escape ends at the first quote that has an
// even number of backslashes before it.
func (r *canonicalReader) text() string {
	r.need(`"`)
	end := strings.IndexByte(r.rest, '"')
	if !r.good || end < 0 {
		r.good = false
		return ""
	}
	plain := r.rest[:end]
	if strings.IndexByte(plain, '\\') < 0 {
		r.rest = r.rest[end+1:]
		return plain
	}
	for end = 0; end < len(r.rest) && r.rest[end] != '"'; end++ {
		if r.rest[end] == '\\' {
			end++
		}
	}
	if end >= len(r.rest) {
		r.good = false
		return ""
	}
	var unescaped string
	if json.Unmarshal([]byte(`"`+r.rest[:end+1]), &unescaped) != nil {
		r.good = false
	}
	r.rest = r.rest[end+1:]
	return unescaped
}

// number reads a number without sign of at most 18 digits.
func (r *canonicalReader) number() (n int64) {
	i := 0
	for ; i < len(r.rest) && i < 18 && '0' <= r.rest[i] && r.rest[i] <= '9'; i++ {
		n = 10*n + int64(r.rest[i]-'0')
	}
	r.rest = r.rest[i:]
	return n
}
