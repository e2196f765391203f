package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
)

func TestGroupsStandForTheirPackages(t *testing.T) {
	root := t.TempDir()
	write := func(text string) {
		path := filepath.Join(root, GroupsPath)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := expandGroups(root, []string{"@web"}); fault.ClassOf(err) != fault.Usage || !strings.Contains(strings.Join(fault.Hints(err), ""), "knows no groups") {
		t.Errorf("without groups: %v", err)
	}
	write(`{"schema": 1, "groups": {"web": {"summary": "Web", "packages": ["nginx", "zlib"]}, "mail": {"packages": ["zlib"]}}}`)
	got, err := expandGroups(root, []string{"bash", "@web", "@mail", "zlib >=1.3"})
	if want := "bash,nginx,zlib,zlib >=1.3"; err != nil || strings.Join(got, ",") != want {
		t.Errorf("got %q, %v; want %s", got, err, want)
	}
	if _, err := expandGroups(root, []string{"@wob"}); strings.Join(fault.Hints(err), " ") != "did you mean @web?" {
		t.Errorf("a misspelt name: %v, %s", err, fault.Hints(err))
	}
	for _, bad := range []string{"", "{", `{"schema": 2}`} {
		write(bad)
		if _, err := expandGroups(root, []string{"@web"}); fault.ClassOf(err) != fault.Usage {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err := expandGroups(root, []string{"bash"}); err != nil {
			t.Errorf("%q in the way of a package: %v", bad, err)
		}
	}
}
