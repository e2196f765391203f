package strictyaml

import (
	"encoding/json"
	"strings"
	"testing"
)

type sample struct {
	Name    string            `yaml:"name"`
	Sources []sampleSource    `yaml:"sources,omitempty"`
	Vars    map[string]string `yaml:"vars,omitempty"`
	Count   int               `yaml:"count,omitempty"`
}

type sampleSource struct {
	URLs   []string `yaml:"urls"`
	SHA256 string   `yaml:"sha256,omitempty"`
}

func TestDecode(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"good", "name: a\nsources:\n  - urls: [x]\n    sha256: y\nvars: {any: thing}\n", ""},
		{"near key", "name: a\nsources:\n  - url: [x]\n", `f.yaml:3:5: unknown key "url" in sources; did you mean "urls"?`},
		{"far key", "name: a\nzzzzzzzzz: 1\n", `f.yaml:2:1: unknown key "zzzzzzzzz"; known keys: count, name, sources, vars`},
		{"single far key", "nmae: 1\n", `did you mean "name"?`},
		{"twice", "name: a\nname: b\n", `f.yaml:2:1: `},
		{"type", "name: a\ncount: many\n", `f.yaml:2:8: `},
		{"two documents", "name: a\n---\nname: b\n", `f.yaml:3:1: a second document`},
		{"empty", "", `f.yaml:1:1: the file is empty`},
		{"syntax", "name: [a\n", `f.yaml:`},
		{"alias", "name: &x a\nvars: {b: *x}\n", `anchors and aliases are not allowed`},
		{"deep", "name: " + strings.Repeat("[", 6000), `nested deeper`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s sample
			err := Decode("f.yaml", []byte(c.in), &s)
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestSchemaHasTheYAMLKeys(t *testing.T) {
	raw, err := Schema(&sample{}, "Sample")
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Title                string
		Properties           map[string]any
		AdditionalProperties *bool
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	if s.Title != "Sample" || s.Properties["sources"] == nil || s.AdditionalProperties == nil || *s.AdditionalProperties {
		t.Fatalf("schema: %s", raw)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: a\nsources:\n  - urls: [x]\n"))
	f.Add([]byte("? [a]\n: - b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s sample
		_ = Decode("f.yaml", data, &s) // must not panic or hang
	})
}
