package netboot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/installer"
	"ashlar/pkgtool/fault"
)

const testAnswers = `version: 1
# what all have in common
system: {hostname: template}
packages: [linux-virt, grub]
storage:
  disk: {size: ">=1G"}
`

// write puts files into a new folder and returns the path of the first.
func write(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0])
}

const testList = `version: 1
unknown: ignore
machines:
  - {name: a, match: {mac: 52-54-00-00-00-0A}, answers: answers.yaml, hostname: node-a}
  - {name: b, match: {serial: "RACK-?"}, answers: answers.yaml}
  - {name: c, match: {uuid: 00112233-4455-6677-8899-AABBCCDDEEFF}, install: always, answers: answers.yaml}
  - {name: d, match: {mac: "52:54:00:00:00:0d", serial: S1}, install: never}
`

func readTestList(t *testing.T) *Machines {
	t.Helper()
	m, err := ReadMachines(write(t, "machines.yaml", testList, "answers.yaml", testAnswers))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDecide(t *testing.T) {
	list := readTestList(t)
	done := time.Unix(1, 0)
	for _, c := range []struct {
		what  string
		s     Status
		asked bool
		name  string
		start bool
	}{
		{"by MAC", Status{MAC: "52:54:00:00:00:0a"}, false, "a", true},
		{"installed", Status{MAC: "52:54:00:00:00:0a", Finished: done}, false, "a", false},
		{"serial number not asked for yet", Status{MAC: "52:54:00:00:00:ff"}, false, "", true},
		{"asked, without one", Status{MAC: "52:54:00:00:00:ff"}, true, "", false},
		{"by serial number", Status{MAC: "52:54:00:00:00:ff", Serial: "RACK-7"}, true, "b", true},
		{"another serial number", Status{MAC: "52:54:00:00:00:ff", Serial: "RACK-77"}, true, "", false},
		{"by UUID, always", Status{MAC: "52:54:00:00:00:ff", UUID: "00112233-4455-6677-8899-aabbccddeeff", Finished: done}, false, "c", true},
		{"both of two", Status{MAC: "52:54:00:00:00:0d", Serial: "S1"}, true, "d", false},
		{"one of two", Status{MAC: "52:54:00:00:00:0d", Serial: "S2"}, true, "", false},
	} {
		entry, start := list.decide(c.s, c.asked)
		name := ""
		if entry != nil {
			name = entry.Name
		}
		if name != c.name || start != c.start {
			t.Errorf("%s: got %q, %v", c.what, name, start)
		}
	}
}

func TestAnswersGetTheHostName(t *testing.T) {
	list := readTestList(t)
	text, err := list.answersOf(&list.Machines[0])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "# what all have in common") {
		t.Errorf("the comment is gone:\n%s", text)
	}
	answers, err := installer.ReadAnswers(write(t, "answers.yaml", string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if answers.System.Hostname != "node-a" {
		t.Errorf("host name %q", answers.System.Hostname)
	}
	if text, err := list.answersOf(&list.Machines[1]); err != nil || string(text) != testAnswers {
		t.Errorf("without a host name of its own: %v\n%s", err, text)
	}
}

func TestWrongLists(t *testing.T) {
	for _, c := range []struct{ list, want string }{
		{"version: 2\n", "version is 2"},
		{"version: 1\nunknwon: boot\n", `did you mean "unknown"`},
		{"version: 1\nunknown: maybe\n", "boot or ignore"},
		{"version: 1\ncmdline: 'a; b'\n", "meaning for a boot loader"},
		{"version: 1\nmachines: [{name: a, match: {}}]\n", "match: it is empty"},
		{"version: 1\nmachines: [{name: a, match: {mac: 1234}}]\n", "is no MAC address"},
		{"version: 1\nmachines: [{name: a, match: {uuid: x}}]\n", "is no UUID"},
		{"version: 1\nmachines: [{name: a, match: {serial: '['}}]\n", "is not a pattern"},
		{"version: 1\nmachines: [{name: 'a b', match: {serial: x}}]\n", "name has letters"},
		{"version: 1\nmachines: [{name: a, match: {serial: x}}, {name: a, match: {serial: y}}]\n", "stands twice"},
		{"version: 1\nmachines: [{name: a, match: {serial: x}, install: twice}]\n", "once, always or never"},
		{"version: 1\nmachines: [{name: a, match: {serial: x}, hostname: b}]\n", "there is none"},
		{"version: 1\nmachines: [{name: a, match: {serial: x}, hostname: 'B_', answers: answers.yaml}]\n", "is not a host name"},
		{"version: 1\nanswers: none.yaml\n", "none.yaml"},
		{"version: 1\nanswers: bad.yaml\n", "packages is empty"},
	} {
		_, err := ReadMachines(write(t, "machines.yaml", c.list, "answers.yaml", testAnswers, "bad.yaml", strings.Replace(testAnswers, "[linux-virt, grub]", "[]", 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v; want %q", c.list, err, c.want)
		}
		if err != nil && strings.Contains(c.want, "version") && fault.ClassOf(err) != fault.Usage {
			t.Errorf("%q: class %v", c.list, fault.ClassOf(err))
		}
	}
}

func TestPublishedSchema(t *testing.T) {
	const published = "../../docs/formats/machines.schema.json"
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(published, schema, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(published)
	if err != nil || string(text) != string(schema) {
		t.Errorf("%s is not what the Go types say (%v); renew it with UPDATE_GOLDEN=1", published, err)
	}
}
