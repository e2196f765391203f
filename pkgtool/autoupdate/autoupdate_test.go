package autoupdate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/install"
	"ashlar/pkgtool/system"
	"ashlar/pkgtool/version"
)

func policy(t *testing.T, text string) (*Policy, error) {
	t.Helper()
	root := t.TempDir()
	path := filepath.Join(root, PolicyPath)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return Read(root)
}

func TestDefaults(t *testing.T) {
	p, err := Read(t.TempDir())
	if err != nil || p.Action != Apply || p.Reboot != Never || !p.Open(time.Now()) {
		t.Errorf("without a file: %+v, %v", p, err)
	}
}

func TestWindow(t *testing.T) {
	const monday = "2026-11-23 "
	for _, c := range []struct {
		text, at string
		open     bool
	}{
		{"schema: 1\n", monday + "12:00", true},
		{"schema: 1\nwindow: 01:00-05:00\n", monday + "01:00", true},
		{"schema: 1\nwindow: 01:00-05:00\n", monday + "05:00", false},
		{"schema: 1\nwindow: 01:00-05:00\n", monday + "00:59", false},
		{"schema: 1\nwindow: 22:00-04:30\n", monday + "23:59", true},
		{"schema: 1\nwindow: 22:00-04:30\n", monday + "04:29", true},
		{"schema: 1\nwindow: 22:00-04:30\n", monday + "04:30", false},
		{"schema: 1\nwindow: 22:00-04:30\ndays: [sun]\n", monday + "01:00", true},
		{"schema: 1\nwindow: 22:00-04:30\ndays: [sun]\n", monday + "23:00", false},
		{"schema: 1\nwindow: 22:00-04:30\ndays: [mon]\n", monday + "01:00", false},
		{"schema: 1\ndays: [mon]\n", monday + "12:00", true},
		{"schema: 1\ndays: [tue, sat]\n", monday + "12:00", false},
	} {
		p, err := policy(t, c.text)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.ParseInLocation("2006-01-02 15:04", c.at, time.Local)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Open(at); got != c.open {
			t.Errorf("%q at %s: open is %v", c.text, c.at, got)
		}
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"schema: 2\n":                        "this pkgtool reads 1",
		"schema: 1\naction: reboot\n":        "it is one of apply, check, download, stage",
		"schema: 1\nreboot: always\n":        "it is one of never, needed",
		"schema: 1\nwindow: night\n":         "two different times",
		"schema: 1\nwindow: 24:00-03:00\n":   "two different times",
		"schema: 1\nwindow: 03:00-03:00\n":   "two different times",
		"schema: 1\ndays: [monday]\n":        "days are mon",
		"schema: 1\nwindows: 01:00-02:00\n":  `did you mean "window"?`,
		"schema: 1\naction: [stage]\n":       "autoupdate.yaml",
		"schema: 1\nwindow: 01:00-02:00-3\n": "two different times",
	} {
		if p, err := policy(t, text); err == nil || !strings.Contains(err.Error(), want) || fault.ClassOf(err) != fault.Usage {
			t.Errorf("%q: %+v, %v; want %s", text, p, err, want)
		}
	}
}

func records(t *testing.T, list ...string) (all []system.Record) {
	t.Helper()
	for _, text := range list {
		name, v, _ := strings.Cut(text, " ")
		parsed, err := version.Parse(v)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, system.Record{Name: name, Version: parsed})
	}
	return all
}

func TestRepeats(t *testing.T) {
	current := records(t, "glibc 2.36.0-1", "linux 6.1.1-1", "linux 6.1.2-1", "old 1.0.0-1")
	steps := []install.Step{
		{Do: "upgrade", Name: "glibc", Version: "2.36.0-2", From: "2.36.0-1"},
		{Do: "install", Name: "linux", Version: "6.1.3-1"},
		{Do: "remove", Name: "linux", Version: "6.1.1-1"},
		{Do: "remove", Name: "old", Version: "1.0.0-1"},
	}
	failed := []string{"glibc 2.36.0-2", "linux 6.1.2-1", "linux 6.1.3-1"}
	if !Repeats(current, records(t, failed...), steps) {
		t.Error("the same again is not seen")
	}
	newer := append([]string{"glibc 2.36.0-3"}, failed[1:]...)
	if Repeats(current, records(t, newer...), steps) || Repeats(current, records(t, failed[:2]...), steps) || Repeats(current, current, steps) {
		t.Error("other packages are taken for the same")
	}
}
