package kernelconfig

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"ashlar/kernel-config/kconfig"
)

func TestShippedFlavoursLoad(t *testing.T) {
	names, err := Flavours(Shipped())
	if err != nil || len(names) == 0 {
		t.Fatalf("flavours: %v, %v", names, err)
	}
	for _, name := range names {
		f, err := Load(Shipped(), name)
		if err != nil {
			t.Fatal(err)
		}
		merged, err := ParseConfig("merged", bytes.NewReader(f.Merge()))
		if err != nil {
			t.Fatal(err)
		}
		// What the flavour asks for, taken as the result, keeps all but the
		// symbols that only selects set.
		merged.Kernel = "6.1.170"
		report, err := Check(f, merged, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, finding := range report.Findings {
			if finding.Have != "n" || merged.Has(finding.Symbol) {
				t.Errorf("flavour %s contradicts itself: %+v", name, finding)
			}
		}
	}
}

// data is a flavour with one fragment of each kind of promise.
func data(config, rules, overrides string) fstest.MapFS {
	return fstest.MapFS{
		"flavours/tiny.yaml":   {Data: []byte("schema: 1\nname: tiny\nsummary: s\nbase: allnoconfig\narch: x86\nfragments: [one, two]\n" + overrides)},
		"fragments/one.config": {Data: []byte(config)},
		"fragments/one.yaml":   {Data: []byte("schema: 1\nsummary: s\nrules:\n" + rules)},
		"fragments/two.config": {Data: []byte("CONFIG_SHARED=y\n")},
		"fragments/two.yaml":   {Data: []byte("schema: 1\nsummary: s\nrules: []\n")},
	}
}

const someRules = `
  - {symbols: [NEEDED], level: required, reason: "it must be there"}
  - {symbols: [OLD_NAME], level: required, kernel: "<6.9", reason: "renamed in 6.9"}
  - {symbols: [NEW_NAME], level: required, kernel: ">=6.9", reason: "renamed in 6.9"}
  - {symbols: [ARM_ONLY], level: required, arches: [arm64], reason: "other machines"}
  - {symbols: [EVIL], level: forbidden, reason: "never"}
`

func TestCheck(t *testing.T) {
	f, err := Load(data("CONFIG_NEEDED=y\nCONFIG_PLAIN=y\nCONFIG_NUMBER=64\nCONFIG_TEXT=\"a\"\n# CONFIG_OFF is not set\nCONFIG_MODULAR=m\n", someRules, ""), "tiny")
	if err != nil {
		t.Fatal(err)
	}
	complete := "CONFIG_NEEDED=y\nCONFIG_OLD_NAME=y\nCONFIG_PLAIN=y\nCONFIG_NUMBER=64\nCONFIG_TEXT=\"a\"\nCONFIG_MODULAR=y\nCONFIG_SHARED=y\n"
	cases := []struct {
		name, kernel, config string
		failed, warned       int
		first                string
	}{
		{"all kept", "6.1.170", complete, 0, 0, ""},
		{"required lost", "6.1.170", strings.Replace(complete, "CONFIG_NEEDED=y", "", 1), 1, 0, "failure: fragment one requires NEEDED=y, and it is n\n    reason: it must be there"},
		{"required became a module", "6.1.170", strings.Replace(complete, "NEEDED=y", "NEEDED=m", 1), 1, 0, "failure: fragment one requires NEEDED=y, and it is m"},
		{"asked for without a rule lost", "6.1.170", strings.Replace(complete, "CONFIG_PLAIN=y", "", 1), 0, 1, "warning: fragment one wants PLAIN=y, and it is n"},
		{"number changed", "6.1.170", strings.Replace(complete, "=64", "=8", 1), 0, 1, "warning: fragment one wants NUMBER=64, and it is 8"},
		{"text changed", "6.1.170", strings.Replace(complete, `"a"`, `"b"`, 1), 0, 1, `warning: fragment one wants TEXT="a", and it is "b"`},
		{"came on by itself", "6.1.170", complete + "CONFIG_OFF=y\n", 0, 1, "warning: fragment one wants OFF=n, and it is y"},
		{"forbidden set", "6.1.170", complete + "CONFIG_EVIL=m\n", 1, 0, "failure: fragment one forbids EVIL, and it is m\n    reason: never"},
		{"name of newer kernels", "6.12.1", complete, 1, 0, "failure: fragment one requires NEW_NAME=y, and it is n"},
		{"release candidate of the range's start", "6.9.0-rc1", complete, 1, 0, "failure: fragment one requires NEW_NAME=y, and it is n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			config, err := ParseConfig("test", strings.NewReader("# Linux/x86 "+c.kernel+" Kernel Configuration\n"+c.config))
			if err != nil {
				t.Fatal(err)
			}
			report, err := Check(f, config, nil)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			report.Write(&b)
			if report.Failed() != c.failed || report.Warned() != c.warned || !strings.HasPrefix(b.String(), c.first) {
				t.Errorf("%d failures, %d warnings:\n%s", report.Failed(), report.Warned(), b.String())
			}
			if (report.Err() != nil) != (c.failed > 0) {
				t.Errorf("Err() = %v", report.Err())
			}
		})
	}
}

func TestCheckExplains(t *testing.T) {
	f, err := Load(data("CONFIG_NEEDED=y\n", someRules, ""), "tiny")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := kconfig.Read(fstest.MapFS{"Kconfig": {Data: []byte(
		"config NEEDED\n\tbool \"needed\"\n\tdepends on PARENT && OTHER\nconfig PARENT\n\tbool \"parent\"\nconfig OTHER\n\tdef_bool y\nconfig EVIL\n\tbool\nconfig FRIEND\n\tbool \"friend\"\n\tselect EVIL\n")}}, "x86")
	if err != nil {
		t.Fatal(err)
	}
	config, err := ParseConfig("test", strings.NewReader("CONFIG_OTHER=y\nCONFIG_SHARED=y\nCONFIG_EVIL=y\nCONFIG_FRIEND=y\nCONFIG_OLD_NAME=y\nCONFIG_NEW_NAME=y\nCONFIG_ARM_ONLY=y\n"))
	if err != nil {
		t.Fatal(err)
	}
	report, err := Check(f, config, tree)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	report.Write(&b)
	want := `failure: fragment one requires NEEDED=y, and it is n
    reason: it must be there
    NEEDED (Kconfig:1) depends on PARENT && OTHER
    not met: PARENT  [PARENT=n]
    PARENT (Kconfig:4) has all it depends on (y): nothing asks for it
failure: fragment one forbids EVIL, and it is y
    reason: never
    FRIEND=y selects EVIL
flavour tiny, kernel unknown: 6 promises checked, 2 failures, 0 warnings
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestLoadRefuses(t *testing.T) {
	cases := []struct {
		name, config, rules, overrides, want string
	}{
		{"two answers", "# CONFIG_SHARED is not set\n", "", "", "decide in the overrides"},
		{"fragment against its rule", "CONFIG_EVIL=y\n", someRules, "", "forbids EVIL"},
		{"no reason", "", "  - {symbols: [A], level: required, reason: \"\"}\n", "", "has no reason"},
		{"level", "", "  - {symbols: [A], level: must, reason: r}\n", "", `level "must"`},
		{"prefix", "", "  - {symbols: [CONFIG_A], level: wanted, reason: r}\n", "", "without CONFIG_"},
		{"range", "", "  - {symbols: [A], level: wanted, kernel: new, reason: r}\n", "", "kernel range"},
		{"key", "", "  - {symbols: [A], level: wanted, reasons: r}\n", "", `did you mean "reason"`},
		{"line", "CONFIG A=y\n", "", "", "no line of a .config"},
		{"override", "", "", "overrides: {A: yes please}\n", "no value of a .config"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rules := c.rules
			if rules == "" {
				rules = "  - {symbols: [NEEDED], level: wanted, reason: r}\n"
			}
			_, err := Load(data(c.config, rules, c.overrides), "tiny")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
	if _, err := Load(data("", someRules, ""), "huge"); err == nil || !strings.Contains(err.Error(), "there is tiny") {
		t.Errorf("unknown flavour: %v", err)
	}
}

func TestOverrideDecides(t *testing.T) {
	f, err := Load(data("# CONFIG_SHARED is not set\n", someRules, "overrides: {SHARED: m}\n"), "tiny")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(f.Merge()); !strings.Contains(got, "CONFIG_SHARED=m\n") || strings.Count(got, "SHARED") != 1 {
		t.Errorf("merged:\n%s", got)
	}
}

// The kernel's own tools are the judge: with ASHLAR_KERNEL_SOURCE naming an
// unpacked kernel, every flavour is completed by make allnoconfig and checked.
func TestFlavoursAgainstKernelSource(t *testing.T) {
	source := os.Getenv("ASHLAR_KERNEL_SOURCE")
	if source == "" {
		t.Skip("set ASHLAR_KERNEL_SOURCE to an unpacked kernel source")
	}
	names, _ := Flavours(Shipped())
	for _, name := range names {
		f, err := Load(Shipped(), name)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := ReadSource(source, f.Arch)
		if err != nil {
			t.Fatal(err)
		}
		report := complete(t, f, f.Merge(), source, tree)
		var b bytes.Buffer
		report.Write(&b)
		if report.Failed() > 0 || report.Warned() > 0 {
			t.Errorf("flavour %s:\n%s", name, b.String())
		}
		// Take one thing away: the check must fail and name it.
		broken := bytes.Replace(f.Merge(), []byte("CONFIG_PCI=y\n"), nil, 1)
		report = complete(t, f, broken, source, tree)
		b.Reset()
		report.Write(&b)
		if report.Err() == nil || !strings.Contains(b.String(), "not met: PCI  [PCI=n]") {
			t.Errorf("flavour %s without PCI passes:\n%s", name, b.String())
		}
	}
}

func complete(t *testing.T, f *Flavour, merged []byte, source string, tree *kconfig.Tree) *Report {
	t.Helper()
	out := t.TempDir()
	asked := filepath.Join(out, "asked")
	if err := os.WriteFile(asked, merged, 0o644); err != nil {
		t.Fatal(err)
	}
	make := exec.Command("make", "-s", "-C", source, "O="+out, "KCONFIG_ALLCONFIG="+asked, f.Base)
	if text, err := make.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", make, err, text)
	}
	config, err := ReadConfig(filepath.Join(out, ".config"))
	if err != nil {
		t.Fatal(err)
	}
	report, err := Check(f, config, tree)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func FuzzParseConfig(f *testing.F) {
	f.Add("# Linux/x86 6.1.170 Kernel Configuration\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"x\\\"y\"\nCONFIG_D=0x10\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConfig("fuzz", strings.NewReader(text))
		if err != nil {
			return
		}
		var b strings.Builder
		for _, s := range c.Symbols() {
			fmt.Fprintln(&b, assignment(s, c.Value(s)))
			c.plain(s)
		}
		again, err := ParseConfig("written", strings.NewReader(b.String()))
		if err != nil {
			t.Fatalf("what was read does not read back: %v\n%s", err, b.String())
		}
		for _, s := range c.Symbols() {
			if again.Value(s) != c.Value(s) {
				t.Fatalf("%s: %s became %s", s, c.Value(s), again.Value(s))
			}
		}
	})
}
