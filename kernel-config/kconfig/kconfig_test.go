package kconfig

import (
	"strings"
	"testing"
	"testing/fstest"
)

const sample = `mainmenu "Sample"
cc-option = $(success,$(CC) -Werror $(1))
config 64BIT
	bool "64-bit" if "$(ARCH)" = "x86"
	default "$(ARCH)" != "i386"
	help
	  config NOT_THIS in a help text

	  depends on nothing
config EXPERT
	bool "Expert"
source "drivers/$(SRCARCH)/Kconfig"
config HIDDEN
	bool
config CHOOSER
	tristate "Chooser"
	select HIDDEN if 64BIT
	depends on (EXPERT || \
		FB) && !BROKEN
config BROKEN
	def_bool n
choice
	prompt "Speed"
config FAST
	bool "fast"
config SLOW
	bool "slow"
endchoice
`

const sampleDriver = `menu "Graphics"
	depends on 64BIT
config FB
	tristate "frame buffers"
if FB
config FB_EFI
	bool "EFI frame buffer" if EXPERT
	depends on EFI && COUNT >= 4
endif
config COUNT
	int "how many" if FB
	range 1 8
	default 2
config WANTS_CC
	bool "new compiler"
	depends on $(cc-option,-mfancy="a(b)")
endmenu
`

func sampleTree(t testing.TB) *Tree {
	t.Helper()
	tree, err := Read(fstest.MapFS{
		"Kconfig":             {Data: []byte(sample)},
		"drivers/x86/Kconfig": {Data: []byte(sampleDriver)},
	}, "x86")
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func valuesOf(text string) Values {
	m := map[string]string{}
	for _, field := range strings.Fields(text) {
		k, v, _ := strings.Cut(field, "=")
		m[k] = v
	}
	return func(s string) string {
		if v, ok := m[s]; ok {
			return v
		}
		return "n"
	}
}

func TestReadKeepsDependenciesOfEveryLevel(t *testing.T) {
	tree := sampleTree(t)
	if tree.Lookup("NOT_THIS") != nil {
		t.Error("a help text was read as an entry")
	}
	d := tree.Lookup("FB_EFI").Definitions[0]
	if got, want := d.DependsOn.String(), "64BIT && FB && EFI && COUNT >= 4"; got != want {
		t.Errorf("FB_EFI depends on %s, want %s", got, want)
	}
	if got, want := d.Visible.String(), "EXPERT"; got != want {
		t.Errorf("FB_EFI is visible if %s, want %s", got, want)
	}
	if d.File != "drivers/x86/Kconfig" || d.Line != 6 {
		t.Errorf("FB_EFI stands at %s:%d", d.File, d.Line)
	}
	if got, want := tree.Lookup("CHOOSER").Definitions[0].DependsOn.String(), "(EXPERT || FB) && !BROKEN"; got != want {
		t.Errorf("CHOOSER depends on %s, want %s", got, want)
	}
	if by := tree.Lookup("HIDDEN").SelectedBy; len(by) != 1 || by[0].By != "CHOOSER" || by[0].If.String() != "64BIT" {
		t.Errorf("HIDDEN is selected by %v", by)
	}
}

func TestExplain(t *testing.T) {
	tree := sampleTree(t)
	cases := []struct {
		name, symbol, wanted, values string
		want                         string
	}{
		{"the part that is not met, with its values, and its cause", "FB_EFI", "y", "64BIT=y EFI=y COUNT=2 EXPERT=y", `
FB_EFI (drivers/x86/Kconfig:6) depends on 64BIT && FB && EFI && COUNT >= 4
not met: FB  [FB=n]
not met: COUNT >= 4  [COUNT=2]
FB (drivers/x86/Kconfig:3) has all it depends on (64BIT): nothing asks for it`},
		{"m is the ceiling", "FB_EFI", "y", "64BIT=y EFI=y COUNT=4 FB=m EXPERT=y", `
FB_EFI (drivers/x86/Kconfig:6) depends on 64BIT && FB && EFI && COUNT >= 4
not met: FB  [FB=m]
FB (drivers/x86/Kconfig:3) has all it depends on (64BIT): nothing asks for it`},
		{"no prompt without EXPERT", "FB_EFI", "y", "64BIT=y EFI=y COUNT=4 FB=y", `
FB_EFI (drivers/x86/Kconfig:6) can be asked for only if EXPERT
not met: EXPERT  [EXPERT=n]
EXPERT (Kconfig:10) has all it depends on (y): nothing asks for it`},
		{"only select", "HIDDEN", "y", "64BIT=y CHOOSER=n", `
HIDDEN (Kconfig:13) has no prompt: only a select sets it: CHOOSER=n if 64BIT`},
		{"choice", "FAST", "y", "SLOW=y", `
FAST (Kconfig:24) is a member of the choice "Speed", and SLOW is taken`},
		{"who forces it", "HIDDEN", "n", "64BIT=y CHOOSER=m HIDDEN=y", `
CHOOSER=m selects HIDDEN if 64BIT`},
		{"unknown name", "BOOT_FB", "y", "", `
BOOT_FB does not exist in this kernel`},
		{"compiler", "WANTS_CC", "y", "64BIT=y", `
WANTS_CC (drivers/x86/Kconfig:14) depends on 64BIT && $(cc-option,-mfancy="a(b)"), which asks the compiler`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(tree.Explain(c.symbol, c.wanted, valuesOf(c.values)), "\n")
			if want := strings.TrimPrefix(c.want, "\n"); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestReadRefusesBadInput(t *testing.T) {
	cases := map[string]string{
		"config\n":                        "Kconfig:1: config needs one symbol",
		"config A\n\tdepends on (B\n":     "Kconfig:2: a parenthesis is not closed",
		"menu \"x\"\n":                    "a menu has no end",
		"endif\n":                         "endif without if",
		"source \"../etc/passwd\"\n":      "leaves the source tree",
		"source \"Kconfig\"\n":            "deeper than",
		"source \"$(WHAT)/Kconfig\"\n":    "unknown variable",
		"config A\n\tselect B unless C\n": `unexpected "unless"`,
		"config A\n\tdepends on " + strings.Repeat("(", 300) + "\n": "nested deeper",
	}
	for text, want := range cases {
		_, err := Read(fstest.MapFS{"Kconfig": {Data: []byte(text)}}, "x86")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want one with %q", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(sample, "A=y")
	f.Add(sampleDriver, "FB=m EXPERT=y")
	f.Add("config A\n\tbool \"a\" if B = 0x10 && C<D\n", "B=16")
	f.Fuzz(func(t *testing.T, text, values string) {
		tree, err := Read(fstest.MapFS{"Kconfig": {Data: []byte(text)}, "drivers/x86/Kconfig": {Data: []byte(sampleDriver)}}, "x86")
		if err != nil {
			return
		}
		v := valuesOf(values)
		for name := range tree.Symbols {
			if len(tree.Explain(name, "y", v)) == 0 {
				t.Fatalf("no reason for %s=y", name)
			}
			tree.Explain(name, "n", v)
			for _, d := range tree.Symbols[name].Definitions {
				again, rest, err := condition(mustWords(t, d.DependsOn.String()))
				if err != nil || len(rest) != 0 {
					t.Fatalf("%q does not read back: %v", d.DependsOn, err)
				}
				if d.DependsOn != nil && again.Evaluate(v) != d.DependsOn.Evaluate(v) {
					t.Fatalf("%q reads back as %q with another value", d.DependsOn, again)
				}
			}
		}
	})
}

func mustWords(t *testing.T, text string) []token {
	ws, err := words(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return ws
}
