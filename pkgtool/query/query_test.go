package query

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/version"
	"ashlar/repo/advisory"

	spdxjson "github.com/spdx/tools-golang/json"
)

// record reads "name version [asked] requires: a, b; recommends: c; ...".
func record(t *testing.T, text string) system.Record {
	t.Helper()
	head, rest, _ := strings.Cut(text, ";")
	fields := strings.Fields(head)
	v, err := version.Parse(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	r := system.Record{Name: fields[0], Version: v, Arch: "x86_64", Requested: len(fields) > 2}
	for part := range strings.SplitSeq(rest, ";") {
		kind, list, found := strings.Cut(strings.TrimSpace(part), ": ")
		if !found {
			continue
		}
		items := strings.Split(list, ", ")
		switch kind {
		case "requires":
			r.Requires = items
		case "recommends":
			r.Recommends = items
		case "supplements":
			r.Supplements = items
		case "provides":
			r.Provides = items
		case "conflicts":
			r.Conflicts = items
		default:
			t.Fatalf("unknown relation %q", kind)
		}
	}
	return r
}

func records(t *testing.T, texts ...string) []system.Record {
	t.Helper()
	var all []system.Record
	for _, text := range texts {
		all = append(all, record(t, text))
	}
	return all
}

func graph(t *testing.T, texts ...string) *Graph {
	t.Helper()
	g, err := Installed(records(t, texts...))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var server = []string{
	"docs 1.0.0-1",
	"glibc 2.36.0-1; provides: soname(libc.so.6)",
	"langpack 1.0.0-1; supplements: nginx",
	"nginx 1.22.0-1 asked; requires: openssl >=3, soname(libc.so.6); recommends: logrotate",
	"logrotate 3.0.0-1; requires: soname(libc.so.6) | musl",
	"openssl 3.0.0-1; requires: soname(libc.so.6)",
	"zlib 1.2.0-1; requires: soname(libc.so.6)",
}

func TestWhy(t *testing.T) {
	g := graph(t, server...)
	for name, want := range map[string]string{
		"openssl":   "nginx requires openssl >=3",
		"glibc":     "nginx requires soname(libc.so.6)",
		"logrotate": "nginx recommends logrotate",
		"langpack":  "nginx supplements nginx",
		"docs":      "",
		"nginx":     "",
	} {
		why := g.Why(g.Named(name)[0])
		var got []string
		for _, c := range why.Chains {
			for _, l := range c {
				got = append(got, l.From+" "+string(l.Relation)+" "+l.Dependency)
			}
		}
		if strings.Join(got, "; ") != want || why.Requested != (name == "nginx") {
			t.Errorf("why %s: %q, want %q", name, got, want)
		}
	}
}

func TestWhyFindsTheShortestChainFromEachRequestedPackage(t *testing.T) {
	g := graph(t, "a 1.0.0-1 asked; requires: b", "b 1.0.0-1; requires: c", "c 1.0.0-1; requires: a", "d 1.0.0-1 asked; requires: c")
	why := g.Why(g.Named("c")[0])
	if len(why.Chains) != 2 || len(why.Chains[0]) != 1 || why.Chains[0][0].From != "d" || len(why.Chains[1]) != 2 || why.Chains[1][0].From != "a" {
		t.Errorf("%+v", why.Chains)
	}
}

func TestOrphans(t *testing.T) {
	var got []string
	for _, n := range graph(t, server...).Orphans() {
		got = append(got, n.Name)
	}
	if strings.Join(got, " ") != "docs zlib" {
		t.Errorf("orphans: %v", got)
	}
}

func TestTree(t *testing.T) {
	g := graph(t, append(server, "broken 1.0.0-1; requires: nothing")...)
	top := g.Tree(g.Named("nginx")[0], TreeOptions{})
	if len(top.Branches) != 2 || top.Branches[0].Name != "openssl" || top.Branches[0].Branches[0].Name != "glibc" ||
		!top.Branches[1].Repeated || top.Branches[1].Dependency != "soname(libc.so.6)" {
		t.Errorf("%+v", top.Branches)
	}
	if with := g.Tree(g.Named("nginx")[0], TreeOptions{Recommends: true, Depth: 1}); len(with.Branches) != 3 || len(with.Branches[0].Branches) != 0 {
		t.Errorf("with recommends, one level: %+v", with.Branches)
	}
	up := g.Tree(g.Named("glibc")[0], TreeOptions{Reverse: true})
	var names []string
	for _, b := range up.Branches {
		names = append(names, b.Name)
	}
	if strings.Join(names, " ") != "logrotate nginx openssl zlib" {
		t.Errorf("reverse: %v", names)
	}
	if b := g.Tree(g.Named("broken")[0], TreeOptions{}); len(b.Missing) != 1 || b.Missing[0] != "nothing" {
		t.Errorf("missing: %v", b.Missing)
	}
}

func TestAudit(t *testing.T) {
	a, err := advisory.Parse([]byte(`{"id":"ASH-1","modified":"2026-11-01T00:00:00Z","aliases":["CVE-2026-1"],"affected":[{"package":{"ecosystem":"Ashlar","name":"openssl"},
		"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.1-1"}]}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	offered := func(name string) []version.Version {
		var all []version.Version
		for _, text := range []string{"3.0.0-2", "3.0.1-2", "3.0.1-1"} {
			v, _ := version.Parse(text)
			all = append(all, v)
		}
		return all
	}
	findings := Audit(records(t, server...), []*advisory.Advisory{a}, offered)
	if len(findings) != 1 || findings[0].Fixed != "3.0.1-1" || findings[0].Available != "3.0.1-2" || findings[0].Installed != "3.0.0-1" {
		t.Errorf("%+v", findings)
	}
	if findings := Audit(records(t, "openssl 3.0.1-1"), []*advisory.Advisory{a}, offered); len(findings) != 0 {
		t.Errorf("a fixed build is found: %+v", findings)
	}
}

func TestSBOMIsValidAndStable(t *testing.T) {
	g := &system.Generation{Format: 1, Number: 3, Time: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Packages: records(t, append(server, "g++ 1.0.0-1", "g-- 1.0.0-1")...)}
	manifest := func(r system.Record) (*pkgfile.Manifest, error) {
		return &pkgfile.Manifest{Name: r.Name, License: "MIT", Provenance: pkgfile.Provenance{Sources: []pkgfile.Source{{URI: "mirror://debian/x.tar.xz", SHA256: "00"}}}}, nil
	}
	var one, two bytes.Buffer
	for _, out := range []*bytes.Buffer{&one, &two} {
		if err := WriteSBOM(out, g, manifest); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two documents of one generation differ")
	}
	doc, err := spdxjson.Read(&one)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, p := range doc.Packages {
		ids[string(p.PackageSPDXIdentifier)] = true
	}
	if len(ids) != len(g.Packages) {
		t.Errorf("%d identifiers for %d packages", len(ids), len(g.Packages))
	}
	for _, r := range doc.Relationships {
		if r.Relationship == "DEPENDS_ON" && (!ids[string(r.RefA.ElementRefID)] || !ids[string(r.RefB.ElementRefID)]) {
			t.Errorf("a relationship of unknown packages: %+v", r)
		}
	}
}
