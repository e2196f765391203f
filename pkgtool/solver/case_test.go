package solver

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// A case is a text file:
//
//	installed                        packages that are installed
//	  a 1.0.0-1 requested
//	repo main 10                     packages of a repository, with its priority
//	  a 2.0.0-1 [arch] requires b >=1, c | d; provides x = 1; conflicts d; replaces e; recommends f;
//	  supplements g; vendor NAME; install-only
//	install a, b >=2                 the request
//	remove / upgrade / downgrade / reinstall / hold NAMES, pin a ^1, upgrade all, arch NAME, no recommends
//	----
//	the expected result
type testCase struct {
	universe []*Package
	request  Request
}

// failer is what testing.T and rapid.T have in common.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func parseCase(t failer, text string) testCase {
	t.Helper()
	var c testCase
	var repo string
	priority, installed := 0, false
	scanner := bufio.NewScanner(strings.NewReader(text))
	for scanner.Scan() {
		line := scanner.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasPrefix(line, " ") {
			p := parsePackage(t, strings.TrimSpace(line))
			p.Repo, p.Priority, p.Installed = repo, priority, installed
			c.universe = append(c.universe, p)
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case word == "installed":
			repo, priority, installed = "", 0, true
		case word == "repo":
			installed, priority = false, 0
			fmt.Sscan(rest, &repo, &priority)
		case line == "upgrade all":
			c.request.UpgradeAll = true
		case line == "no recommends":
			c.request.NoRecommends = true
		case word == "arch":
			c.request.Arch = rest
		case word == "install":
			c.request.Install = parseDependencies(t, rest)
		case word == "remove":
			c.request.Remove = strings.Split(rest, ", ")
		case word == "upgrade":
			c.request.Upgrade = strings.Split(rest, ", ")
		case word == "hold":
			c.request.Hold = strings.Split(rest, ", ")
		case word == "downgrade":
			c.request.Downgrade = strings.Split(rest, ", ")
		case word == "reinstall":
			c.request.Reinstall = strings.Split(rest, ", ")
		case word == "pin":
			c.request.Pins = parseDependencies(t, rest)
		default:
			t.Fatalf("line %q", line)
		}
	}
	return c
}

func parsePackage(t failer, line string) *Package {
	t.Helper()
	words := strings.SplitN(line, " ", 3)
	v, err := version.Parse(words[1])
	if err != nil {
		t.Fatal(err)
	}
	p := &Package{Name: words[0], Version: v, Arch: "x86_64"}
	if len(words) < 3 {
		return p
	}
	for clause := range strings.SplitSeq(words[2], "; ") {
		word, rest, _ := strings.Cut(clause, " ")
		switch word {
		case "requires":
			p.Requires = parseDependencies(t, rest)
		case "conflicts":
			p.Conflicts = parseDependencies(t, rest)
		case "replaces":
			p.Replaces = parseDependencies(t, rest)
		case "recommends":
			p.Recommends = parseDependencies(t, rest)
		case "provides":
			for text := range strings.SplitSeq(rest, ", ") {
				provide, err := version.ParseProvide(text)
				if err != nil {
					t.Fatal(err)
				}
				p.Provides = append(p.Provides, provide)
			}
		case "supplements":
			p.Supplements = parseDependencies(t, rest)
		case "vendor":
			p.Vendor = rest
		case "install-only":
			p.InstallOnly = true
		case "requested":
			p.Requested = true
		case "arch":
			p.Arch = rest
		default:
			t.Fatalf("clause %q", clause)
		}
	}
	return p
}

func parseDependencies(t failer, text string) []version.Dependency {
	t.Helper()
	var all []version.Dependency
	for part := range strings.SplitSeq(text, ", ") {
		d, err := version.ParseDependency(part)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func describe(s *Solution, err error) string {
	var b strings.Builder
	if err != nil {
		fmt.Fprintln(&b, err)
		for _, hint := range fault.Hints(err) {
			fmt.Fprintln(&b, "try:", hint)
		}
		return b.String()
	}
	for _, step := range s.Install {
		fmt.Fprintf(&b, "install %s (%s)\n", step.Package, step.Why)
	}
	for _, step := range s.Upgrade {
		verb := "upgrade"
		if step.Downgrade() {
			verb = "downgrade"
		}
		fmt.Fprintf(&b, "%s %s to %s (%s)\n", verb, step.From, step.Package.Version, step.Why)
	}
	for _, step := range s.Remove {
		fmt.Fprintf(&b, "remove %s (%s)\n", step.Package, step.Why)
	}
	for _, step := range s.Reinstall {
		fmt.Fprintf(&b, "reinstall %s (%s)\n", step.Package, step.Why)
	}
	for _, held := range s.Held {
		fmt.Fprintf(&b, "held back %s (%s)\n", held.Package, held.Why)
	}
	if s.Empty() {
		fmt.Fprintln(&b, "nothing to do")
	}
	return b.String()
}

func TestCases(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no cases", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			input, want, found := strings.Cut(string(data), "----\n")
			c := parseCase(t, input)
			got := describe(Solve(t.Context(), c.universe, c.request))
			slices.Reverse(c.universe)
			if reversed := describe(Solve(t.Context(), c.universe, c.request)); reversed != got {
				t.Errorf("the universe backwards gives\n%snot\n%s", reversed, got)
			}
			if *update || !found {
				if err := os.WriteFile(path, []byte(input+"----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := parseCase(t, "repo main\n  a 1.0.0-1\ninstall a\n")
	if _, err := Solve(ctx, c.universe, c.request); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestUnknownNameIsUsage(t *testing.T) {
	for _, request := range []Request{{Remove: []string{"a"}}, {Upgrade: []string{"a"}}} {
		c := parseCase(t, "repo main\n  a 1.0.0-1\n")
		if _, err := Solve(t.Context(), c.universe, request); fault.ClassOf(err) != fault.Usage {
			t.Errorf("got %v", err)
		}
	}
}
