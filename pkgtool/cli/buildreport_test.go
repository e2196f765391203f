package cli

import (
	"bytes"
	"strings"
	"testing"

	"ashlar/pkgtool/build"
)

// A person who waits hears which builds are at work, and nothing once all ended.
func TestBuildReporterSaysWhatIsAtWork(t *testing.T) {
	var out bytes.Buffer
	r := &buildReporter{app: &App{Err: &out}, fetching: map[string]bool{}, running: map[string]*runningBuild{}}
	for _, ev := range []build.Event{
		{Kind: build.Started, Recipe: "glibc", Text: "first build"},
		{Kind: build.Started, Recipe: "busybox", Text: "first build"},
		{Kind: build.Phase, Recipe: "glibc", Text: "configure"},
		{Kind: build.Fetching, Recipe: "busybox", Text: "main", Total: 2e6},
		{Kind: build.Fetching, Recipe: "busybox", Text: "main", Done: 1e6, Total: 2e6},
	} {
		r.report(ev)
	}
	r.beat()
	r.report(build.Event{Kind: build.Done, Recipe: "glibc", Seconds: 2})
	r.report(build.Event{Kind: build.Failed, Recipe: "busybox", Text: "make"})
	before := out.Len()
	r.beat()
	if out.Len() != before {
		t.Errorf("still talking after all ended:\n%s", out.String()[before:])
	}
	for _, want := range []string{"at work    busybox (starting, 0s), glibc (configure, 0s)\n", "built      glibc in 2.0 s\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "fetching"); n != 1 {
		t.Errorf("a fetch is told %d times", n)
	}
}
