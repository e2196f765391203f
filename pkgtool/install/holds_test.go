package install

import (
	"os"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
)

func TestHoldsKeepTheAdministratorsText(t *testing.T) {
	p := newPlace(t)
	for _, name := range []string{"alpha", "beta", "gamma"} {
		p.publish(name + "-1.0.0-1")
	}
	p.do(Request{Install: []string{"alpha"}})
	s := p.session(Options{Offline: true})
	edit := func(want string, err error) {
		t.Helper()
		got, readErr := os.ReadFile(HoldsPath(p.root))
		if err != nil || readErr != nil || string(got) != want {
			t.Errorf("%v, %v:\n%s\nwant:\n%s", err, readErr, got, want)
		}
	}
	hold := func(reason string, names ...string) error { _, err := s.Hold(t.Context(), names, reason); return err }
	unhold := func(names ...string) error { _, err := Unhold(p.root, names); return err }

	edit(holdsHeader+"schema: 1\nholds:\n- name: alpha\n  reason: \"why: not\"\n", hold("why: not", "alpha"))
	p.write(HoldsPath(p.root), "# mine\nschema: 1\nholds:\n    # the first\n    - name: alpha # here\n      reason: |\n        long\n        text\n    # the second\n    - name: beta\n")
	edit("# mine\nschema: 1\nholds:\n    # the first\n    - name: alpha # here\n      reason: |\n        long\n        text\n    # the second\n    - name: beta\n    - name: gamma\n", hold("", "gamma"))
	edit("# mine\nschema: 1\nholds:\n    # the first\n    # the second\n    - name: beta\n    - name: gamma\n", unhold("alpha", "unknown"))
	edit("# mine\nschema: 1\nholds:\n    # the first\n    # the second\n", unhold("beta", "gamma"))
	edit("# mine\nschema: 1\nholds:\n    # the first\n    # the second\n  - name: beta\n", hold("", "beta"))
	p.write(HoldsPath(p.root), "schema: 1\nholds: [{name: alpha}, {name: beta}]\n")
	edit(holdsHeader+"schema: 1\nholds:\n- name: beta\n", unhold("alpha"))

	if _, err := s.Hold(t.Context(), []string{"gama"}, ""); fault.ClassOf(err) != fault.Usage || !strings.Contains(err.Error(), "gama") {
		t.Errorf("a name that nobody knows: %v", err)
	}
	for name, text := range map[string]string{
		"unknown key": "schema: 1\nholds: [{name: a, why: x}]\n", "twice": "schema: 1\nholds: [{name: a}, {name: a}]\n",
		"no name": "schema: 1\nholds: [{reason: a}]\n", "another schema": "schema: 3\n",
	} {
		p.write(HoldsPath(p.root), text)
		if _, err := p.try(Options{}, Request{UpgradeAll: true}); fault.ClassOf(err) != fault.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
}
