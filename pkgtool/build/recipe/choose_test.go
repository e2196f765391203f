package recipe

import (
	"encoding/json"
	"strings"
	"testing"
)

const choosing = `schema: 1
name: a
version: "1.2.3"
release: 1
date: 2022-10-13
summary: A thing
license: MIT
options:
  pam: {type: bool, default: true, summary: Log in through PAM}
  tls: {type: enum, values: [none, openssl]}
sources:
  - {urls: [x.tar], sha256: 71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1}
  - {if: options.tls == openssl, id: tls, urls: [x.tar], sha256: 71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1, into: tls}
patches:
  - x.patch
  - {if: not options.pam, then: y.patch}
  - {if: options.tls == openssl, file: y.patch, source: tls, strip: 0}
build:
  tools: [make, {if: options.pam, then: [pam-tool, pam-dev], else: other}]
phases:
  configure:
    - exec: [configure, {if: options.pam, then: --with-pam, else: --without-pam}, "--tls=${options.tls}"]
    - {if: arch == arm64, run: never}
packages:
  - {name: a}
  - {if: options.pam and (options.tls != none or arch == x86_64), name: a-pam}
`

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		file    string // options.yaml
		options map[string]string
		want    string
	}{
		{"", nil, `x.patch | make,pam-tool,pam-dev | configure --with-pam --tls=none | main | a,a-pam,a-debug`},
		{"", map[string]string{"pam": "false"}, `x.patch,y.patch | make,other | configure --without-pam --tls=none | main | a,a-debug`},
		{"", map[string]string{"tls": "openssl"}, `x.patch,y.patch:tls:0 | make,pam-tool,pam-dev | configure --with-pam --tls=openssl | main,tls | a,a-pam,a-debug`},
		{"schema: 1\noptions: {a: {pam: false, tls: openssl}}\n", map[string]string{"tls": "none"}, `x.patch,y.patch | make,other | configure --without-pam --tls=none | main | a,a-debug`},
	} {
		files := []string{"a/recipe.yaml", choosing, "a/x.tar", "", "a/x.patch", "", "a/y.patch", ""}
		if c.file != "" {
			files = append(files, "options.yaml", c.file)
		}
		tree, err := LoadTreeWith(folder(t, files...), Settings{Arch: "x86_64", Options: map[string]map[string]string{"a": c.options}})
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Err(); err != nil {
			t.Fatal(err)
		}
		r, err := tree.Recipe("a")
		if err != nil {
			t.Fatal(err)
		}
		var patches, sources, packages []string
		for _, p := range r.Patches {
			text := p.File
			if p.Source != "" {
				text += ":" + p.Source + ":" + string(rune('0'+p.StripCount()))
			}
			patches = append(patches, text)
		}
		for _, s := range r.Sources {
			sources = append(sources, s.ID)
		}
		for _, p := range r.Packages {
			packages = append(packages, p.Name)
		}
		got := strings.Join([]string{strings.Join(patches, ","), strings.Join(r.Build.Tools, ","), strings.Join(r.Plan()[0].Exec, " "),
			strings.Join(sources, ","), strings.Join(packages, ",")}, " | ")
		if got != c.want {
			t.Errorf("%v %s\ngot  %s\nwant %s", c.options, c.file, got, c.want)
		}
	}
}

func TestWrongConditions(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"not options.pam,", "options.pma,", `recipe.yaml:16:6: the condition "options.pma": the recipe has no option "pma"; did you mean "pam"?`},
		{"not options.pam,", "options.pam and,", `a name or value is missing`},
		{"not options.pam,", "(options.pam,", `a parenthesis is not closed`},
		{"not options.pam,", "options.tls,", `"none" is neither true nor false`},
		{"not options.pam,", "arch x86_64,", `"x86_64" is neither true nor false`},
		{"not options.pam,", `"",`, `an empty condition`},
		{"then: y.patch}", "then: y.patch, esle: z}", `unknown key "esle" beside if and then`},
		{"{if: not options.pam, then: y.patch}", "{if: options.pam}", `if needs then, or further keys`},
		{"default: true", "default: maybe", `recipe.yaml:9:3: option pam: "maybe" is none of its values [false true]`},
		{"type: enum, values: [none, openssl]", "type: enum", `option tls: an enum needs its values`},
		{"type: enum", "type: list", `option tls: "list" is neither bool nor enum`},
		{"source: tls", "source: tsl", ""}, // not chosen, so not looked at
		{"  - x.patch\n", "  - {series: ../series}\n", `leaves $SRCDIR`},
		{"  - x.patch\n", "  - {file: x.patch, series: s}\n", `exactly one of file and series`},
	} {
		text := strings.Replace(choosing, c.old, c.new, 1)
		if text == choosing {
			t.Fatalf("%s: the case changes nothing", c.new)
		}
		tree, err := LoadTree(folder(t, "a/recipe.yaml", text, "a/x.tar", "", "a/x.patch", "", "a/y.patch", ""), "x86_64")
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Err(); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s\ngot  %v\nwant %s", c.new, err, c.want)
		}
	}
}

func TestChosenForNothing(t *testing.T) {
	for _, c := range []struct{ recipe, option, value, want string }{
		{"a", "pan", "true", `has no option "pan"; did you mean "pam"?`},
		{"a", "pam", "yes", `"yes" is none of its values`},
		{"aa", "pam", "true", `options were chosen for "aa", which is no recipe`},
	} {
		tree, err := LoadTreeWith(folder(t, "a/recipe.yaml", choosing, "a/x.tar", "", "a/x.patch", "", "a/y.patch", ""),
			Settings{Arch: "x86_64", Options: map[string]map[string]string{c.recipe: {c.option: c.value}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestGroups(t *testing.T) {
	recipes := []string{"a/recipe.yaml", small("a", "", "name: a", "name: a-more"), "b/recipe.yaml", small("b", "", "name: b")}
	const groups = "schema: 1\ngroups:\n  base: {summary: s, packages: [a, '@more', '@base']}\n  more: {summary: s, packages: [b, a-more]}\n"
	tree, err := LoadTree(folder(t, append(recipes, "groups.yaml", groups)...), "x86_64")
	if err != nil || tree.Err() != nil {
		t.Fatal(err, tree.Err())
	}
	got, err := tree.Expand([]string{"b", "@base"})
	if err != nil || strings.Join(got, " ") != "b a a-more b" {
		t.Errorf("%v %v", got, err)
	}
	if _, err := tree.Expand([]string{"@bsae"}); err == nil || !strings.Contains(err.Error(), `no group "bsae"`) || !strings.Contains(err.Error(), `"base"`) {
		t.Error(err)
	}
	tree, err = LoadTree(folder(t, append(recipes, "groups.yaml", strings.Replace(groups, "a-more", "a-mroe", 1))...), "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Err(); err == nil || !strings.Contains(err.Error(), `no recipe makes a package "a-mroe"; did you mean "a-more"?`) {
		t.Error(err)
	}
}

// FuzzConditions: no text makes the evaluation fail in another way than by an
// error, and a condition and its negation differ.
func FuzzConditions(f *testing.F) {
	for _, text := range []string{"options.a and not b == c", "((true))", "not not false or x != y", ")"} {
		f.Add(text)
	}
	values := map[string]string{"options.a": "true", "arch": "x86_64"}
	f.Fuzz(func(t *testing.T, text string) {
		holds, err := evaluate(text, values)
		if negated, nerr := evaluate("not ("+text+")", values); err == nil && nerr == nil && holds == negated && len(conditionTokens(text)) < 190 {
			t.Errorf("%q and its negation are both %v", text, holds)
		}
	})
}

// TestSchemaKnowsConditions judges the recipe of these tests by the published
// schema's shape: every list takes a condition.
func TestSchemaKnowsConditions(t *testing.T) {
	data, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties map[string]struct {
			Items struct {
				AnyOf []map[string]any `json:"anyOf"`
			} `json:"items"`
		} `json:"properties"`
		Defs map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	if n := len(schema.Properties["patches"].Items.AnyOf); n != 3 {
		t.Errorf("a patch has %d forms, not text, mapping and condition", n)
	}
	for _, name := range []string{"Source", "Patch", "Step", "Package", "Unit", "Test"} {
		if schema.Defs[name].Properties["if"] == nil {
			t.Errorf("%s takes no if", name)
		}
	}
}

func TestWhatStandsOnWhat(t *testing.T) {
	dir := folder(t,
		"app/recipe.yaml", small("app", "libs: [lib-dev]", "name: app"),
		"tool/recipe.yaml", small("tool", "tools: [app]", "name: tool"),
		"lib/recipe.yaml", small("lib", "", "name: lib", "name: lib-dev, split: dev"),
		"alone/recipe.yaml", strings.Replace(good, "name: a\n", "name: alone\n", 1),
		"pipelines/g/p.yaml", pipeline)
	tree, err := LoadTree(dir, "x86_64")
	if err != nil || tree.Err() != nil {
		t.Fatal(err, tree.Err())
	}
	got, err := tree.Dependents([]string{"lib-dev"}, seedNames{"make"})
	if err != nil || strings.Join(got, " ") != "app lib tool" {
		t.Errorf("%v %v", got, err)
	}
	for file, want := range map[string]string{"lib/x.patch": "lib", "pipelines/g/p.yaml": "alone", "pipelines/g/q.yaml": "", "README.md": "", "../lib": ""} {
		if got := strings.Join(tree.Touched([]string{dir + "/" + file}), " "); got != want {
			t.Errorf("%s touches %q, not %q", file, got, want)
		}
	}
}
