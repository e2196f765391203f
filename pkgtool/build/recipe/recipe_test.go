package recipe

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// seedNames is a seed for tests: every name is a layer of its own.
type seedNames []string

func (s seedNames) LayerOf(name string) (string, bool) {
	for _, n := range s {
		if n == name {
			return name, true
		}
	}
	return "", false
}

const good = `schema: 1
name: a
version: "1.2.3"
release: 1
date: 2022-10-13
summary: A thing
license: MIT
vars: {kind: "${version.major_minor}"}
sources:
  - urls: ["mirror://debian/pool/a_${upstream}-${vars.kind}.tar.gz"]
    sha256: 71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1
phases:
  build:
    - run: echo ${name} $${x}
    - exec: [echo, "${env.JOBS}", "${version}"]
    - use: g/p
      with: {args: [-a, "b c"], flag: true}
packages:
  - name: a
    files: [/usr/bin/*]
  - name: a-dev
    split: dev
`

const pipeline = `summary: A pipeline
inputs:
  args: {type: list}
  flag: {type: bool}
  word: {type: string, default: w}
tools: [make]
steps:
  - exec: [make, "${inputs.args}", "X=${inputs.word}", "-j${env.JOBS}"]
`

// folder writes files (name, text, name, text...) into a new recipe tree.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "recipes")
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadExpandsAndResolves(t *testing.T) {
	tree, err := LoadTree(folder(t, "a/recipe.yaml", good, "pipelines/g/p.yaml", pipeline), "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Err(); err != nil {
		t.Fatal(err)
	}
	r, err := tree.Recipe("a-dev")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Sources[0].URLs[0]; got != "mirror://debian/pool/a_1.2.3-1.2.tar.gz" {
		t.Errorf("url: %s", got)
	}
	plan := r.Plan()
	if len(plan) != 3 || plan[0].Run != "echo ${name} $${x}" {
		t.Fatalf("run is not to be expanded: %+v", plan)
	}
	if got := strings.Join(plan[1].Exec, "|"); got != "echo|${env.JOBS}|1.2.3" {
		t.Errorf("exec: %s", got)
	}
	if got := strings.Join(plan[2].Exec, "|"); got != "make|-a|b c|X=w|-j${env.JOBS}" {
		t.Errorf("pipeline: %s", got)
	}
	if plan[2].Env["INPUT_ARGS"] != "-a\nb c" || plan[2].Env["INPUT_FLAG"] != "true" {
		t.Errorf("inputs: %v", plan[2].Env)
	}
	if got := strings.Join(r.Tools(), " "); got != "make" {
		t.Errorf("tools: %s", got)
	}
	if r.EpochOf() != 1665619200 {
		t.Errorf("epoch: %d", r.EpochOf())
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "license:", "licence:", `recipe.yaml:7:1: unknown key "licence"; did you mean "license"?`},
		{"unknown key inside", "    split: dev", "    spilt: dev", `recipe.yaml:22:5: unknown key "spilt" in packages; did you mean "split"?`},
		{"missing", "license: MIT\n", "", "license is missing"},
		{"version", `"1.2.3"`, `"9.2p1"`, "recipe.yaml:3:1: "},
		{"variable", "${upstream}", "${upsteam}", `recipe.yaml:10:12: ${upsteam} is not known; did you mean ${upstream}?`},
		{"env outside exec", "A thing", "${env.JOBS}", "${env.JOBS} is not known"},
		{"checksum", "71feb7", "71FEB7", "recipe.yaml:11:5: "},
		{"no checksum", "    sha256: 71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1\n", "", "a source needs its sha256"},
		{"plain http", "mirror://debian/", "http://x/", "use mirror://"},
		{"pipeline", "g/p", "g/q", `there is no pipeline "g/q"; did you mean "g/p"?`},
		{"input", "flag: true", "flug: true", `has no input "flug"; did you mean "flag"?`},
		{"input type", "flag: true", "flag: 3", `"3" is not true or false`},
		{"two kinds of step", "    - run: echo", "    - exec: [x]\n      run: echo", "a step has exactly one of run, exec and use"},
		{"moved folder", "/usr/bin/*", "/usr/sbin/*", "/usr/sbin is a symbolic link; write /usr/bin/*"},
		{"relative glob", "[/usr/bin/*]", "[usr/bin/*]", "does not begin with /"},
		{"twice", "name: a-dev", "name: a", `package "a" stands twice`},
		{"patch outside", "phases:", "patches: [../x.patch]\nphases:", "is not inside the recipe's folder"},
		{"patch through a link", "phases:", "patches: [link]\nphases:", "is not inside the recipe's folder"},
		{"date", "2022-10-13", "2022-13-10", "is not a day"},
		{"split", "split: dev", "split: devel", "is none of dev, doc, static, locale, debug, none"},
		{"depends", "    split: dev", "    split: dev\n    depends: [zz]", `no recipe here makes a package "zz"`},
		{"setuid", "    split: dev", "    split: dev\n    modes: [{path: /usr/bin/a, mode: '4755'}]", "needs a reason"},
		{"trigger without a glob", "    split: dev", "    split: dev\n    triggers: [{name: t, run: [/usr/bin/a]}]", "it watches nothing"},
		{"trigger's glob", "    split: dev", "    split: dev\n    triggers: [{name: t, watch: [usr/lib/*], run: [/usr/bin/a]}]", "does not begin with /"},
		{"trigger's program", "    split: dev", "    split: dev\n    triggers: [{name: t, watch: [/usr/lib/*], run: [a]}]", "not an absolute path"},
		{"trigger twice", "    split: dev", "    split: dev\n    triggers: [{name: t, watch: [/a], run: [/b]}, {name: t, watch: [/a], run: [/b]}]", `trigger "t" stands twice`},
		{"vulnerability", "phases:", "security: {fixed: [{id: 'the bug', in: 1.2.3-1}]}\nphases:", `"the bug" is not a vulnerability's name`},
		{"vulnerability twice", "phases:", "security: {fixed: [{id: CVE-2022-1, in: 1.2.3-1}], not-affected: [{id: CVE-2022-1, reason: x}]}\nphases:", "CVE-2022-1 stands twice"},
		{"fixed in the future", "phases:", "security: {fixed: [{id: CVE-2022-1, in: 1.2.4-1}]}\nphases:", "1.2.4-1 is newer than the recipe"},
		{"fixed in no version", "phases:", "security: {fixed: [{id: CVE-2022-1, in: soon}]}\nphases:", `"soon" is no version with a release`},
		{"no reason", "phases:", "security: {not-affected: [{id: CVE-2022-1}]}\nphases:", "say why CVE-2022-1 does not concern us"},
		{"vendor", "license:", "vendor: \"a\\nb\"\nlicense:", "vendor is one line of plain text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(good, c.old, c.new, 1)
			if text == good {
				t.Fatal("the case changes nothing")
			}
			dir := folder(t, "a/recipe.yaml", text, "pipelines/g/p.yaml", pipeline)
			if err := os.Symlink("/etc/passwd", filepath.Join(dir, "a/link")); err != nil {
				t.Fatal(err)
			}
			tree, err := LoadTree(dir, "x86_64")
			if err != nil {
				t.Fatal(err)
			}
			if err := tree.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	text := strings.NewReplacer("2022-10-13", "soon", "g/p", "g/q", "license: MIT\n", "").Replace(good)
	tree, err := LoadTree(folder(t, "a/recipe.yaml", text, "b/recipe.yaml", "nmae: b\n"), "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"is not a day", "no pipeline", "license is missing", `"nmae"`} {
		if !strings.Contains(tree.Err().Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, tree.Err())
		}
	}
}

func small(name, build string, packages ...string) string {
	text := "schema: 1\nname: " + name + "\nversion: \"1.0.0\"\nrelease: 1\ndate: 2022-10-13\nsummary: s\nlicense: MIT\nbuild: {" + build + "}\npackages:\n"
	for _, p := range packages {
		text += "  - {" + p + "}\n"
	}
	return text
}

func TestOrderAndCycles(t *testing.T) {
	dir := folder(t,
		"app/recipe.yaml", small("app", "tools: [make, gen], libs: [lib-dev]", "name: app, depends: [lib]"),
		"gen/recipe.yaml", small("gen", "libs: [base-dev]", "name: gen, depends: [data]"),
		"data/recipe.yaml", small("data", "", "name: data"),
		"lib/recipe.yaml", small("lib", "libs: [base-dev]", "name: lib, depends: [app]", "name: lib-dev, split: dev"),
		"base/recipe.yaml", small("base", "tools: [make]", "name: base-dev, split: dev"),
		"make/recipe.yaml", small("make", "libs: [base-dev]", "name: make"),
	)
	tree, err := LoadTree(dir, "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	order, _, err := tree.Order([]string{"app"}, seedNames{"make"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range order {
		names = append(names, r.Name)
	}
	if got := strings.Join(names, " "); got != "data base gen lib app" {
		t.Errorf("order: %s", got)
	}
	_, _, err = tree.Order([]string{"app"}, seedNames{})
	if err == nil || !strings.Contains(err.Error(), "base -> make -> base") {
		t.Errorf("cycle: %v", err)
	}
}

func TestDuplicatePackageAcrossRecipes(t *testing.T) {
	tree, err := LoadTree(folder(t, "a/recipe.yaml", small("a", "", "name: x"), "b/recipe.yaml", small("b", "", "name: x")), "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Err(); err == nil || !strings.Contains(err.Error(), `package "x" is also made by`) {
		t.Fatal(err)
	}
}

// TestProjectRecipes keeps the recipes and pipelines of the project readable.
func TestProjectRecipes(t *testing.T) {
	tree, err := LoadTree("../../../recipes", "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestPublishedSchemaIsCurrent(t *testing.T) {
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	const published = "../../../docs/formats/recipe.schema.json"
	if *update {
		if err := os.WriteFile(published, schema, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(published)
	if err != nil {
		t.Fatal(err)
	}
	if string(old) != string(schema) {
		t.Fatalf("%s is not the schema of the Go types; run this test with -update", published)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(small("a", "tools: [x]", "name: a")))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := folder(t, "a/recipe.yaml", string(data), "pipelines/g/p.yaml", pipeline)
		tree, err := LoadTree(dir, "x86_64")
		if err != nil {
			t.Fatal(err)
		}
		_ = tree.Lint(seedNames{"make"}) // must not panic or hang
	})
}
