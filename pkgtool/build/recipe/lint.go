package recipe

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/github/go-spdx/v2/spdxexp"
	"mvdan.cc/sh/v3/syntax"
)

// Rule is something that lint looks for in recipes, besides what makes them
// unusable.
type Rule struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// Rules are all of them, by id. What packing looks for in built files is in
// [Findings].
var Rules = []Rule{
	{"license", "license is an SPDX expression of licences that SPDX lists, or LicenseRef-NAME"},
	{"option-value", "the recipe is right with every value of every option"},
	{"shell", "scripts are bash that can be parsed"},
	{"source-sum", "one address has one sum, in whatever recipe"},
	{"summary", "summary is a phrase of at most 80 letters, without a full stop"},
	{"unused", "variables, options and inputs are used somewhere"},
}

// Lint returns everything wrong with the named recipes (all, and what lies
// between them, when there are none): what makes them unusable, needs that
// nothing satisfies where the seed is known, and what breaks a rule.
func (t *Tree) Lint(seed Seed, names ...string) error {
	all := []error{}
	if len(names) == 0 {
		if err := t.Err(); err != nil {
			all = append(all, err)
		}
		all = append(all, t.lintPipelines()...)
		all = append(all, t.lintSums()...)
	}
	names, err := t.Expand(names)
	if err != nil {
		return err
	}
	recipes := sortedRecipes(t.recipes)
	if len(names) > 0 {
		recipes = nil
		for _, name := range names {
			r, err := t.Recipe(name)
			if err != nil {
				all = append(all, err)
				continue
			}
			recipes = append(recipes, r)
		}
	}
	good := []string{}
	for _, r := range recipes {
		p := &problems{pos: r.pos}
		r.lint(p)
		all = append(all, p.list...)
		all = append(all, t.lintOptions(r)...)
		if seed == nil {
			continue
		}
		if _, err := r.Before(seed); err != nil {
			all = append(all, err)
			continue
		}
		good = append(good, r.Name)
	}
	for _, name := range good {
		if _, _, err := t.Order([]string{name}, seed); err != nil && strings.Contains(err.Error(), "circle") {
			all = append(all, err)
			break
		}
	}
	return joinUsage(all)
}

// lint reports what breaks a rule in one recipe.
func (r *Recipe) lint(p *problems) {
	if ok, _ := spdxexp.ValidateLicenses([]string{r.License}); !ok {
		p.add(path{"license"}, "license: %q is not an SPDX expression such as GPL-2.0-or-later AND MIT; a licence that SPDX does not list is LicenseRef-NAME", r.License)
	}
	for i, pkg := range r.Packages {
		if ok, _ := spdxexp.ValidateLicenses([]string{pkg.License}); !ok && pkg.License != r.License {
			p.add(path{"packages", i, "license"}, "license: %q is not an SPDX expression", pkg.License)
		}
		lintSummary(path{"packages", i, "summary"}, pkg.Summary, pkg.Summary != r.Summary, p)
	}
	lintSummary(path{"summary"}, r.Summary, true, p)
	for _, name := range PhaseNames {
		before, main, after := r.Phases.phase(name)
		lintSteps(*before, path{"phases", "before-" + name}, p)
		lintSteps(*main, path{"phases", name}, p)
		lintSteps(*after, path{"phases", "after-" + name}, p)
	}
	for i, test := range r.Tests {
		lintScript(test.Run, path{"test", i, "run"}, p)
	}
	data, err := os.ReadFile(r.path)
	if err != nil {
		return // it was readable a moment ago; the next run tells
	}
	text := string(data)
	for _, name := range slices.Sorted(maps.Keys(r.Vars)) {
		if !strings.Contains(text, "${vars."+name+"}") {
			p.add(path{"vars", name}, "unused: nothing uses ${vars.%s}", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Options)) {
		if !strings.Contains(text, "options."+name) && !strings.Contains(text, "OPTION_"+envOf(name)) {
			p.add(path{"options", name}, "unused: no condition asks for options.%s, and no script for $OPTION_%s", name, envOf(name))
		}
	}
}

// envOf is the end of the variable that scripts have for an option or input.
func envOf(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

func lintSummary(at path, summary string, own bool, p *problems) {
	switch {
	case !own:
	case strings.HasSuffix(summary, "."):
		p.add(at, "summary: it ends with a full stop; it is a phrase")
	case len([]rune(summary)) > 80:
		p.add(at, "summary: it has %d letters; more than 80 do not fit on a line", len([]rune(summary)))
	}
}

func lintSteps(steps []Step, at path, p *problems) {
	for i, step := range steps {
		lintScript(step.Run, at.with(i, "run"), p)
	}
}

// lintScript reports a script that bash could not parse, at its line.
func lintScript(script string, at path, p *problems) {
	if script == "" {
		return
	}
	_, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), "")
	var parse syntax.ParseError
	if errors.As(err, &parse) {
		p.add(at, "shell: line %d of the script: %s", parse.Pos.Line(), parse.Text)
	} else if err != nil {
		p.add(at, "shell: %v", err)
	}
}

// lintPipelines reports broken scripts and inputs that nothing uses.
func (t *Tree) lintPipelines() []error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(t.pipelines)) {
		pl := t.pipelines[name]
		p := &problems{pos: pl.pos}
		lintSteps(pl.Steps, path{"steps"}, p)
		text := ""
		for _, step := range pl.Steps {
			text += step.Run + strings.Join(step.Exec, " ") + step.Dir + strings.Join(slices.Collect(maps.Values(step.Env)), " ")
		}
		for _, input := range slices.Sorted(maps.Keys(pl.Inputs)) {
			if !strings.Contains(text, "${inputs."+input+"}") && !strings.Contains(text, "INPUT_"+envOf(input)) {
				p.add(path{"inputs", input}, "unused: no step uses the input %q", input)
			}
		}
		all = append(all, p.list...)
	}
	return all
}

// lintSums reports addresses that have different sums in two places.
func (t *Tree) lintSums() []error {
	type place struct{ recipe, sum string }
	seen := map[string]place{}
	var all []error
	for _, r := range sortedRecipes(t.recipes) {
		p := &problems{pos: r.pos}
		for i := range r.Sources {
			s := &r.Sources[i]
			for j, url := range s.URLs {
				if !strings.Contains(url, "://") {
					continue
				}
				sum := s.SHA256 + s.H1
				if first, ok := seen[url]; !ok {
					seen[url] = place{r.Name, sum}
				} else if first.sum != sum {
					p.add(path{"sources", i, "urls", j}, "source-sum: %s has another sum in %s; one of them cannot be right", url, first.recipe)
				}
			}
		}
		all = append(all, p.list...)
	}
	return all
}

// lintOptions loads a recipe with every value that its options do not have now.
func (t *Tree) lintOptions(r *Recipe) []error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(r.Options)) {
		option := r.Options[name]
		values := option.Values
		if option.Type == "bool" {
			values = []string{"false", "true"}
		}
		for _, value := range values {
			if value == r.choices[name] {
				continue
			}
			chosen := maps.Clone(r.choices)
			chosen[name] = value
			other := *t
			other.chosen = map[string]map[string]string{r.Name: chosen}
			if _, err := other.load(r.path); err != nil {
				all = append(all, fmt.Errorf("option-value: %s with %s=%s:\n%w", r.Name, name, value, err))
			}
		}
	}
	return all
}
