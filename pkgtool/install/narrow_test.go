package install

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/client/catalogue"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/version"
	"ashlar/repo/index"

	"pgregory.net/rapid"
)

// catalogued offers the packages of a catalogue as those of two repositories.
type catalogued struct{ *catalogue.Catalogue }

var priorities = map[string]int{"test": 50, "preferred": 60}

// repositoryOf says from which repository a drawn entry is.
func repositoryOf(e index.Entry) string {
	if e.Recipe == "preferred" {
		return "preferred"
	}
	return "test"
}

func (c catalogued) related(name string, relations ...catalogue.Relation) []client.Entry {
	found, err := c.Related(name, relations...)
	if err != nil {
		panic(err)
	}
	var entries []client.Entry
	for _, e := range found {
		entries = append(entries, client.Entry{Entry: e, Repo: repositoryOf(e), Priority: priorities[repositoryOf(e)]})
	}
	return entries
}

func (c catalogued) ByName(name string) []client.Entry { return c.related(name, catalogue.Name) }
func (c catalogued) Providers(name string) []client.Entry {
	return c.related(name, catalogue.Name, catalogue.Provides)
}
func (c catalogued) Replacers(name string) []client.Entry { return c.related(name, catalogue.Replaces) }
func (c catalogued) Supplementers(name string) []client.Entry {
	return c.related(name, catalogue.Supplements)
}

func drawEntries(t *rapid.T) []index.Entry {
	names := []string{"a", "b", "c", "d", "e", "f"}
	dependency := rapid.Custom(func(t *rapid.T) string {
		name := rapid.SampledFrom(append(names, "cmd(x)", "cmd(y)")).Draw(t, "name")
		if version.IsCapability(name) {
			return name
		}
		return name + rapid.SampledFrom([]string{"", "", " >=2", " <2", " | cmd(x)"}).Draw(t, "condition")
	})
	some := func(what string, most int) []string {
		return slices.Compact(slices.Sorted(slices.Values(rapid.SliceOfN(dependency, 0, most).Draw(t, what))))
	}
	var entries []index.Entry
	for _, name := range names {
		for v := range rapid.IntRange(0, 3).Draw(t, "versions") {
			n := fmt.Sprint(len(entries))
			e := index.Entry{Name: name, Version: fmt.Sprintf("%d.0.0", v+1), Release: 1, Arch: "noarch", Size: 1000, MetaSize: 100,
				SHA256: strings.Repeat("0", 64-len(n)) + n, Manifest: strings.Repeat("1", 64-len(n)) + n,
				Requires: some("requires", 2), Recommends: some("recommends", 1)}
			if rapid.IntRange(0, 3).Draw(t, "provides") == 0 {
				e.Provides = []string{rapid.SampledFrom([]string{"cmd(x)", "cmd(y)", "a", "b"}).Draw(t, "provide")}
			}
			switch rapid.IntRange(0, 9).Draw(t, "relation") {
			case 0:
				e.Conflicts = some("conflicts", 1)
			case 1:
				e.Replaces = some("replaces", 1)
			case 2:
				e.Supplements = some("supplements", 1)
			}
			if rapid.IntRange(0, 9).Draw(t, "repository") == 0 {
				e.Recipe = "preferred"
			}
			e.Vendor = rapid.SampledFrom([]string{"", "", "", "x", "y"}).Draw(t, "vendor")
			e.Path = e.PoolPath()
			entries = append(entries, e)
		}
	}
	return entries
}

func steps(s *solver.Solution) string {
	var lines []string
	for kind, list := range map[string][]solver.Step{"install": s.Install, "upgrade": s.Upgrade, "remove": s.Remove} {
		for _, step := range list {
			lines = append(lines, kind+" "+step.Package.String())
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestANarrowLookFindsTheSame: what is found by looking only at what a request
// needs is what is found by looking at everything.
func TestANarrowLookFindsTheSame(t *testing.T) {
	narrowed := 0
	rapid.Check(t, func(t *rapid.T) {
		entries := drawEntries(t)
		data, err := catalogue.Encode([32]byte{}, entries)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := catalogue.Open(data, [32]byte{})
		if err != nil {
			t.Fatal(err)
		}
		q := &question{offers: catalogued{opened}, priorities: priorities}
		wish := func(what string) version.Dependency {
			d, err := version.ParseDependency(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "a <2", "b >=2", "cmd(x)"}).Draw(t, what))
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		// What is installed comes from an earlier request, from older offers.
		q.request = solver.Request{Install: []version.Dependency{wish("before"), wish("before")}, Arch: Arch}
		for i := range entries {
			if rapid.IntRange(0, 2).Draw(t, "not yet") == 0 {
				d, _ := version.ParseDependency(entries[i].Name + " <" + entries[i].Version)
				q.request.Install = append(q.request.Install, d)
				break
			}
		}
		u, err := q.gather(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		first, err := solver.Solve(t.Context(), u.packages, q.request)
		if err != nil {
			t.Skip("nothing to begin with")
		}
		q.records = u.recordsAfter(first)
		for i := range q.records {
			r := &q.records[i]
			e := u.entries[first.Installed()[i]]
			r.Repo, r.Vendor, r.Conflicts, r.Replaces, r.Requested = e.Repo, e.Vendor, e.Conflicts, e.Replaces, rapid.Bool().Draw(t, "asked for")
		}
		q.request = solver.Request{Arch: Arch}
		installed := func() string {
			return q.records[rapid.IntRange(0, len(q.records)-1).Draw(t, "which")].Name
		}
		switch kind := rapid.IntRange(0, 4).Draw(t, "kind"); {
		case kind == 0 && len(q.records) > 0:
			q.request.Remove = []string{installed()}
		case kind == 1:
			q.request.UpgradeAll = true
		case kind == 2 && len(q.records) > 0:
			q.request.Upgrade = []string{installed()}
		default:
			q.request.Install = []version.Dependency{wish("wish")}
		}
		if len(q.records) > 0 && rapid.IntRange(0, 3).Draw(t, "hold") == 0 {
			q.request.Hold = []string{installed()}
		}
		_, got, gotErr := q.answer(t.Context())
		if u, err = q.gather(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		want, wantErr := solver.Solve(t.Context(), u.packages, q.request)
		var unsolvable *solver.Unsolvable
		if wantErr != nil && !errors.As(wantErr, &unsolvable) {
			t.Fatal(wantErr)
		}
		if (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("request: %+v\nnarrow: %v; wide: %v", q.request, gotErr, wantErr)
		}
		if wantErr == nil && steps(got) != steps(want) {
			for _, e := range entries {
				t.Logf("%s %s vendor %q from %s requires %q recommends %q provides %q conflicts %q replaces %q supplements %q", e.Name, e.Version, e.Vendor, repositoryOf(e), e.Requires, e.Recommends, e.Provides, e.Conflicts, e.Replaces, e.Supplements)
			}
			t.Fatalf("installed: %v\nrequest: %+v\nnarrow:\n%s\nwide:\n%s", LockOf(q.records).Packages, q.request, steps(got), steps(want))
		}
		if n, err := q.gather(t.Context(), true); err == nil && len(n.packages) < len(u.packages) {
			narrowed++
		}
	})
	if narrowed == 0 {
		t.Error("no look was ever narrower than the wide one")
	}
}
