package cases

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/version"

	"pgregory.net/rapid"
)

// write puts a case and its universe into a new folder.
func write(t testing.TB, request, universe string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "case.json")
	for name, text := range map[string]string{path: request, filepath.Join(dir, "universe.jsonl"): universe} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func answer(t testing.TB, request, universe string) *Result {
	t.Helper()
	c, err := Read(write(t, request, universe))
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Solve(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const web = `{"name":"nginx","version":"2.0.0","release":3,"arch":"x86_64","repo":"main","requires":["openssl ^3","soname(libz.so.1)"]}
{"name":"nginx","version":"1.0.0","release":1,"arch":"x86_64","repo":"main","requires":["openssl"]}
{"name":"openssl","version":"3.0.0","release":1,"arch":"x86_64","repo":"main"}
{"name":"openssl","version":"1.1.0","release":1,"arch":"x86_64","installed":true,"reason":"requested"}

# what follows has few fields
{"name":"zlib","version":"1.2","provides":["soname(libz.so.1)"]}
`

func TestSolve(t *testing.T) {
	r := answer(t, `{"universe":"universe.jsonl","arch":"x86_64","repos":[{"name":"main","priority":10}],"install":["nginx"],"remove":[],"upgrade":[],"hold":[],"recommends":true}`, web)
	if r.Status != OK || !r.Proved || len(r.Install) != 2 || len(r.Upgrade) != 1 || len(r.Remove) != 0 || len(r.Notes) != 0 {
		t.Fatalf("%+v", r)
	}
	want := Step{Name: "nginx", Version: "2.0.0", Release: 3, EVR: "2.0.0-3", Arch: "x86_64", Repo: "main", Why: "requested"}
	if r.Install[0] != want {
		t.Errorf("got %+v", r.Install[0])
	}
	if zlib := r.Install[1]; zlib.Version != "1.2" || zlib.EVR != "1.2.0-1" {
		t.Errorf("got %+v", zlib)
	}
	if up := r.Upgrade[0]; up.Name != "openssl" || up.From != "1.1.0-1" || up.Why != "needed by nginx" {
		t.Errorf("got %+v", up)
	}
	if r.Explanation != "install nginx 2.0.0-3: requested\ninstall zlib 1.2.0-1: needed by nginx\nupgrade openssl 1.1.0-1 to 3.0.0-1: needed by nginx" {
		t.Error(r.Explanation)
	}
}

func TestSolveRefuses(t *testing.T) {
	r := answer(t, `{"universe":"universe.jsonl","install":["nginx@2.0.0-3"],"hold":"openssl"}`, web)
	if r.Status != Unsatisfiable || len(r.Install)+len(r.Upgrade)+len(r.Remove) > 0 {
		t.Fatalf("%+v", r)
	}
	want := []string{"you ask for nginx 2.0.0-3", "nginx 2.0.0-3 needs openssl ^3", "you hold openssl 1.1.0-1"}
	if !slices.Equal(r.Reasons, want) {
		t.Errorf("got %q", r.Reasons)
	}
	if !slices.Equal(r.Remedies, []string{"ask for any version of nginx", "no longer hold openssl"}) {
		t.Errorf("got %q", r.Remedies)
	}
}

func TestTimeout(t *testing.T) {
	c, err := Read(write(t, `{"universe":"universe.jsonl","install":["nginx"]}`, web))
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Solve(t.Context(), time.Nanosecond)
	if err != nil || r.Status != TimedOut || r.Explanation == "" {
		t.Fatalf("%+v, %v", r, err)
	}
}

// What a universe may leave out or spell in several ways.
func TestSpellings(t *testing.T) {
	for text, want := range map[string]string{
		`{"name":"a","version":"1.2.3"}`:                                  "1.2.3-1",
		`{"name":"a","version":"1.2.3","release":null,"epoch":null}`:      "1.2.3-1",
		`{"name":"a","version":"1.2.3-4"}`:                                "1.2.3-4",
		`{"name":"a","version":"1.2.3-4","release":5}`:                    "1.2.3-4-5",
		`{"name":"a","version":"1.2.3-rc.1","release":"5"}`:               "1.2.3-rc.1-5",
		`{"name":"a","version":"2:1.2.3-rc.1-5"}`:                         "2:1.2.3-rc.1-5",
		`{"name":"a","version":"1.2.3","epoch":2}`:                        "2:1.2.3-1",
		`{"name":"a","version":"1.2.3","epoch":0}`:                        "1.2.3-1",
		`{"name":"a","version":"1.2.3","epoch":"0"}`:                      "1.2.3-1",
		`{"name":"a","version":"7"}`:                                      "7.0.0-1",
		`{"name":"a","version":7}`:                                        "7.0.0-1",
		`{"name":"a","version":1.10}`:                                     "1.10.0-1",
		`{"name":"a","version":"7-rc.1","release":2}`:                     "7.0.0-rc.1-2",
		` { "name" : "a" , "version" : "1.2.3" , "requires" : [ ] }  `:    "1.2.3-1",
		`{"name":"a","version":"1.2.3","requires":null,"installed":null}`: "1.2.3-1",
	} {
		packages, err := ReadUniverse(strings.NewReader(text))
		if err != nil || len(packages) != 1 || packages[0].Version.String() != want {
			t.Errorf("%s: %v, %v; want %s", text, packages, err, want)
		}
	}
}

func TestUniverseRefuses(t *testing.T) {
	good := `{"name":"a","version":"1.0.0"}` + "\n"
	for text, want := range map[string]string{
		`{"name":"a"}`:                                  `universe:2: package "a": the field "version" is missing`,
		`{"version":"1.0.0"}`:                           `universe:2: the field "name" is missing`,
		`{"name":"a b","version":"1.0.0"}`:              `universe:2: package "a b": dependency "a b"`,
		`{"name":"a >=1","version":"1.0.0"}`:            `universe:2: package "a >=1": "a >=1" is not a name`,
		`{"name":"a","version":"1.0.0","release":0}`:    `universe:2: package "a": release "0" is not a number from 1`,
		`{"name":"a","version":"1.0.0","epoch":-1}`:     `universe:2: no valid JSON: -1 is neither a text nor a plain number`,
		`{"name":"a","version":"1.0.0.0"}`:              `universe:2: package "a": version "1.0.0.0"`,
		`{"name":"a","version":"9.2p1"}`:                `universe:2: package "a": version "9.2p1.0"`,
		`{"name":"a","version":"1.0.0","requires":"b"}`: `universe:2: the field "requires" cannot be a string`,
		`{"name":"a","version":"1","requires":["b >"]}`: `universe:2: package "a": requires: dependency "b >"`,
		`{"name":"a","version":"1","provides":["b>1"]}`: `universe:2: package "a": provides: provide "b>1"`,
		`{"name":"a","version":"1"`:                     `universe:2: the JSON text ends too early`,
		`{"name":"a","version":"1"} {}`:                 `universe:2: there is more than one JSON object`,
		`["a"]`:                                         `universe:2: "[\"a\"]" is not a JSON object`,
		`{"name":"a","version":"1",}`:                   `universe:2: no valid JSON`,
	} {
		_, err := ReadUniverse(strings.NewReader(good + text + "\n" + good))
		if err == nil || !strings.HasPrefix(err.Error(), want) || fault.ClassOf(err) != fault.Usage {
			t.Errorf("%s: %v; want %s", text, err, want)
		}
	}
}

func TestCaseRefuses(t *testing.T) {
	for request, want := range map[string]string{
		``:                             `"" is not a JSON object`,
		`{}`:                           `the field "universe" is missing`,
		`{"universe":"missing.jsonl"}`: `open the universe`,
		"{\"universe\":\"universe.jsonl\",\n\"install\":[\"a\",]}":      `no valid JSON: invalid character ']' looking for beginning of value (line 2)`,
		"{\"universe\":\"universe.jsonl\",\n\n\"install\":7}":           `the field "install" cannot be a number (line 3)`,
		`{"universe":"universe.jsonl","install":["a b"]}`:               `install: dependency "a b"`,
		`{"universe":"universe.jsonl","upgrade":["openssl >=1"]}`:       `upgrade: "openssl >=1" is not the name of a package`,
		`{"universe":"universe.jsonl","pin":["a | b"]}`:                 `pin: "a | b": name one package at a time`,
		`{"universe":"universe.jsonl","format":2}`:                      `format 2 is newer`,
		`{"universe":"universe.jsonl","repos":["a",{"name":"a"}]}`:      `the repository "a" is listed twice`,
		`{"universe":"universe.jsonl","repos":[{"name":"a","prio":1}]}`: "",
	} {
		_, err := Read(write(t, request, web))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", request, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || fault.ClassOf(err) != fault.Usage {
			t.Errorf("%s: %v; want %s", request, err, want)
		}
	}
}

func TestNotes(t *testing.T) {
	r := answer(t, `{"universe":"universe.jsonl","remove":["zsh"],"upgrade":["bash"],"comment":"x"}`, web+`{"name":"x","version":"1","size":7}`+"\n")
	if r.Status != OK || len(r.Notes) != 4 {
		t.Errorf("%q", r.Notes)
	}
}

// A universe over several pieces keeps its order and its line numbers.
func TestManyLines(t *testing.T) {
	var b bytes.Buffer
	for i := range 20_000 {
		fmt.Fprintf(&b, `{"name":"p%d","version":"1.0.0","requires":["p%d"]}`+"\n", i, i/2)
	}
	packages, err := ReadUniverse(bytes.NewReader(b.Bytes()))
	if err != nil || len(packages) != 20_000 {
		t.Fatal(len(packages), err)
	}
	for i, p := range packages {
		if p.Name != fmt.Sprintf("p%d", i) {
			t.Fatalf("%s is at %d", p.Name, i)
		}
	}
	b.WriteString("{\n")
	if _, err := ReadUniverse(&b); err == nil || !strings.HasPrefix(err.Error(), "universe:20001: ") {
		t.Fatal(err)
	}
	if _, err := ReadUniverse(strings.NewReader("{" + strings.Repeat(" ", maxLine+1))); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Fatal(err)
	}
}

// What is written answers as what it was made of.
func TestWrite(t *testing.T) {
	need := func(text string) version.Dependency {
		d, err := version.ParseDependency(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	v := func(text string) version.Version {
		v, err := version.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	y, err := version.ParseProvide("y = 1.0")
	if err != nil {
		t.Fatal(err)
	}
	packages := []*solver.Package{
		{Name: "a", Version: v("1:1.0.0-2"), Arch: "x86_64", Installed: true, Requested: true, ID: "0", Vendor: "v"},
		{Name: "a", Version: v("1:2.0.0-1"), Arch: "x86_64", Repo: "main", Priority: 50, ID: "1", Requires: []version.Dependency{need("b | c >=2 <3")}},
		{Name: "b", Version: v("1.0.0-1"), Arch: "noarch", Repo: "extra", Priority: 70, ID: "2", Conflicts: []version.Dependency{need("d")}, Replaces: []version.Dependency{need("e <2")}},
		{Name: "c", Version: v("2.0.0-1"), Arch: "x86_64", Priority: 1 << 40, ID: "3", Provides: []version.Provide{{Name: "soname(x)"}, y}},
		{Name: "k", Version: v("2.0.0-1"), Arch: "x86_64", Repo: "main", Priority: 50, InstallOnly: true, Recommends: []version.Dependency{need("b")}, Supplements: []version.Dependency{need("a")}},
	}
	request := solver.Request{
		Install: []version.Dependency{need("k =2.0.0-1")}, Remove: []string{"a =1"}, UpgradeAll: true, Downgrade: []string{"a"}, Reinstall: []string{"a"}, Hold: []string{"z"},
		Pins: []version.Dependency{need("c ^2")}, AllowVendorChange: true, Arch: "x86_64", NoRecommends: true,
	}
	path, err := Write(filepath.Join(t.TempDir(), "new", "case"), packages, request)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Read(path)
	if err != nil || len(c.Notes) > 0 {
		t.Fatal(err, c.Notes)
	}
	if got, want := fmt.Sprintf("%+v", c.Request), fmt.Sprintf("%+v", request); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	text := func(p *solver.Package) string {
		return fmt.Sprint(p, p.Arch, p.Repo, p.Priority, p.Vendor, p.ID, p.Installed, p.Requested, p.InstallOnly, p.Requires, p.Provides, p.Conflicts, p.Replaces, p.Recommends, p.Supplements)
	}
	if len(c.Universe.Packages) != len(packages) {
		t.Fatal("packages are missing")
	}
	for _, p := range packages {
		if !slices.ContainsFunc(c.Universe.Packages, func(q *solver.Package) bool { return text(p) == text(q) }) {
			t.Errorf("missing or changed: %s", text(p))
		}
	}
}

// Names and dependencies as other systems have them survive being written.
func TestWriteReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[A-Za-z0-9+._:/-]{1,10}(\([a-z ><=|]{1,5}\))?`)
		var lines []string
		for range rapid.IntRange(1, 4).Draw(t, "packages") {
			l := line{Name: name.Draw(t, "name"), Version: "1.0.0", Requires: []string{name.Draw(t, "requires") + " >=1 | " + name.Draw(t, "or")}, Provides: []string{name.Draw(t, "provides") + " = 1.2"}}
			text, err := json.Marshal(l)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, string(text))
		}
		packages, err := ReadUniverse(strings.NewReader(strings.Join(lines, "\n")))
		if err != nil {
			return // a name that is none
		}
		dir, err := os.MkdirTemp("", "case")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		path, err := Write(dir, packages, solver.Request{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := Read(path)
		if err != nil || len(c.Universe.Packages) != len(packages) {
			t.Fatalf("%v: %q", err, lines)
		}
	})
}

// The quick scanner must read what it accepts as encoding/json does.
func FuzzScan(f *testing.F) {
	for _, line := range strings.Split(web, "\n") {
		f.Add([]byte(line))
	}
	for _, s := range []string{
		`{"name":"a\u003c","version":7,"release":"1","epoch":0,"installed":true,"install_only":false,"reason":"x","id":"","vendor":"v"}`,
		`{"name":"a","name":"b"}`, `{"requires":["a\\\"\/","b"],"provides":[],"supplements":["c"] }`, `{"release":01}`, `{"release":1.5}`, `{"Name":"a"}`, `{"priority":4}`, `{}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var quick, slow fields
		if !quick.scan(text) {
			return
		}
		var l line
		unknown, err := decodeObject(text, &l)
		if err != nil || unknown != "" {
			t.Fatalf("%q is accepted, but: %v %s", text, err, unknown)
		}
		slow.set(&l)
		show := func(f *fields) string {
			return fmt.Sprintf("%q %q %q %q %q %q %q %q %q %q %v %v", f.name, f.version, f.release, f.epoch, f.arch, f.repo, f.vendor, f.id, f.reason, f.lists, f.installed, f.installOnly)
		}
		if show(&quick) != show(&slow) {
			t.Fatalf("%q is read as\n%s, not\n%s", text, show(&quick), show(&slow))
		}
	})
}

func FuzzReadUniverse(f *testing.F) {
	f.Add([]byte(web))
	f.Fuzz(func(t *testing.T, text []byte) {
		packages, err := ReadUniverse(bytes.NewReader(text))
		if err != nil {
			return
		}
		path, err := Write(t.TempDir(), packages, solver.Request{})
		if err != nil {
			t.Fatal(err)
		}
		again, err := Read(path)
		if err != nil || len(again.Universe.Packages) != len(packages) {
			t.Fatalf("%d packages, written and read %v, %v", len(packages), again, err)
		}
	})
}

func FuzzReadCase(f *testing.F) {
	f.Add([]byte(`{"universe":"universe.jsonl","install":["nginx"],"upgrade":"all","repos":["main",{"name":"x","priority":3}],"hold":"a","pin":["zlib ^1"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Read(write(t, string(text), web))
		if err == nil && c.Universe == nil {
			t.Fatal("a case without a universe")
		}
		if err == nil {
			if _, err := c.Solve(t.Context(), time.Second); err != nil && fault.ClassOf(err) != fault.Usage {
				t.Fatal(err)
			}
		}
	})
}
