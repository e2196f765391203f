package apt

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"ashlar/pkgtool/fault"
)

func TestParseListAndSources(t *testing.T) {
	for _, c := range []struct {
		name  string
		parse func([]byte) ([]Repository, error)
		text  string
		want  string // one entry per line: URIs | suites | components | signed-by
		err   string
	}{
		{"one line", ParseList, "deb http://a.example/debian bookworm main contrib\n", "[http://a.example/debian] [bookworm] [main contrib] ", ""},
		{"comment, blank, tabs", ParseList, "# no\n\n deb\thttp://a.example/debian/\tbookworm\tmain # yes\n", "[http://a.example/debian] [bookworm] [main] ", ""},
		{"options", ParseList, "deb [arch=amd64 signed-by=/k.gpg] http://a.example/debian bookworm main\n", "[http://a.example/debian] [bookworm] [main] /k.gpg", ""},
		{"exact path", ParseList, "deb http://a.example/x ./\n", "[http://a.example/x] [./] [] ", ""},
		{"open bracket", ParseList, "deb [arch=amd64 http://a.example/debian bookworm main\n", "", "line 1: options without"},
		{"unknown type", ParseList, "\nrpm http://a.example/debian bookworm main\n", "", "line 2: type"},
		{"too short", ParseList, "deb http://a.example/debian\n", "", "line 1: a URI and a suite"},
		{"deb822", ParseSources, "Types: deb deb-src\nURIs: http://a.example/debian/ http://b.example/debian\nSuites: bookworm\n bookworm-updates\n# c\nComponents: main\nSigned-By: /k.gpg\n",
			"[http://a.example/debian http://b.example/debian] [bookworm bookworm-updates] [main] /k.gpg", ""},
		{"deb822 any case, two", ParseSources, "types: deb\nuris: http://a.example/1\nSUITES: s\n\n\nTypes: deb\nURIs: http://a.example/2\nSuites: s\n",
			"[http://a.example/1] [s] [] \n[http://a.example/2] [s] [] ", ""},
		{"disabled", ParseSources, "Enabled: no\nTypes: deb\nURIs: http://a.example/1\nSuites: s\n", "", ""},
		{"inline key", ParseSources, "Types: deb\nURIs: http://a.example/1\nSuites: s\nSigned-By:\n -----BEGIN PGP-----\n .\n x\n", "[http://a.example/1] [s] [] ", ""},
		{"no URI", ParseSources, "Types: deb\nSuites: s\n", "", "without URIs"},
		{"not a field", ParseSources, "Types deb\n", "", "line 1: not a field"},
		{"twice", ParseSources, "URIs: a\nURIs: b\n", "", "line 2: field URIs given twice"},
		{"stray continuation", ParseSources, " x\n", "", "line 1: a continuation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := c.parse([]byte(c.text))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range found {
				got = append(got, fmt.Sprintf("%v %v %v %s", r.URIs, r.Suites, r.Components, r.SignedBy))
			}
			if text := strings.Join(got, "\n"); text != c.want {
				t.Errorf("got\n%s\nwant\n%s", text, c.want)
			}
		})
	}
}

func TestRepositoriesAndMirrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("sources.list", "deb http://other.example/repo bookworm main\n")
	write("sources.list.d/debian.sources", "Types: deb\nURIs: http://m.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n\n"+
		"Types: deb\nURIs: http://m.example/debian-security\nSuites: bookworm-security\nComponents: main\n")
	write("sources.list.d/tool.list", "deb http://tool.example/apt tool-bookworm main\ndeb http://x.example/y bookworm stable\n")
	write("sources.list.d/ignored.save", "deb http://no.example/debian bookworm main\n")
	write("sources.list.d/broken.list", "what\n")
	repositories, err := Repositories(dir)
	if err == nil || !strings.Contains(err.Error(), "broken.list: line 1") {
		t.Errorf("error %v", err)
	}
	if got, want := DebianMirrors(repositories, "debian"), []string{"http://m.example/debian", "http://other.example/repo"}; !slices.Equal(got, want) {
		t.Errorf("debian: %q, want %q", got, want)
	}
	if got, want := DebianMirrors(repositories, "debian-security"), []string{"http://m.example/debian-security"}; !slices.Equal(got, want) {
		t.Errorf("security: %q, want %q", got, want)
	}
	if got := Keyrings(repositories); got[0] != "/k.gpg" || len(got) != 2 {
		t.Errorf("keyrings %q", got)
	}
	if none, err := Repositories(filepath.Join(dir, "absent")); err != nil || len(none) != 0 {
		t.Errorf("absent folder: %v, %v", none, err)
	}
}

func TestProxy(t *testing.T) {
	for _, c := range []struct{ text, http, https string }{
		{`Acquire::http::Proxy "http://p.example:3128";`, "http://p.example:3128", "http://p.example:3128"},
		{`Acquire { http { Proxy "http://p.example"; }; https { Proxy "DIRECT"; }; };`, "http://p.example", ""},
		{"// Acquire::http::Proxy \"http://no\";\n/* Acquire::http::Proxy \"x\"; */ # Acquire::http::Proxy \"x\";\n", "", ""},
		{`Acquire::https::Proxy "http://s.example";`, "", "http://s.example"},
		{`Acquire::http::Proxy "unfinished`, "", ""},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "apt.conf"), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := Proxy(dir, "http"); got != c.http {
			t.Errorf("%s: http %q, want %q", c.text, got, c.http)
		}
		if got := Proxy(dir, "https"); got != c.https {
			t.Errorf("%s: https %q, want %q", c.text, got, c.https)
		}
	}
}

func TestParseDepends(t *testing.T) {
	got := ParseDepends("libc6 (>= 2.34), perl:any | perl-base <!nocheck> ,awk [amd64],\n x")
	want := []Dependency{{"libc6"}, {"perl", "perl-base"}, {"awk"}, {"x"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

const sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestReadPackages(t *testing.T) {
	good := "Package: a\nVersion: 1\nArchitecture: amd64\nFilename: pool/a.deb\nSize: 3\nSHA256: " + sum + "\nProvides: v (= 1)\nPre-Depends: b\nDepends: c | d\n"
	all, err := ReadPackages(strings.NewReader(good))
	if err != nil || all["a"] == nil || !slices.Equal(all["a"].Provides, []string{"v"}) || len(all["a"].Depends) != 2 {
		t.Fatalf("%+v, %v", all["a"], err)
	}
	for _, bad := range []string{
		strings.Replace(good, "pool/a.deb", "../a.deb", 1), strings.Replace(good, "pool/a.deb", "/a.deb", 1),
		strings.Replace(good, sum, "12", 1), strings.Replace(good, "Size: 3", "Size: -3", 1),
	} {
		if _, err := ReadPackages(strings.NewReader(bad)); err == nil {
			t.Errorf("accepted:\n%s", bad)
		}
	}
}

func TestParseRelease(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	good := "Origin: Debian\nCodename: bookworm\nVersion: 12\nDate: Sat, 11 Jul 2026 10:16:37 UTC\nSHA256:\n " + sum + " 12 main/x.xz\n"
	r, err := parseRelease([]byte(good), now)
	if err != nil || r.Files["main/x.xz"] != (File{sum, 12}) || r.Codename != "bookworm" {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := parseRelease([]byte(good+"Valid-Until: Sat, 11 Jul 2020 10:16:37 UTC\n"), now); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("expired: %v", err)
	}
	if _, err := VerifyRelease([]byte(good), nil, now); err == nil {
		t.Error("unsigned text accepted")
	}
}

func FuzzStanzas(f *testing.F) {
	f.Add([]byte("A: b\n c\n\nD: e\n"))
	f.Add([]byte("Package: a\nFilename: pool/x\nSize: 1\nSHA256: " + sum + "\nDepends: a|b, c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		Stanzas(strings.NewReader(string(data)), func(s Stanza) error {
			for name := range s {
				if name == "" || strings.ContainsAny(name, "\n ") {
					t.Errorf("field name %q", name)
				}
			}
			return nil
		})
		ReadPackages(strings.NewReader(string(data)))
		ReadSources(strings.NewReader(string(data)), func(*SourcePackage) error { return nil })
		parseRelease(data, time.Unix(0, 0))
	})
}

func FuzzSources(f *testing.F) {
	f.Add([]byte("deb [a=b] http://x.example/debian bookworm main\n"))
	f.Add([]byte("Types: deb\nURIs: http://x.example/debian\nSuites: bookworm\n"))
	f.Add([]byte("A { B { C \"d\"; }; };"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, parse := range []func([]byte) ([]Repository, error){ParseList, ParseSources} {
			found, _ := parse(data)
			for _, r := range found {
				if len(r.URIs) == 0 || len(r.Suites) == 0 {
					t.Errorf("incomplete entry %+v", r)
				}
			}
			DebianMirrors(found, "debian")
		}
		parseConf(string(data))
	})
}

func TestVerifyRelease(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	key := func(name string) *openpgp.Entity {
		e, err := openpgp.NewEntity(name, "", name+"@archive.example", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	archive, stranger := key("archive"), key("stranger")
	text := "Origin: Debian\nCodename: bookworm\nDate: Sat, 11 Jul 2026 10:16:37 UTC\nSHA256:\n " + sum + " 12 main/x.xz\n"
	var signed bytes.Buffer
	w, err := clearsign.Encode(&signed, archive.PrivateKey, &packet.Config{Time: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	good := signed.String()
	for _, c := range []struct {
		name string
		data string
		keys openpgp.EntityList
		ok   bool
	}{
		{"good", good, openpgp.EntityList{stranger, archive}, true},
		{"unknown key", good, openpgp.EntityList{stranger}, false},
		{"changed text", strings.Replace(good, "12 main", "13 main", 1), openpgp.EntityList{archive}, false},
		{"text after", good + "\nSHA256:\n", openpgp.EntityList{archive}, false},
		{"no keys", good, nil, false},
	} {
		r, err := VerifyRelease([]byte(c.data), c.keys, now)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.ok && r.Files["main/x.xz"].Size != 12 {
			t.Errorf("%s: %+v", c.name, r)
		}
		if !c.ok && fault.ClassOf(err) != fault.Security {
			t.Errorf("%s: class %d", c.name, fault.ClassOf(err))
		}
	}
}
