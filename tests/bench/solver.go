package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/tests/bench/debian"
	"ashlar/tests/bench/measure"
)

// solver compares verdicts and times of solvers over Debian's universe.
func (b *bench) solver(ctx context.Context) error {
	a, err := b.archive(ctx)
	if err != nil {
		return err
	}
	lines, err := a.read()
	if err != nil {
		return err
	}
	b.report.Data["universe"] = map[string]any{"suite": suite, "packages": len(lines)}
	q, err := b.ask(a, lines)
	if err != nil {
		return err
	}
	if err := command(ctx, "go", "build", "-o", q.universe, "./tests/bench/universe"); err != nil {
		return err
	}
	for _, step := range []func(context.Context, *questions) error{b.checkAll, b.solveMany, b.solveOne} {
		if err := step(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// questions are the requests in the form that each solver takes.
type questions struct {
	*archive
	lines    []debian.Line
	requests []request
	universe string // the program tests/bench/universe
	list     string // one line per request
	dose     string // an index with a package per request, which depends on what is asked for
	libsolv  string // a test case with a job per request
	apt      string // a script that asks apt for one request after the other
}

// aptRequests is how many of the requests apt gets: it takes a second for each.
const aptRequests = 60

// pseudo is the package that stands for request i in the index that dose reads.
func pseudo(i int) string { return fmt.Sprintf("bench-request-%04d", i) }

// ask writes the requests down for every solver.
func (b *bench) ask(a *archive, lines []debian.Line) (*questions, error) {
	in := func(name string) string { return filepath.Join(a.dir, name) }
	q := &questions{archive: a, lines: lines, requests: makeRequests(lines, b.requests), universe: in("universe"), list: in("requests.txt"),
		dose: in("requests.Packages"), libsolv: in("requests.t"), apt: in("requests.sh")}
	var list, asked, apt strings.Builder
	versions := map[string]string{}
	for _, l := range lines {
		versions[l.Name] = l.Debian
	}
	for i, r := range q.requests {
		fmt.Fprintln(&list, r.text())
		var exact []string // by its version: a request means the package, not one that provides its name
		for _, name := range r {
			exact = append(exact, fmt.Sprintf("%s (= %s)", name, versions[name]))
		}
		fmt.Fprintf(&asked, "Package: %s\nVersion: 1\nArchitecture: all\nDepends: %s\n\n", pseudo(i), strings.Join(exact, ", "))
		if i >= aptRequests {
			continue
		}
		fmt.Fprintf(&apt, "apt-get -q -s --no-install-recommends install %s >/dev/null 2>&1 && echo ok || echo no\n", r.text())
	}
	return q, makeFiles(a.dir, map[string]string{
		filepath.Base(q.list):    list.String(),
		filepath.Base(q.dose):    asked.String(),
		filepath.Base(q.libsolv): q.testcase(q.requests),
		filepath.Base(q.apt):     apt.String(),
	})
}

// testcase is a test case of libsolv with a job for each request.
func (a *archive) testcase(requests []request) string {
	var t strings.Builder
	fmt.Fprintf(&t, "repo available 0 solv %s\nsystem amd64 deb\nsolverflags ignorerecommended\n", filepath.Base(a.solv)) // beside the test case
	for i, r := range requests {
		if i > 0 {
			t.WriteString("nextjob\nsolverflags ignorerecommended\n")
		}
		for _, name := range r {
			fmt.Fprintf(&t, "job install name %s\n", name)
		}
		t.WriteString("result transaction,problems <inline>\n")
	}
	return t.String()
}

// dose is the call of dose-debcheck, without the rule that packages marked
// essential come with everything: it is about the packages themselves.
func dose(args ...string) []string {
	return append([]string{"dose-debcheck", "--deb-native-arch=amd64", "--deb-ignore-essential", "-f"}, args...)
}

// checkAll decides for every package whether it can be installed.
func (b *bench) checkAll(ctx context.Context, q *questions) error {
	const group = "every package of Debian: can it be installed?"
	var ours, theirs []byte
	keep := func(into *[]byte) func([]byte) error {
		return func(stdout []byte) error { *into = stdout; return nil }
	}
	err := b.group(ctx, group, []measure.Case{
		{Name: "pkgtool solve --check-all", Args: []string{b.pkgtool, "solve", "--check-all", "--arch", "x86_64", q.archive.lines}, Check: keep(&ours)},
		{Name: "dose-debcheck", Args: dose(q.packages), Exit: []int{1}, Check: keep(&theirs), Rounds: 2},
	})
	if err != nil || ours == nil || theirs == nil {
		return err
	}
	var answer struct {
		Packages      int
		Uninstallable []struct{ Name string }
	}
	if err := json.Unmarshal(ours, &answer); err != nil {
		return fmt.Errorf("the answer of pkgtool solve --check-all: %w", err)
	}
	mine := map[string]bool{}
	for _, p := range answer.Uninstallable {
		mine[p.Name] = true
	}
	others := broken(theirs)
	var differ []string
	for _, l := range q.lines {
		if mine[l.Name] != others[l.Name] {
			differ = append(differ, l.Name)
		}
	}
	b.fact(group, "packages decided", "", "%d", answer.Packages)
	b.fact(group, "cannot be installed", "", "%d by pkgtool, %d by dose-debcheck", len(mine), len(others))
	b.fact(group, "verdicts that differ", "0", "%d %s", len(differ), strings.Join(differ, " "))
	if len(differ) > 0 {
		return fmt.Errorf("pkgtool and dose-debcheck disagree about %d packages: %s", len(differ), strings.Join(differ, " "))
	}
	return nil
}

// solveMany gives each solver all requests, one after the other.
func (b *bench) solveMany(ctx context.Context, q *questions) error {
	group := fmt.Sprintf("%d install requests, one after the other", len(q.requests))
	n, apts := len(q.requests), min(aptRequests, len(q.requests))
	verdicts := map[string][]bool{}
	keep := func(solver string, n int, parse func([]byte) []bool) func([]byte) error {
		return func(stdout []byte) error {
			verdicts[solver] = parse(stdout)
			if len(verdicts[solver]) != n {
				return fmt.Errorf("%d verdicts for %d requests", len(verdicts[solver]), n)
			}
			return nil
		}
	}
	var slowest string
	err := b.group(ctx, group, []measure.Case{
		{Name: "pkgtool's solver", Args: []string{q.universe, "solve", q.archive.lines, q.list}, Check: keep("pkgtool", n, func(out []byte) []bool {
			slowest = slowestOf(out, q.requests)
			return words(out)
		})},
		{Name: "libsolv (testsolv)", Args: []string{"testsolv", "-r", q.libsolv}, Exit: []int{1}, Check: keep("libsolv", n, testsolvVerdicts)},
		{Name: "dose-debcheck", Args: dose("--fg="+q.dose, "--bg="+q.packages), Exit: []int{1}, Rounds: 2, Check: keep("dose", n, func(out []byte) (all []bool) {
			bad := broken(out)
			for i := range q.requests {
				all = append(all, !bad[pseudo(i)])
			}
			return all
		})},
		{Name: fmt.Sprintf("apt-get -s, a process each, only %d", apts), Args: []string{"sh", q.apt}, Env: []string{"APT_CONFIG=" + q.aptConf}, Rounds: 1,
			Check: keep("apt", apts, words)},
	})
	if err != nil {
		return err
	}
	b.fact(group, "pkgtool's slowest", "", "%s", slowest)
	return b.compare(group, q, verdicts)
}

// single is asked for as a whole process by each: a desktop with all it needs.
const single = "gnome"

// solveOne asks for one large package, the time to start and to read the
// universe included.
func (b *bench) solveOne(ctx context.Context, q *questions) error {
	if !slices.ContainsFunc(q.lines, func(l debian.Line) bool { return l.Name == single }) {
		return fmt.Errorf("the universe has no %s", single)
	}
	one := filepath.Join(q.dir, "one.json")
	text, err := json.Marshal(map[string]any{"universe": filepath.Base(q.archive.lines), "arch": "x86_64",
		"repos": []map[string]any{{"name": "debian", "priority": 50}}, "install": []string{single}, "recommends": false})
	if err != nil {
		return err
	}
	err = makeFiles(q.dir, map[string]string{filepath.Base(one): string(text), "one.t": q.testcase([]request{{single}})})
	if err != nil {
		return err
	}
	enough := func(stdout []byte) error {
		if n := bytes.Count(stdout, []byte("\n")); n < 500 {
			return fmt.Errorf("%d lines are not the packages that %s needs", n, single)
		}
		return nil
	}
	return b.group(ctx, "install "+single+" on an empty system, one process", []measure.Case{
		{Name: "pkgtool solve (reads JSON)", Args: []string{b.pkgtool, "solve", one}, Check: enough},
		{Name: "testsolv (reads a .solv file)", Args: []string{"testsolv", "-r", filepath.Join(q.dir, "one.t")}, Exit: []int{1}, Check: enough},
		{Name: "apt-get -s (maps its cache)", Args: []string{"apt-get", "-q", "-s", "--no-install-recommends", "install", single},
			Env: []string{"APT_CONFIG=" + q.aptConf}, Check: enough},
	})
}
