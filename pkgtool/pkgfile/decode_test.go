package pkgfile

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// decodeSlowly is what decodeManifest does without decodeFast.
func decodeSlowly(raw []byte) (*Manifest, bool) {
	m := &Manifest{}
	if json.Unmarshal(raw, m) != nil {
		return nil, false
	}
	again, err := m.encode()
	return m, err == nil && string(again) == string(raw)
}

// strange is a manifest with everything that needs care in JSON.
func strange(t testing.TB) []byte {
	t.Helper()
	inputs := zoo()
	for _, name := range []string{`qu"ote`, `back\slash`, `end\`, `<&>`, `"files":[`, "uni\u00e9", `a\"b\\`} {
		inputs = append(inputs, file("usr/"+strings.ReplaceAll(name, "/", "-"), name), symlink("usr/link-"+name, name))
	}
	m := manifest()
	m.Description = "a list: {\"files\":[{}],\"frames\":[]}"
	return open(t, write(t, m, inputs, Options{})).raw
}

func TestFastDecodingIsTheSame(t *testing.T) {
	raw := strange(t)
	want, canonical := decodeSlowly(raw)
	got := decodeFast(raw)
	if got == nil || !canonical || !reflect.DeepEqual(got, want) {
		t.Errorf("read as\n%+v, want\n%+v", got, want)
	}
	if got, err := DecodeManifest(raw); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("DecodeManifest: %+v, %v", got, err)
	}
	empty := []byte(`{"format":1,"name":"none","provenance":{}}`) // a package without files
	if got, err := DecodeManifest(empty); err != nil || got.Name != "none" {
		t.Errorf("DecodeManifest without files: %+v, %v", got, err)
	}
	if _, err := DecodeManifest([]byte(`{"files":[`)); err == nil {
		t.Error("DecodeManifest takes half a manifest")
	}
}

// FuzzDecode gives any bytes to both ways of reading: what is taken and what it
// means must be the same.
func FuzzDecode(f *testing.F) {
	raw := string(strange(f))
	f.Add([]byte(raw))
	f.Add([]byte(`{"files":[{"path":"a","path":"a"}],"provenance":{}}`))
	f.Add([]byte(`{"files":[{,"path":"a"}],"provenance":{}}`))
	f.Add([]byte(`{"files":[{"path":"\u0061\ud800"}],"provenance":{}}`))
	f.Add([]byte(`{"files":[{"mode":4294967297,"size":9223372036854775808}],"provenance":{}}`))
	f.Add([]byte(`{"files":[],"files":[{"path":"a"}],"provenance":{}}`))
	f.Add([]byte(`{"files":[{"xattrs":{"user.a":"AA==","user.a":"AA"}}],"provenance":{}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		want, canonical := decodeSlowly(raw)
		got, err := decodeManifest(raw)
		if canonical != (err == nil) || canonical && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v; want %v, %+v", raw, got, err, canonical, want)
		}
	})
}
