package oci

import (
	"encoding/json"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"ashlar/repo/tuf"
)

const sum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestTagOf(t *testing.T) {
	for path, want := range map[string]string{
		"pool/a/abc/0f23456789abcdef.abc-1.0.0-1.x86_64.ashlar":  "pool-0f",
		"pool/a/abc/0F23456789abcdef.abc-1.0.0-1.x86_64.ashlar":  RepositoryTag,
		"pool/a/abc/0f23456789abcde.abc-1.0.0-1.x86_64.ashlar":   RepositoryTag,
		"pool/a/abc/0f23456789abcdef":                            RepositoryTag,
		"pools/a/0f23456789abcdef.x":                             RepositoryTag,
		"index/" + sum + ".stable.x86_64.zst":                    RepositoryTag,
		"metadata/timestamp.json":                                RepositoryTag,
		"metadata/0f23456789abcdef.json":                         RepositoryTag,
		"pool/g/g++/ff23456789abcdef.g++-1:1.0.0-1.noarch.other": "pool-ff",
	} {
		if got := TagOf(path); got != want {
			t.Errorf("%s: %s; want %s", path, got, want)
		}
	}
	if first, last := ShardTag(0), ShardTag(Shards-1); first != "pool-00" || last != "pool-ff" {
		t.Errorf("shards %s to %s", first, last)
	}
}

func TestPlaceOf(t *testing.T) {
	for text, want := range map[string]string{
		"oci://registry.example.org/packages":       "https://registry.example.org/v2/packages/manifests/x",
		"oci://registry.example.org:5000/a/b-c/":    "https://registry.example.org:5000/v2/a/b-c/manifests/x",
		"oci+http://127.0.0.1:5000/packages":        "http://127.0.0.1:5000/v2/packages/manifests/x",
		"oci://docker.io/someone/packages":          "https://registry-1.docker.io/v2/someone/packages/manifests/x",
		"oci://host":                                "",
		"oci:///packages":                           "",
		"oci://host/Upper":                          "",
		"oci://host/a/../b":                         "",
		"oci://host/a//b":                           "",
		"oci://host/a:tag":                          "",
		"oci://host/a@sha256:00":                    "",
		"oci://user:secret@host/a":                  "",
		"oci://host/a?x=y":                          "",
		"oci://host/a#x":                            "",
		"https://host/a":                            "",
		"oci://host/" + strings.Repeat("a", 256):    "",
		"oci+https://registry.example.org/packages": "",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		p, err := PlaceOf(u)
		switch {
		case (err == nil) != (want != ""):
			t.Errorf("%s: %+v, %v", text, p, err)
		case err == nil && p.Manifest("x") != want:
			t.Errorf("%s: %s; want %s", text, p.Manifest("x"), want)
		case err == nil && p.String() != strings.TrimSuffix(text, "/"):
			t.Errorf("%s calls itself %s", text, p)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestEncodeAndDecode(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	files := map[string]File{}
	for _, path := range []string{"metadata/timestamp.json", "metadata/1.root.json", "index/x"} {
		files[path] = File{path, 5, sum, at}
	}
	for tag, files := range map[string]map[string]File{
		RepositoryTag: files,
		"pool-01":     {"pool/a/a/0123456789abcdef.a": {"pool/a/a/0123456789abcdef.a", 0, sum, at}},
		"pool-02":     {},
	} {
		data, err := Encode(tag, files)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(tag, data)
		if err != nil || !maps.Equal(got, files) {
			t.Errorf("%s: %v, %v; want %v", tag, got, err, files)
		}
		again, err := Encode(tag, got)
		if err != nil || string(again) != string(data) {
			t.Errorf("%s: again %s; first %s", tag, again, data)
		}
		var is struct {
			Config struct{ Digest string }
			Layers []json.RawMessage
		}
		if err := json.Unmarshal(data, &is); err != nil || len(is.Layers) == 0 || is.Config.Digest != "sha256:"+EmptySHA256 {
			t.Errorf("%s is no manifest of the specification: %s", tag, data)
		}
	}
}

func TestEncodeKnowsTheLimit(t *testing.T) {
	files := map[string]File{}
	for i := range 20000 {
		path := "index/" + strings.Repeat("x", i%50) + time.Duration(i).String()
		files[path] = File{Path: path, SHA256: sum}
	}
	if data, err := Encode(RepositoryTag, files); err == nil {
		t.Errorf("a manifest of %d bytes", len(data))
	}
}

// layer is a manifest with one layer, of which old is replaced by text.
func spoiled(old, text string) string {
	const good = `{"schemaVersion":2,"mediaType":"` + ManifestType + `","config":{},"layers":[` +
		`{"mediaType":"x","digest":"sha256:` + sum + `","size":1,"annotations":{"` + titleKey + `":"index/x"}}]}`
	return strings.Replace(good, old, text, 1)
}

func TestDecodeRefuses(t *testing.T) {
	if files, err := Decode(RepositoryTag, []byte(spoiled("", ""))); err != nil || len(files) != 1 {
		t.Fatalf("the good one: %v, %v", files, err)
	}
	if files, err := Decode(RepositoryTag, []byte(spoiled(titleKey, "else"))); err != nil || len(files) != 0 {
		t.Errorf("a layer without title: %v, %v", files, err)
	}
	for name, text := range map[string]string{
		"nothing":         "",
		"no manifest":     "[]",
		"a page":          "<html>sign on</html>",
		"more":            spoiled("", "") + "{}",
		"schema":          spoiled(`"schemaVersion":2`, `"schemaVersion":1`),
		"index":           spoiled(ManifestType, "application/vnd.oci.image.index.v1+json"),
		"climbing":        spoiled("index/x", "../x"),
		"absolute":        spoiled("index/x", "/x"),
		"control":         spoiled("index/x", `index/\u0000`),
		"others' file":    spoiled("index/x", "pool/a/a/0123456789abcdef.a"),
		"sha512":          spoiled("sha256:", "sha512:"),
		"short digest":    spoiled(sum, sum[:63]),
		"upper digest":    spoiled(sum, strings.ToUpper(sum)),
		"digest as path":  spoiled(sum, "../../../../"+sum[:52]),
		"negative":        spoiled(`"size":1`, `"size":-1`),
		"size":            spoiled(`"size":1`, `"size":9007199254740993`),
		"listed twice":    spoiled(`]}`, `,`+spoiled("", "")[strings.Index(spoiled("", ""), `{"mediaType":"x"`):]),
		"size as a text":  spoiled(`"size":1`, `"size":"1"`),
		"layers no list":  `{"schemaVersion":2,"layers":{}}`,
		"title no string": spoiled(`"index/x"`, "1"),
	} {
		if files, err := Decode(RepositoryTag, []byte(text)); tuf.KindOf(err) != tuf.Tampered {
			t.Errorf("%s: %v, %v", name, files, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(RepositoryTag, spoiled("", ""))
	f.Add("pool-01", spoiled("index/x", "pool/a/a/0123456789abcdef.a"))
	f.Add(RepositoryTag, spoiled(`"size":1`, `"size":1e3`))
	f.Fuzz(func(t *testing.T, tag, text string) {
		files, err := Decode(tag, []byte(text))
		if err != nil {
			if tuf.KindOf(err) != tuf.Tampered {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		for path, f := range files {
			if f.Path != path || TagOf(path) != tag || len(f.SHA256) != 64 || f.Size < 0 {
				t.Fatalf("took %+v", f)
			}
		}
	})
}
