package kernelconfig

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// own writes a fragment of a user and its rules, if any.
func own(t *testing.T, name, config, rules string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".config")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if rules != "" {
		if err := os.WriteFile(strings.TrimSuffix(file, "config")+"yaml", []byte(rules), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

func TestOwnFragmentWins(t *testing.T) {
	f, err := Load(data("CONFIG_NEEDED=y\n", someRules, "overrides: {DECIDED: y}\n"), "tiny")
	if err != nil {
		t.Fatal(err)
	}
	first := own(t, "first", "# CONFIG_NEEDED is not set\n# CONFIG_DECIDED is not set\nCONFIG_EVIL=y\nCONFIG_TWICE=m\n", "")
	second := own(t, "second", "CONFIG_TWICE=y\nCONFIG_LUXURY=y\n",
		"schema: 1\nsummary: s\nrules:\n  - {symbols: [LUXURY], level: wanted, reason: nice}\n")
	for _, file := range []string{first, second} {
		if err := f.Add(file); err != nil {
			t.Fatal(err)
		}
	}
	merged := string(f.Merge())
	for _, line := range []string{"# CONFIG_NEEDED is not set\n", "# CONFIG_DECIDED is not set\n", "CONFIG_EVIL=y\n", "CONFIG_TWICE=y\n", "CONFIG_SHARED=y\n"} {
		if strings.Count(merged, line) != 1 {
			t.Errorf("want %q once in:\n%s", line, merged)
		}
	}
	if strings.Contains(merged, "CONFIG_NEEDED=y") || strings.Contains(merged, "TWICE=m") {
		t.Errorf("the flavour's or the first word stands:\n%s", merged)
	}
	config, err := ParseConfig("test", strings.NewReader("# Linux/x86 6.1.170 Kernel Configuration\nCONFIG_OLD_NAME=y\nCONFIG_SHARED=y\nCONFIG_EVIL=y\nCONFIG_TWICE=m\n"))
	if err != nil {
		t.Fatal(err)
	}
	report, err := Check(f, config, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	report.Write(&b)
	want := "warning: fragment second wants LUXURY=y, and it is n\n    reason: nice\n" +
		"failure: fragment second requires TWICE=y, and it is m\n    reason: your fragment asks for it\n" +
		"flavour tiny, kernel 6.1.170: 7 promises checked, 1 failures, 1 warnings\n"
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestAddRefuses(t *testing.T) {
	cases := []struct{ name, file, config, rules, want string }{
		{"no .config", "x.txt", "CONFIG_A=y\n", "", "ends in .config"},
		{"nothing asked", "", "# a comment\n", "", "asks for nothing"},
		{"no line of a .config", "", "A=y\n", "", "no line of a .config"},
		{"rules against it", "", "CONFIG_A=y\n", "schema: 1\nsummary: s\nrules:\n  - {symbols: [A], level: forbidden, reason: r}\n", "forbids A"},
		{"rules of another schema", "", "CONFIG_A=y\n", "schema: 2\nsummary: s\nrules: []\n", "schema 2"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f, err := Load(data("CONFIG_NEEDED=y\n", someRules, ""), "tiny")
			if err != nil {
				t.Fatal(err)
			}
			file := own(t, "mine", c.config, c.rules)
			if c.file != "" {
				file = c.file
			}
			if err := f.Add(file); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}
