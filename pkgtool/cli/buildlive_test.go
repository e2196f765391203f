package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/build"
)

// onScreen plays what was written on a screen: the lines that stand there.
func onScreen(text string) []string {
	var lines []string
	for text != "" {
		if rest, ok := strings.CutPrefix(text, "\r\033["); ok {
			n := 0
			for rest[0] != 'A' {
				n, rest = n*10+int(rest[0]-'0'), rest[1:]
			}
			lines, text = lines[:len(lines)-n], strings.TrimPrefix(rest[1:], "\033[J")
			continue
		}
		line, rest, _ := strings.Cut(text, "\n")
		lines, text = append(lines, line), rest
	}
	return lines
}

func TestLiveLines(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	l := &liveBuild{out: &out, width: func() int { return 61 }, now: func() time.Time { return now }, running: map[string]*runningBuild{}, start: now}
	tell := func(ev build.Event, line string) {
		l.follow(ev)
		l.above(func() {
			if line != "" {
				out.WriteString(line + "\n")
			}
		})
	}
	tell(build.Event{Kind: build.Progress, Done: 3, Total: 40, Seconds: 900}, "")
	tell(build.Event{Kind: build.Started, Recipe: "glibc"}, "building glibc")
	tell(build.Event{Kind: build.Phase, Recipe: "glibc", Text: "configure\x1b[2J"}, "")
	now = now.Add(75 * time.Second)
	tell(build.Event{Kind: build.Started, Recipe: "zlib"}, "building zlib")
	want := []string{
		"building glibc", "building zlib",
		"  glibc                configure?[2J                    1:15",
		"  zlib                 starting                         0:00",
		"3 of 40 recipes, 1:15 so far, about 15 min left",
	}
	if got := onScreen(out.String()); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	for _, line := range onScreen(out.String()) {
		if len(line) > 60 {
			t.Errorf("%q is wider than the screen", line)
		}
	}
	tell(build.Event{Kind: build.Done, Recipe: "glibc"}, "built glibc")
	tell(build.Event{Kind: build.Failed, Recipe: "zlib"}, "failed zlib")
	if got := onScreen(out.String()); strings.Join(got, "|") != "building glibc|building zlib|built glibc|failed zlib" {
		t.Errorf("at the end: %q", got)
	}
}

func TestOptionsOfTheCommandLine(t *testing.T) {
	got, err := parseOptions([]string{"a.b.pam=false", "openssh.pam=true", "openssh.tls=x=y"})
	if err != nil || got["a.b"]["pam"] != "false" || got["openssh"]["pam"] != "true" || got["openssh"]["tls"] != "x=y" {
		t.Errorf("%v %v", got, err)
	}
	for _, text := range []string{"pam=false", "openssh.pam", ".pam=true", "openssh.=true", "openssh.pam="} {
		if _, err := parseOptions([]string{text}); err == nil || !strings.Contains(err.Error(), "RECIPE.OPTION=VALUE") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
