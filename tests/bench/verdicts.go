package main

import (
	"bytes"
	"fmt"
	"strings"
)

// broken reads the packages that dose-debcheck names.
func broken(report []byte) map[string]bool {
	found := map[string]bool{}
	for line := range bytes.Lines(report) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "package: "); ok {
			found[name] = true
		}
	}
	return found
}

// compare tells where verdicts differ. dose-debcheck is complete and simple: we
// must agree with it about every request. Where another disagrees with both, it is wrong.
func (b *bench) compare(group string, q *questions, verdicts map[string][]bool) error {
	judge := verdicts["dose"]
	if judge == nil || verdicts["pkgtool"] == nil {
		return nil // the table says why
	}
	refused := 0
	for _, ok := range judge {
		if !ok {
			refused++
		}
	}
	b.fact(group, "requests that cannot be fulfilled", "", "%d of %d", refused, len(judge))
	var wrong error
	for _, solver := range []string{"pkgtool", "libsolv", "apt"} {
		var tooStrict, tooLax []string
		for i, ok := range verdicts[solver] {
			switch {
			case judge[i] && !ok:
				tooStrict = append(tooStrict, q.requests[i].text())
			case !judge[i] && ok:
				tooLax = append(tooLax, q.requests[i].text())
			}
		}
		asked := len(verdicts[solver])
		value := fmt.Sprintf("%d of %d verdicts as dose-debcheck's", asked-len(tooStrict)-len(tooLax), asked)
		if len(tooStrict) > 0 {
			value += fmt.Sprintf("; refuses %d that can be fulfilled: %s", len(tooStrict), quoteAll(tooStrict))
		}
		if len(tooLax) > 0 {
			value += fmt.Sprintf("; accepts %d that cannot: %s", len(tooLax), quoteAll(tooLax))
		}
		goal := ""
		if solver == "pkgtool" {
			goal = "all"
			if len(tooStrict)+len(tooLax) > 0 {
				wrong = fmt.Errorf("pkgtool and dose-debcheck disagree: %s", value)
			}
		}
		b.fact(group, solver, goal, "%s", value)
	}
	return wrong
}

func quoteAll(list []string) string {
	return "[" + strings.Join(list, "] [") + "]"
}

// words reads a verdict from the first word of each line.
func words(out []byte) []bool {
	var all []bool
	for line := range bytes.Lines(out) {
		all = append(all, bytes.HasPrefix(line, []byte("ok")))
	}
	return all
}

// slowestOf finds the request that took longest in the answers of universe.
func slowestOf(out []byte, requests []request) string {
	longest, which := 0.0, ""
	i := 0
	for line := range bytes.Lines(out) {
		var took float64
		fields := strings.Split(string(line), "\t")
		if len(fields) > 1 && i < len(requests) {
			fmt.Sscan(fields[1], &took)
			if took > longest {
				longest, which = took, requests[i].text()
			}
		}
		i++
	}
	return fmt.Sprintf("%.3f s for [%s]", longest, which)
}

// testsolvVerdicts reads the results of testsolv -r: after each "test N:" come
// either the packages or the problems.
func testsolvVerdicts(out []byte) []bool {
	var all []bool
	for line := range bytes.Lines(out) {
		switch {
		case bytes.HasPrefix(line, []byte("test ")):
			all = append(all, true)
		case bytes.HasPrefix(line, []byte("problem ")) && len(all) > 0:
			all[len(all)-1] = false
		}
	}
	return all
}
