package main

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/solver/cases"
	"ashlar/pkgtool/version"
	"ashlar/tests/bench/debian"
	"ashlar/tests/bench/measure"
)

func TestMain(m *testing.M) {
	measure.Watcher()
	os.Exit(m.Run())
}

// TestVerdictsOnPartOfDebian asks our solver, dose-debcheck and apt about some
// packages of Debian with all that they could need, of which some are taken
// away so that not everything can be installed. The whole of Debian is the
// benchmark's: make bench-solver.
func TestVerdictsOnPartOfDebian(t *testing.T) {
	if os.Getenv("ASHLAR_TEST_NETWORK") == "" {
		t.Skip("needs Debian's package index; set ASHLAR_TEST_NETWORK=1")
	}
	a := partOfDebian(t)
	lines, err := a.read()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{requests: aptRequests}
	q, err := b.ask(a, lines)
	if err != nil {
		t.Fatal(err)
	}
	u := universeOf(t, lines)
	t.Logf("%d packages, %d requests", len(lines), len(q.requests))

	bad, err := u.CheckAll(t.Context(), "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]bool{}
	for _, p := range bad {
		ours[p.Package.Name] = true
	}
	theirs := broken(ask(t, nil, dose(a.packages)))
	for _, l := range lines {
		if ours[l.Name] != theirs[l.Name] {
			t.Errorf("%s: cannot be installed: pkgtool says %v, dose-debcheck %v", l.Name, ours[l.Name], theirs[l.Name])
		}
	}
	if len(theirs) == 0 || len(theirs) == len(lines) {
		t.Errorf("%d of %d packages cannot be installed: this tests nothing", len(theirs), len(lines))
	}

	refused := broken(ask(t, nil, dose("--fg="+q.dose, "--bg="+q.packages)))
	apt := words(ask(t, []string{"APT_CONFIG=" + q.aptConf}, []string{"sh", q.apt}))
	if len(apt) != len(q.requests) || len(refused) == 0 || len(refused) >= len(q.requests) {
		t.Fatalf("of %d requests, apt answers %d and dose-debcheck refuses %d", len(q.requests), len(apt), len(refused))
	}
	for i, r := range q.requests {
		can := solvable(t, u, r)
		if dose := !refused[pseudo(i)]; can != dose {
			t.Errorf("request [%s]: pkgtool says %v, dose-debcheck %v", r.text(), can, dose)
		}
		// apt does not find every solution, but what it finds is one.
		if apt[i] && !can {
			t.Errorf("request [%s]: apt finds a solution, pkgtool none", r.text())
		}
	}
}

// ask returns what a program says; its exit code is part of its verdict.
func ask(t *testing.T, env, args []string) []byte {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("%s: %v\n%s", args[0], err, out)
	}
	return out
}

func solvable(t *testing.T, u *solver.Universe, r request) bool {
	t.Helper()
	asked := solver.Request{Arch: "x86_64", NoRecommends: true}
	for _, name := range r {
		asked.Install = append(asked.Install, version.Dependency{Name: name})
	}
	_, err := u.Solve(t.Context(), asked)
	if err != nil && fault.ClassOf(err) != fault.Unsolvable {
		t.Fatalf("request [%s]: %v", r.text(), err)
	}
	return err == nil
}

// universeOf reads the packages as pkgtool solve does.
func universeOf(t *testing.T, lines []debian.Line) *solver.Universe {
	t.Helper()
	var text bytes.Buffer
	if err := debian.WriteLines(&text, lines); err != nil {
		t.Fatal(err)
	}
	packages, err := cases.ReadUniverse(&text)
	if err != nil {
		t.Fatal(err)
	}
	return solver.NewUniverse(packages)
}

// partOfDebian makes an archive of some packages of today's Debian.
func partOfDebian(t *testing.T) *archive {
	t.Helper()
	a := archiveIn(t.TempDir())
	whole := filepath.Join(a.dir, "whole")
	if err := fetchIndex(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := debian.Convert(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	stanzas := strings.Split(strings.TrimRight(string(text), "\n"), "\n\n")
	if len(stanzas) != len(lines) {
		t.Fatalf("%d paragraphs are not %d packages", len(stanzas), len(lines))
	}
	var part strings.Builder
	random := rand.New(rand.NewPCG(7, 7))
	taken := closure(lines, random, 40)
	for i, stanza := range stanzas {
		if taken[lines[i].Name] && random.IntN(100) > 1 {
			part.WriteString(stanza + "\n\n")
		}
	}
	if err := os.WriteFile(a.packages, []byte(part.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := a.setUpApt(context.Background()); err != nil {
		t.Fatal(err)
	}
	return a
}

// closure returns some names and everything that any of them could need.
func closure(lines []debian.Line, random *rand.Rand, seeds int) map[string]bool {
	having := map[string][]int{} // lines that have or provide a name
	for i, l := range lines {
		having[l.Name] = append(having[l.Name], i)
		for _, p := range l.Provides {
			having[nameOf(p)] = append(having[nameOf(p)], i)
		}
	}
	taken := map[string]bool{}
	var queue []int
	for range seeds {
		queue = append(queue, random.IntN(len(lines)))
	}
	for len(queue) > 0 {
		l := lines[queue[0]]
		queue = queue[1:]
		if taken[l.Name] {
			continue
		}
		taken[l.Name] = true
		for _, needed := range l.Requires {
			for alternative := range strings.SplitSeq(needed, " | ") {
				queue = append(queue, having[nameOf(alternative)]...)
			}
		}
	}
	return taken
}
