package build

import (
	"fmt"
	"strings"
	"testing"
)

// TestSelfHost: a second round stands on the packages of the first alone; what
// only the seed has is told, and a failure ends no other build.
func TestSelfHost(t *testing.T) {
	b := newBench(t)
	// The only program of the roots grows by a letter with each round.
	b.recipe("probe", "build: {strip: false}\nlint: {allow: [{id: build-path, reason: it is this test}]}", "append, /usr/bin/probe, usr/bin/probe", "mode, '755', usr/bin/probe")
	b.recipe("same", "build: {tools: [other]}", "put, usr/share/same, x")
	b.recipe("reads", "build: {libs: [same]}", "append, /usr/share/same, usr/share/reads")
	b.recipe("lost", "build: {tools: [base]}", "put, usr/share/lost, x")
	b.recipe("other", "", "put, usr/share/other, x")
	b.recipe("breaks", "", "want, /usr/bin/bash", "put, usr/share/breaks, x")
	b.recipe("repacks", "origin: seed", "put, usr/share/repacks, x")
	b.write(StageFile, "schema: 1\nbase: [probe]\n")
	for rounds, want := range map[int]string{
		2: "breaks: failed; lost: missing; other: same; probe: differs; reads: same; repacks: missing; same: same",
		3: "breaks: failed; lost: missing; other: same; probe: differs; reads: same; repacks: missing; same: same",
	} {
		e := b.engine()
		s, err := ReadStage(b.recipes)
		if err != nil {
			t.Fatal(err)
		}
		rebuilt, err := e.SelfHost(t.Context(), s, nil, rounds)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rebuilt {
			state := "differs"
			switch {
			case r.Missing != "":
				state = "missing"
			case r.Error != "":
				state = "failed"
			case r.Same:
				state = "same"
			}
			got = append(got, r.Recipe+": "+state)
			if r.Recipe == "probe" {
				f := r.Packages[0].Difference.Files[0]
				expect(t, "letters", fmt.Sprint(f.To.Size-f.From.Size), "1")
			}
			if r.Recipe == "lost" && !strings.Contains(r.Missing, "the tool base; write a recipe") {
				t.Errorf("missing: %s", r.Missing)
			}
		}
		expect(t, fmt.Sprint(rounds, " rounds"), strings.Join(got, "; "), want)
	}
	b.write(StageFile, "schema: 1\nbase: [bash]\n")
	s, _ := ReadStage(b.recipes)
	if _, err := b.engine().SelfHost(t.Context(), s, nil, 2); err == nil || !strings.Contains(err.Error(), `selfhost.yaml: no recipe makes the package "bash"`) {
		t.Errorf("a stage of unknown packages: %v", err)
	}
	b.write(StageFile, "schema: 1\n")
	if _, err := ReadStage(b.recipes); err == nil || !strings.Contains(err.Error(), "at least one package") {
		t.Errorf("an empty stage: %v", err)
	}
}
