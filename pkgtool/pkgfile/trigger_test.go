package pkgfile

import (
	"context"
	"io"
	"reflect"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
)

func TestRarerFieldsComeBack(t *testing.T) {
	m := manifest()
	m.InstallOnly, m.Vendor = true, "Example Ltd."
	m.Supplements = []string{"linux  >=6", "bash"}
	m.Triggers = []Trigger{
		{Name: "modules", Watch: []string{"usr/lib/modules/**", "etc/depmod.d/*", "etc/depmod.d/*"}, Run: []string{"/usr/bin/depmod", "-a", "äh"}},
		{Name: "icons", Watch: []string{"usr/share/icons/[a-z]?*"}, Run: []string{"/usr/bin/icons"}},
	}
	given := m.Triggers[0].Watch[0]
	raw := write(t, m, nil, Options{})
	if m.Triggers[0].Watch[0] != given {
		t.Error("the writer sorted its caller's list")
	}
	got := open(t, raw).Manifest()
	if !got.InstallOnly || got.Vendor != m.Vendor || !reflect.DeepEqual(got.Supplements, []string{"bash", "linux >=6"}) {
		t.Errorf("%+v", got)
	}
	if want := []Trigger{m.Triggers[1], {"modules", m.Triggers[0].Run, []string{"etc/depmod.d/*", "usr/lib/modules/**"}}}; !reflect.DeepEqual(got.Triggers, want) {
		t.Errorf("%+v", got.Triggers)
	}
	if plain := string(open(t, write(t, manifest(), nil, Options{})).ManifestBytes()); strings.Contains(plain, "trigger") || strings.Contains(plain, "install_only") {
		t.Errorf("absent fields are written: %s", plain)
	}
}

func TestWriterRefusesTriggers(t *testing.T) {
	many := func(n int, text string) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = text + strings.Repeat("x", i/100) + string(rune('0'+i%100/10)) + string(rune('0'+i%10))
		}
		return list
	}
	good := Trigger{Name: "t", Watch: []string{"usr/**"}, Run: []string{"/usr/bin/x"}}
	for _, row := range []struct {
		name   string
		change func(*Trigger)
		want   string
	}{
		{"no name", func(t *Trigger) { t.Name = "" }, "its name"},
		{"name with a slash", func(t *Trigger) { t.Name = "../t" }, "its name"},
		{"watches nothing", func(t *Trigger) { t.Watch = nil }, "watches nothing"},
		{"runs nothing", func(t *Trigger) { t.Run = nil }, "runs nothing"},
		{"absolute glob", func(t *Trigger) { t.Watch = []string{"/usr/**"} }, "absolute"},
		{"climbing glob", func(t *Trigger) { t.Watch = []string{"usr/../**"} }, "not clean"},
		{"empty glob", func(t *Trigger) { t.Watch = []string{""} }, "empty path"},
		{"broken glob", func(t *Trigger) { t.Watch = []string{"usr/[a"} }, "not a glob"},
		{"braces", func(t *Trigger) { t.Watch = []string{"usr/" + strings.Repeat("{a,b}", 40)} }, "braces"},
		{"glob with an escape sequence", func(t *Trigger) { t.Watch = []string{"usr/\x1b[2J"} }, "U+001B"},
		{"too many globs", func(t *Trigger) { t.Watch = many(maxWatch+1, "usr/") }, "more than the 256"},
		{"relative program", func(t *Trigger) { t.Run = []string{"depmod"} }, "not an absolute path"},
		{"program not clean", func(t *Trigger) { t.Run = []string{"/usr/../tmp/x"} }, "not clean"},
		{"program in tmp", func(t *Trigger) { t.Run = []string{"/tmp/x"} }, "below /tmp"},
		{"argument with a line feed", func(t *Trigger) { t.Run = []string{"/usr/bin/x", "a\nb"} }, "U+000A"},
		{"too many arguments", func(t *Trigger) { t.Run = append([]string{"/x"}, many(maxRun, "a")...) }, "more than the 64"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m, trigger := manifest(), good
			row.change(&trigger)
			m.Triggers = []Trigger{trigger}
			_, err := Write(context.Background(), io.Discard, m, nil, Options{})
			if err == nil || !strings.Contains(err.Error(), row.want) || fault.ClassOf(err) != fault.Usage {
				t.Fatalf("class %d: %v", fault.ClassOf(err), err)
			}
		})
	}
	m := manifest()
	m.Triggers = []Trigger{good, good}
	if _, err := Write(context.Background(), io.Discard, m, nil, Options{}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("twice: %v", err)
	}
	m.Triggers = nil
	for i := range maxTriggers + 1 {
		trigger := good
		trigger.Name = strings.Repeat("t", i+1)
		m.Triggers = append(m.Triggers, trigger)
	}
	if _, err := Write(context.Background(), io.Discard, m, nil, Options{}); err == nil || !strings.Contains(err.Error(), "more than the 64") {
		t.Errorf("many: %v", err)
	}
}
