package index

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// FuzzLine: what the quick reader takes, encoding/json reads as the same.
func FuzzLine(f *testing.F) {
	full := universe(1)[0]
	full.Epoch, full.InstallOnly, full.Vendor = 7, true, "Müller"
	full.Conflicts, full.Replaces, full.Recommends, full.Supplements = []string{"a <2"}, []string{"b"}, []string{"c", "d"}, []string{"e"}
	lean := Entry{}
	for _, e := range []Entry{full, lean} {
		line, err := appendLine(nil, &e)
		if err != nil {
			f.Fatal(err)
		}
		text := strings.TrimSuffix(string(line), "\n")
		f.Add(text)
		f.Add(text + " ")
		f.Add(strings.Replace(text, `"version"`, `"name":"x","version"`, 1))
		f.Add(strings.Replace(text, `"release":`, `"release":0`, 1))
		f.Add(strings.Replace(text, `"size":`, `"size":99999999999999999999`, 1))
		f.Add(strings.Replace(text, `"release":`, `"release":4294967296`, 1))
		f.Add(strings.Replace(text, `"release":`, `"release":-`, 1))
		f.Add(strings.Replace(text, "c", "\\u0063", 1))
		f.Add(strings.Replace(text, `:"`, ":\"\xff", 1))
		f.Add(strings.Replace(text, `:"`, ":\"\x01", 1))
		f.Add(strings.Replace(text, `:["`, `:[],"x":["`, 1))
		f.Add(strings.Replace(text, `]`, `,]`, 1))
	}
	f.Fuzz(func(t *testing.T, line string) {
		var quick, slow Entry
		if !canonical(line, &quick) {
			return
		}
		if err := json.Unmarshal([]byte(line), &slow); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if !reflect.DeepEqual(quick, slow) {
			t.Fatalf("%q: %+v instead of %+v", line, quick, slow)
		}
	})
}

// TestLinesAreCanonical: the quick reader is the one that is used.
func TestLinesAreCanonical(t *testing.T) {
	for _, e := range universe(200) {
		line, err := appendLine(nil, &e)
		if err != nil {
			t.Fatal(err)
		}
		var got Entry
		if !canonical(strings.TrimSuffix(string(line), "\n"), &got) || !reflect.DeepEqual(got, e) {
			t.Fatalf("%q is read as %+v", line, got)
		}
	}
}
