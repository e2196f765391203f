package kernelconfig

import (
	"strings"
	"testing"
	"testing/fstest"

	"ashlar/kernel-config/kconfig"
)

const someList = `schema: 1
summary: somebody
source: here
demands:
  - set: [NEEDED, "MAYBE=y | OTHER=y", EVIL=n, NUMBER=64, STRICT=y]
  - set: [LATER=y]
    kernel: ">=6.9"
`

func listed(list, checks string) fstest.MapFS {
	d := data("CONFIG_NEEDED=y\n", someRules, checks)
	d["checks/some.yaml"] = &fstest.MapFile{Data: []byte(list)}
	return d
}

func TestListIsCompared(t *testing.T) {
	f, err := Load(listed(someList, "checks: [{list: some, differs: [{symbols: [STRICT], reason: too slow}]}]\n"), "tiny")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, config          string
		held, differs, failed int
	}{
		{"all but the difference", "CONFIG_NEEDED=m\nCONFIG_OTHER=y\nCONFIG_NUMBER=64\n", 4, 1, 0},
		{"no alternative", "CONFIG_NEEDED=y\nCONFIG_OTHER=m\nCONFIG_NUMBER=64\nCONFIG_STRICT=y\n", 4, 0, 1},
		{"nothing", "CONFIG_EVIL=m\n", 0, 1, 4},
	} {
		config, err := ParseConfig("test", strings.NewReader("# Linux/x86 6.1.170 Kernel Configuration\n"+c.config))
		if err != nil {
			t.Fatal(err)
		}
		report, err := Check(f, config, nil)
		if err != nil {
			t.Fatal(err)
		}
		o := report.Lists[0]
		if o.Rows != 5 || o.Held != c.held || len(o.Differs) != c.differs || len(o.Failed) != c.failed {
			t.Errorf("%s: %+v", c.name, o)
		}
		if c.failed > 0 && report.Err() == nil {
			t.Errorf("%s: a row that fails does not fail the check", c.name)
		}
	}
}

func TestListsAreRefused(t *testing.T) {
	for _, c := range []struct{ name, list, checks, want string }{
		{"unknown list", someList, "checks: [{list: none}]\n", `no list "none"`},
		{"difference without reason", someList, "checks: [{list: some, differs: [{symbols: [STRICT], reason: \"\"}]}]\n", "no reason"},
		{"difference from nothing", someList, "checks: [{list: some, differs: [{symbols: [ELSE], reason: r}]}]\n", "asks nothing of ELSE"},
		{"no row", "schema: 1\nsummary: s\nsource: s\ndemands: [{set: [A=maybe]}]\n", "checks: [{list: some}]\n", "is no row"},
		{"range", "schema: 1\nsummary: s\nsource: s\ndemands: [{set: [A], kernel: new}]\n", "checks: [{list: some}]\n", "kernel range"},
	} {
		if _, err := Load(listed(c.list, c.checks), "tiny"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.name, err, c.want)
		}
	}
}

func TestDiffOfFlavours(t *testing.T) {
	before, err := ParseConfig("a", strings.NewReader("CONFIG_STAYS=y\nCONFIG_GOES=m\nCONFIG_TURNS=y\n"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := ParseConfig("b", strings.NewReader("CONFIG_STAYS=y\nCONFIG_COMES=8\nCONFIG_TURNS=m\n# CONFIG_GOES is not set\n# CONFIG_NEVER is not set\n"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	Compare(before.Settings("a"), after.Settings("b")).Write(&b)
	if want := "+ COMES=8\n- GOES=m\n~ TURNS=y -> m\na to b: 1 came, 1 went, 1 changed, 1 stayed\n"; b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestNewSymbols(t *testing.T) {
	f, err := Load(data("CONFIG_NEEDED=y\n", someRules, ""), "tiny")
	if err != nil {
		t.Fatal(err)
	}
	tree := func(text string) *kconfig.Tree {
		t.Helper()
		tree, err := kconfig.Read(fstest.MapFS{"Kconfig": {Data: []byte(text)}}, "x86")
		if err != nil {
			t.Fatal(err)
		}
		return tree
	}
	older := tree("config NEEDED\n\tbool \"needed\"\nconfig OLD\n\tbool \"old\"\n")
	newer := tree("config OLD\n\tbool \"old\"\nconfig NEW_NAME\n\tbool \"spoken of by a rule\"\nconfig HIDDEN\n\tbool\nconfig FRESH\n\ttristate \"fresh\"\n\tdepends on OLD\n\tdefault y if OLD\n")
	var b strings.Builder
	New(f, older, newer).Write(&b)
	want := "new: FRESH (tristate, Kconfig:7) \"fresh\"\n    depends on OLD\n    default y if OLD\n" +
		"gone: NEEDED=y, which fragment one asks for\nflavour tiny: 1 new symbols that no fragment speaks of, 1 gone\n"
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}
