package recipe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const used = pipeline + "  - exec: [echo, \"${inputs.flag}\"]\n"

func TestRules(t *testing.T) {
	seed := seedNames{"make"}
	for _, c := range []struct{ name, old, new, want string }{
		{"good", "", "", ""},
		{"license", "license: MIT", "license: GPLv3", `recipe.yaml:7:1: license: "GPLv3" is not an SPDX expression`},
		{"license expression", "license: MIT", "license: MIT and ISC", `license: "MIT and ISC" is not`},
		{"own license", "license: MIT", "license: LicenseRef-Own", ""},
		{"summary", "A thing", "A thing.", "summary: it ends with a full stop"},
		{"long summary", "A thing", "A " + strings.Repeat("very ", 20) + "long thing", "summary: it has 112 letters"},
		{"shell", "run: echo ${name} $${x}", "run: 'if true; then echo'", "recipe.yaml:14:7: shell: line 1 of the script: "},
		{"shell of a test", "packages:\n", "test:\n  - run: 'for x in; do'\npackages:\n", "shell: line 1 of the script: "},
		{"unused variable", "vars: {kind:", "vars: {more: x, kind:", "unused: nothing uses ${vars.more}"},
		{"unused option", "vars:", "options: {pam: {type: bool}}\nvars:", "unused: no condition asks for options.pam"},
		{"option in a script", "run: echo", "run: echo $OPTION_X_Y; echo", ""},
		{"another value of an option", "packages:\n", "options: {pam: {type: bool}}\npatches: [{if: options.pam, file: none.patch}]\npackages:\n",
			`option-value: a with pam=true:`},
	} {
		text := good
		if c.name == "option in a script" {
			text = strings.Replace(text, "vars:", "options: {x-y: {type: bool}}\nvars:", 1)
		}
		text = strings.Replace(text, c.old, c.new, 1)
		tree, err := LoadTree(folder(t, "a/recipe.yaml", text, "pipelines/g/p.yaml", used), "x86_64")
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Lint(seed); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestRulesBetweenRecipes(t *testing.T) {
	b := strings.NewReplacer("name: a\n", "name: b\n", "name: a-dev", "name: b-dev", "71feb7", "81feb7").Replace(good)
	tree, err := LoadTree(folder(t, "a/recipe.yaml", good, "b/recipe.yaml", b,
		"pipelines/g/p.yaml", strings.Replace(used, "  word:", "  idle: {type: int}\n  word:", 1)), "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	err = tree.Lint(seedNames{"make"})
	for _, want := range []string{"b/recipe.yaml:10:12: source-sum: mirror://debian/pool/a_1.2.3-1.2.tar.gz has another sum in a", `unused: no step uses the input "idle"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
	if err := tree.Lint(seedNames{"make"}, "a"); err != nil {
		t.Errorf("a alone: %v", err)
	}
}

func TestFormat(t *testing.T) {
	const messy = "# yaml-language-server: $schema=x\nname: a   \nschema: 1\n\n\n# where it comes from\nlicense: MIT\npackages:\n  - name: a\n\n\n  # all of it\n    files: [/x]\t\n" +
		"# how\nbuild:\n  tools: [make] # the one\nversion: \"1.0.0\"\nsummary: s\nrelease: 1\ndate: 2022-10-13\nphases:\n  install:\n# flush left\n    - run: |\n        a\n\n        b\n# the end\n"
	const tidy = "# yaml-language-server: $schema=x\nschema: 1\nname: a\nversion: \"1.0.0\"\nrelease: 1\ndate: 2022-10-13\nsummary: s\n# where it comes from\nlicense: MIT\n\n" +
		"# how\nbuild:\n  tools: [make] # the one\n\nphases:\n  install:\n# flush left\n    - run: |\n        a\n\n        b\n# the end\n\npackages:\n  - name: a\n\n\n  # all of it\n    files: [/x]\n"
	got, err := Format("a", []byte(messy))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != tidy {
		t.Errorf("got\n%s", got)
	}
	again, err := Format("a", got)
	if err != nil || string(again) != tidy {
		t.Errorf("formatted again: %v\n%s", err, again)
	}
	if _, err := Format("a", []byte("name: a\ndescription: |+\n  x\n\n\nschema: 1\n")); err == nil || !strings.Contains(err.Error(), "without changing what it says") {
		t.Errorf("empty lines that belong to a text: %v", err)
	}
}

// TestProjectRecipesAreTidy keeps the project's recipes in the canonical layout
// and within the rules.
func TestProjectRecipesAreTidy(t *testing.T) {
	files, err := filepath.Glob("../../../recipes/*/recipe.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d recipes, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if formatted, err := Format(file, data); err != nil {
			t.Error(err)
		} else if string(formatted) != string(data) {
			t.Errorf("%s is not in the canonical layout; pkgtool recipe fmt", file)
		}
	}
	tree, err := LoadTree("../../../recipes", "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Lint(nil); err != nil {
		t.Error(err)
	}
}

// FuzzFormat: what can be formatted says the same, and is formatted then.
func FuzzFormat(f *testing.F) {
	f.Add(good)
	f.Add(choosing)
	f.Add("a: |\n  x\n\n# c\nb: 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		once, err := Format("a", []byte(text))
		if err != nil {
			return
		}
		if twice, err := Format("a", once); err != nil || string(twice) != string(once) {
			t.Errorf("%v\n%q\n%q", err, once, twice)
		}
	})
}
