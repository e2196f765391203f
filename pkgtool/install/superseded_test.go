package install

import (
	"testing"

	"ashlar/pkgtool/fault"
)

// TestLockFindsSuperseded: what left the index is found by its lock file, with
// nothing of it in any cache.
func TestLockFindsSuperseded(t *testing.T) {
	p := newPlace(t)
	p.publish("app-1.0.0-1", "file usr/share/app/x one")
	p.do(Request{Install: []string{"app"}})
	s := p.session(Options{})
	lock := LockOf(s.System().Installed())
	s.Close()
	p.publish("app-2.0.0-1", "file usr/share/app/x two")
	if _, err := p.repository.Remove(t.Context(), "stable", "app@1.0.0"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.repository.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.root = t.TempDir()
	p.use(p.root)
	if _, err := p.try(Options{}, Request{Install: []string{"app@1.0.0-1"}}); fault.ClassOf(err) != fault.Unsolvable {
		t.Errorf("without a lock the old version is not on offer: %v", err)
	}
	plan := p.do(Request{Lock: lock})
	p.wantSteps(plan, "install app 1.0.0-1")
	p.wantText("usr/share/app/x", "one")
	if plan := p.do(Request{Lock: lock}); !plan.Empty() {
		t.Errorf("a second sync: %+v", plan.Steps)
	}
	lock.Packages[0].Manifest = "00" + lock.Packages[0].Manifest[2:]
	p.root = t.TempDir()
	p.use(p.root)
	if _, err := p.try(Options{}, Request{Lock: lock}); fault.ClassOf(err) != fault.Unsolvable {
		t.Errorf("another manifest: %v", err)
	}
}
