package advisory

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"ashlar/pkgtool/version"
)

// document is an advisory about package openssl with these ranges or versions.
func document(id, what string) []byte {
	return fmt.Appendf(nil, `{"schema_version":"1.6.0","id":%q,"modified":"2026-11-01T00:00:00Z","aliases":["CVE-2026-1"],"database_specific":{"kept":true},
		"affected":[{"package":{"ecosystem":"Ashlar","name":"openssl"},%s},{"package":{"ecosystem":"PyPI","name":"other"},"versions":["anything at all"]}]}`, id, what)
}

func ranges(events string) string {
	return `"ranges":[{"type":"ECOSYSTEM","events":[` + events + `]}]`
}

func TestAffects(t *testing.T) {
	for _, c := range []struct {
		what, build string
		affected    bool
		fixed       string
	}{
		{ranges(`{"introduced":"0"},{"fixed":"3.0.11-2"}`), "3.0.11-1", true, "3.0.11-2"},
		{ranges(`{"introduced":"0"},{"fixed":"3.0.11-2"}`), "3.0.11-2", false, ""},
		{ranges(`{"introduced":"0"},{"fixed":"3.0.11"}`), "3.0.11-1", false, ""},
		{ranges(`{"introduced":"0"},{"fixed":"3.0.11"}`), "3.0.11-rc.1-1", true, "3.0.11"},
		{ranges(`{"introduced":"3.0.0"},{"fixed":"3.0.11"}`), "2.9.9-9", false, ""},
		{ranges(`{"introduced":"3.0.0"},{"fixed":"3.0.11"}`), "3.0.0-1", true, "3.0.11"},
		{ranges(`{"introduced":"3.0.0"}`), "9.0.0-1", true, ""},
		{ranges(`{"introduced":"0"},{"last_affected":"3.0.11"}`), "3.0.11-7", true, ""},
		{ranges(`{"introduced":"0"},{"last_affected":"3.0.11"}`), "3.0.12-1", false, ""},
		{ranges(`{"introduced":"0"},{"fixed":"1.1.2"},{"introduced":"3.0.0"},{"fixed":"3.0.2"}`), "1.1.9-1", false, ""},
		{ranges(`{"introduced":"0"},{"fixed":"1.1.2"},{"introduced":"3.0.0"},{"fixed":"3.0.2"}`), "3.0.1-1", true, "3.0.2"},
		{ranges(`{"introduced":"3.0.0"},{"fixed":"3.0.2"},{"introduced":"0"},{"fixed":"1.1.2"}`), "1.0.0-1", true, "1.1.2"},
		{ranges(`{"introduced":"0"},{"fixed":"1:3.0.0"}`), "9.0.0-1", true, "1:3.0.0"},
		{ranges(`{"introduced":"0"},{"fixed":"1:3.0.0"}`), "1:3.0.0-1", false, ""},
		{`"versions":["3.0.4","3.0.5-2"]`, "3.0.4-9", true, ""},
		{`"versions":["3.0.4","3.0.5-2"]`, "3.0.5-1", false, ""},
		{`"versions":["3.0.4","3.0.5-2"]`, "3.0.5-2", true, ""},
	} {
		a, err := Parse(document("ASH-1", c.what))
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		v, err := version.Parse(c.build)
		if err != nil {
			t.Fatal(err)
		}
		affected, fixed := a.Affects("openssl", v)
		if affected != c.affected || fixed != c.fixed {
			t.Errorf("%s: %s: affected %v, fixed in %q; want %v, %q", c.what, c.build, affected, fixed, c.affected, c.fixed)
		}
		if other, _ := a.Affects("other", v); other {
			t.Errorf("%s: matches a package of another ecosystem", c.what)
		}
	}
}

func TestWithdrawnAffectsNothing(t *testing.T) {
	data := bytes.Replace(document("ASH-1", ranges(`{"introduced":"0"}`)), []byte(`"aliases"`), []byte(`"withdrawn":"2026-11-02T00:00:00Z","aliases"`), 1)
	a, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := version.Parse("1.0.0-1")
	if affected, _ := a.Affects("openssl", v); affected {
		t.Error("a withdrawn advisory affects a package")
	}
}

func TestParseRefuses(t *testing.T) {
	for want, data := range map[string][]byte{
		"no version":           document("ASH-1", ranges(`{"introduced":"3.0"}`)),
		"instead of one":       document("ASH-1", ranges(`{"introduced":"0","fixed":"1.0.0"}`)),
		"where it was":         document("ASH-1", ranges(`{"fixed":"1.0.0"}`)),
		"neither ranges":       document("ASH-1", `"ranges":[]`),
		"not an OSV":           document("../../x", ranges(`{"introduced":"0"}`)),
		"range type":           document("ASH-1", `"ranges":[{"type":"X","events":[]}]`),
		"nothing of ecosystem": []byte(`{"id":"ASH-1","modified":"2026-11-01T00:00:00Z","affected":[]}`),
		"no time in modified":  []byte(`{"id":"ASH-1"}`),
		"at most":              bytes.Repeat([]byte(" "), MaxSize+1),
	} {
		if _, err := Parse(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: error %v, want one with %q", data, err, want)
		}
	}
}

func TestFileKeepsDocuments(t *testing.T) {
	var all []*Advisory
	for _, id := range []string{"ASH-2", "ASH-1"} {
		a, err := Parse(document(id, ranges(`{"introduced":"0"}`)))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	data, plain, err := Encode(all)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data, plain)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].ID != "ASH-1" || !bytes.Equal(got[1].JSON(), all[0].JSON()) || !bytes.Contains(got[1].JSON(), []byte(`"kept":true`)) {
		t.Errorf("read %v", got)
	}
	if _, err := Decode(data, plain-100); err == nil {
		t.Error("a file that is longer than stated was accepted")
	}
	if _, err := Decode(data[:len(data)-5], plain); err == nil {
		t.Error("a truncated file was accepted")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(document("ASH-1", ranges(`{"introduced":"0"},{"fixed":"3.0.11-2"}`)))
	f.Add(document("ASH-1", `"versions":["3.0.4"]`))
	v, _ := version.Parse("3.0.4-1")
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := Parse(data)
		if err != nil {
			return
		}
		for _, name := range a.Packages() {
			a.Affects(name, v)
		}
		again, err := Parse(a.JSON())
		if err != nil || !bytes.Equal(again.JSON(), a.JSON()) {
			t.Errorf("what was accepted changes when read again: %v", err)
		}
	})
}
