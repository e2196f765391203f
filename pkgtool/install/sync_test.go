package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
)

func world(packages ...string) *World { return &World{Schema: 1, Packages: packages} }

func TestSyncWithAWorld(t *testing.T) {
	p := newPlace(t)
	p.publish("lib-1.0.0-1")
	p.publish("app-1.0.0-1", "requires lib", "recommends extra")
	p.publish("extra-1.0.0-1")
	p.publish("old-1.0.0-1", "requires oldlib")
	p.publish("oldlib-1.0.0-1")
	p.do(Request{Install: []string{"old", "lib"}})
	plan := p.do(Request{World: world("app")})
	p.wantSteps(plan, "install app 1.0.0-1", "install extra 1.0.0-1", "remove old 1.0.0-1", "remove oldlib 1.0.0-1")
	if len(plan.Removals()) != 0 {
		t.Errorf("a world file names what stays, so nothing goes unasked: %q", plan.Removals())
	}
	p.wantInstalled("app 1.0.0-1*", "extra 1.0.0-1", "lib 1.0.0-1")
	p.publish("app-1.1.0-1", "requires lib", "recommends extra")
	if plan := p.do(Request{World: world("app")}); !plan.Empty() {
		t.Errorf("sync alone upgrades nothing: %+v", plan.Steps)
	}
	without := false
	plan = p.do(Request{World: &World{Schema: 1, Packages: []string{"app >=1.1"}, Recommends: &without}})
	p.wantSteps(plan, "upgrade app 1.1.0-1", "remove extra 1.0.0-1")
	if _, err := p.try(Options{}, Request{World: world("app ^2")}); fault.ClassOf(err) != fault.Unsolvable {
		t.Errorf("a world that cannot be: %v", err)
	}
	p.do(Request{World: world()})
	p.wantInstalled()
}

func TestLockMakesAnotherSystemTheSame(t *testing.T) {
	p := newPlace(t)
	p.publish("lib-1.0.0-1")
	p.publish("app-1.0.0-1", "requires lib")
	p.publish("other-1.0.0-1")
	p.do(Request{Install: []string{"app"}})
	s := p.session(Options{})
	data, err := LockOf(s.System().Installed()).Encode()
	s.Close()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := ParseLock("x", data)
	if err != nil {
		t.Fatal(err)
	}
	p.publish("lib-1.1.0-1")
	p.publish("app-1.1.0-1", "requires lib")
	first := p.root
	p.root = t.TempDir()
	p.use(p.root)
	p.do(Request{Install: []string{"other", "lib"}})
	plan := p.do(Request{Lock: lock})
	p.wantSteps(plan, "install app 1.0.0-1", "downgrade lib 1.0.0-1", "remove other 1.0.0-1")
	if len(plan.Removals()) != 0 {
		t.Errorf("a lock file names all that stays, so nothing goes unasked: %q", plan.Removals())
	}
	p.wantInstalled("app 1.0.0-1*", "lib 1.0.0-1")
	if plan := p.do(Request{Lock: lock}); !plan.Empty() {
		t.Errorf("a second sync: %+v", plan.Steps)
	}
	s = p.session(Options{})
	again, err := LockOf(s.System().Installed()).Encode()
	s.Close()
	if err != nil || string(again) != string(data) {
		t.Errorf("the lock of %s is\n%s, that of %s\n%s, %v", first, data, p.root, again, err)
	}
}

func TestLockRefusesAnotherContent(t *testing.T) {
	p := newPlace(t)
	p.publish("app-1.0.0-1", "file usr/share/app/x one")
	p.do(Request{Install: []string{"app"}})
	s := p.session(Options{})
	lock := LockOf(s.System().Installed())
	s.Close()
	p.publish("app-1.0.0-1", "file usr/share/app/x two")
	if plan := p.do(Request{Lock: lock}); !plan.Empty() {
		t.Errorf("what is installed is what the lock names: %+v", plan.Steps)
	}
	p.root = t.TempDir()
	p.use(p.root)
	_, err := p.try(Options{}, Request{Lock: lock})
	if fault.ClassOf(err) != fault.Security || !strings.Contains(err.Error(), "another content") {
		t.Errorf("another content of the version: %v", err)
	}
	p.do(Request{Install: []string{"app"}})
	_, err = p.try(Options{}, Request{Lock: lock})
	if fault.ClassOf(err) != fault.Security {
		t.Errorf("the other content is installed: %v", err)
	}
	p.wantText("usr/share/app/x", "two")
	lock.Packages[0].Name = "gone"
	if _, err := p.try(Options{}, Request{Lock: lock}); fault.ClassOf(err) != fault.Unsolvable {
		t.Errorf("a package that nobody offers: %v", err)
	}
}

// TestLockReplacesARebuild: the lock's content takes the place of another one of
// the same version.
func TestLockReplacesARebuild(t *testing.T) {
	p := newPlace(t)
	p.publish("app-1.0.0-1", "file usr/share/app/x one")
	p.do(Request{Install: []string{"app"}})
	p.publish("app-1.0.0-1", "file usr/share/app/x two")
	other := t.TempDir()
	p.use(other)
	first := p.root
	p.root = other
	p.do(Request{Install: []string{"app"}})
	s := p.session(Options{})
	lock := LockOf(s.System().Installed())
	s.Close()
	p.root = first
	p.wantText("usr/share/app/x", "one")
	p.wantSteps(p.do(Request{Lock: lock}), "reinstall app 1.0.0-1")
	p.wantText("usr/share/app/x", "two")
}

func TestLockOfAWorldChangesNothing(t *testing.T) {
	p := newPlace(t)
	p.publish("lib-1.0.0-1")
	p.publish("app-1.0.0-1", "requires lib")
	s := p.session(Options{})
	lock, err := s.LockWorld(t.Context(), world("app"))
	s.Close()
	if err != nil || len(lock.Packages) != 2 || !lock.Packages[0].Requested || lock.Packages[1].Requested {
		t.Fatalf("%+v, %v", lock, err)
	}
	p.wantInstalled()
	p.do(Request{Lock: lock})
	p.wantInstalled("app 1.0.0-1*", "lib 1.0.0-1")
}

func TestBadTargets(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	entry := `{"name":"a","version":"1.0.0-1","arch":"noarch","manifest_sha256":"` + sum + `"}`
	for name, text := range map[string]string{
		"unknown key in a world":   "schema: 1\npackages: []\nextra: 1\n",
		"another schema":           "schema: 2\npackages: []\n",
		"no dependency":            "schema: 1\npackages: ['A B']\n",
		"listed twice":             "schema: 1\npackages: [a, a]\n",
		"another format":           `{"ashlar_lock":2,"arch":"x86_64","packages":[]}`,
		"another machine":          `{"ashlar_lock":1,"arch":"riscv64","packages":[]}`,
		"unknown field in a lock":  `{"ashlar_lock":1,"arch":"x86_64","packages":[],"x":1}`,
		"something behind it":      `{"ashlar_lock":1,"arch":"x86_64","packages":[]} {}`,
		"cut off":                  `{"ashlar_lock":1,"arch":"x86_64","packages":[`,
		"twice":                    `{"ashlar_lock":1,"arch":"x86_64","packages":[` + entry + "," + entry + `]}`,
		"short hash":               `{"ashlar_lock":1,"arch":"x86_64","packages":[` + strings.Replace(entry, sum, sum[1:], 1) + `]}`,
		"upper-case hash":          `{"ashlar_lock":1,"arch":"x86_64","packages":[` + strings.Replace(entry, sum, strings.ToUpper(sum), 1) + `]}`,
		"version without release":  `{"ashlar_lock":1,"arch":"x86_64","packages":[` + strings.Replace(entry, "0-1", "0", 1) + `]}`,
		"no version":               `{"ashlar_lock":1,"arch":"x86_64","packages":[` + strings.Replace(entry, "1.0.0-1", "", 1) + `]}`,
		"a name that leads out":    `{"ashlar_lock":1,"arch":"x86_64","packages":[` + strings.Replace(entry, `"a"`, `"../a"`, 1) + `]}`,
		"package for another arch": `{"ashlar_lock":1,"arch":"x86_64","packages":[` + strings.Replace(entry, "noarch", "riscv64", 1) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "target")
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if w, l, err := ReadTarget(path); fault.ClassOf(err) != fault.Usage {
				t.Errorf("%v, %v, %v", w, l, err)
			}
		})
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add([]byte(`{"ashlar_lock":1,"arch":"x86_64","packages":[{"name":"a","version":"1.0.0-1","arch":"noarch","manifest_sha256":"` + strings.Repeat("ab", 32) + `","requested":true}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		lock, err := ParseLock("x", data)
		if err != nil {
			return
		}
		text, err := lock.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseLock("x", text)
		if err != nil || len(again.Packages) != len(lock.Packages) {
			t.Fatalf("%q is read back as %v, %v", text, again, err)
		}
	})
}
