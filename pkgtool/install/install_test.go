package install

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/system"
	"ashlar/repo/repotest"
	"ashlar/signing"
)

func TestInstallUpgradeDowngradeRemove(t *testing.T) {
	p := newPlace(t)
	p.publish("lib-1.0.0-1")
	p.publish("app-1.0.0-1", "requires lib >=1", "recommends extra")
	p.publish("extra-1.0.0-1")
	plan := p.do(Request{Install: []string{"app"}})
	p.wantSteps(plan, "install app 1.0.0-1", "install extra 1.0.0-1", "install lib 1.0.0-1")
	p.wantInstalled("app 1.0.0-1*", "extra 1.0.0-1", "lib 1.0.0-1")
	if plan := p.do(Request{UpgradeAll: true}); !plan.Empty() {
		t.Errorf("nothing is newer, and yet: %+v", plan.Steps)
	}
	p.publish("lib-1.1.0-1")
	p.publish("app-2.0.0-1", "requires lib >=1.1")
	plan = p.do(Request{UpgradeAll: true})
	p.wantSteps(plan, "upgrade app 2.0.0-1", "upgrade lib 1.1.0-1")
	p.wantText("usr/share/app/version", "app-2.0.0-1")
	plan = p.do(Request{Downgrade: []string{"app"}})
	p.wantSteps(plan, "downgrade app 1.0.0-1")
	if _, err := p.try(Options{}, Request{Downgrade: []string{"app@2.0.0-1"}}); fault.ClassOf(err) != fault.Usage {
		t.Errorf("downgrade to a newer version: %v", err)
	}
	if _, err := p.try(Options{}, Request{Downgrade: []string{"extra"}}); fault.ClassOf(err) != fault.Unsolvable {
		t.Errorf("downgrade of what has no older version: %v", err)
	}
	plan = p.do(Request{Remove: []string{"app"}, Autoremove: true, Install: []string{"extra"}})
	p.wantSteps(plan, "remove app 1.0.0-1", "remove lib 1.1.0-1")
	p.wantInstalled("extra 1.0.0-1*")
}

func TestAutoremoveNeedsSomethingToKeep(t *testing.T) {
	p := newPlace(t)
	p.publish("lib-1.0.0-1")
	p.publish("app-1.0.0-1", "requires lib")
	p.do(Request{Install: []string{"app"}})
	p.do(Request{Automatic: []string{"app"}})
	p.wantInstalled("app 1.0.0-1", "lib 1.0.0-1")
	if _, err := p.try(Options{}, Request{Autoremove: true}); fault.ClassOf(err) != fault.Usage {
		t.Errorf("autoremove of everything: %v", err)
	}
	p.do(Request{Explicit: []string{"lib"}})
	p.wantSteps(p.do(Request{Autoremove: true}), "remove app 1.0.0-1")
	p.wantInstalled("lib 1.0.0-1*")
}

func TestUpgradeTellsWhatIsHeldBackAndWhy(t *testing.T) {
	p := newPlace(t)
	p.publish("lib-1.0.0-1")
	p.publish("app-1.0.0-1", "requires lib <2")
	p.publish("other-1.0.0-1")
	p.do(Request{Install: []string{"app", "lib", "other"}})
	p.publish("lib-2.0.0-1")
	p.publish("other-2.0.0-1")
	plan := p.do(Request{UpgradeAll: true})
	p.wantSteps(plan, "upgrade other 2.0.0-1")
	if len(plan.Held) != 1 || plan.Held[0].Name != "lib" || plan.Held[0].ByYou || !strings.Contains(plan.Held[0].Why, "app") {
		t.Errorf("held back: %+v", plan.Held)
	}
	p.publish("other-3.0.0-1")
	s := p.session(Options{})
	if added, err := s.Hold(context.Background(), []string{"other"}, "it is fine"); err != nil || len(added) != 1 {
		t.Fatal(added, err)
	}
	s.Close()
	plan = p.do(Request{UpgradeAll: true})
	if len(plan.Steps) != 0 || len(plan.Held) != 2 || !plan.Held[1].ByYou || !strings.Contains(plan.Held[1].Why, "it is fine") {
		t.Errorf("held: %+v, steps %+v", plan.Held, plan.Steps)
	}
	if _, err := p.try(Options{}, Request{Install: []string{"other@3.0.0-1"}}); fault.ClassOf(err) != fault.Unsolvable || !strings.Contains(err.Error(), "hold") {
		t.Errorf("install of what is held: %v", err)
	}
}

func TestReinstallRestoresDamage(t *testing.T) {
	p := newPlace(t)
	p.publish("app-1.0.0-1", "config etc/app.conf colour=red")
	p.do(Request{Install: []string{"app"}})
	if plan := p.do(Request{Reinstall: []string{"app"}}); !plan.Empty() {
		t.Errorf("nothing is damaged, and yet: %+v", plan.Steps)
	}
	p.write(filepath.Join(p.root, "etc/app.conf"), "colour=blue")
	file := filepath.Join(p.root, "usr/share/app/version")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p.wantSteps(p.do(Request{Reinstall: []string{"app"}}), "reinstall app 1.0.0-1")
	p.wantText("usr/share/app/version", "app-1.0.0-1")
	p.wantText("etc/app.conf", "colour=blue")
	if _, err := p.try(Options{}, Request{Reinstall: []string{"nothing"}}); fault.ClassOf(err) != fault.Usage {
		t.Errorf("reinstall of what is not installed: %v", err)
	}
}

func TestReinstallTakesARebuild(t *testing.T) {
	p := newPlace(t)
	p.publish("app-1.0.0-1", "file usr/share/app/x one")
	p.do(Request{Install: []string{"app"}})
	p.publish("app-1.0.0-1", "file usr/share/app/x two")
	p.wantSteps(p.do(Request{Reinstall: []string{"app"}}), "reinstall app 1.0.0-1")
	p.wantText("usr/share/app/x", "two")
	p.wantInstalled("app 1.0.0-1*")
}

func TestPackageFilesByPathAndURL(t *testing.T) {
	p := newPlace(t)
	p.publish("lib-1.0.0-1")
	file := p.build("app-1.0.0-1", "requires lib")
	p.wantSteps(p.do(Request{Install: []string{file}}), "install app 1.0.0-1", "install lib 1.0.0-1")

	stranger := &place{TB: t, key: repotest.Key(t)}
	strange := stranger.build("evil-1.0.0-1")
	if _, err := p.try(Options{}, Request{Install: []string{strange}}); fault.ClassOf(err) != fault.Security {
		t.Errorf("a stranger's package: %v", err)
	}
	at := filepath.Join(p.folder, "evil-1.0.0-1.noarch.ashlar")
	data, err := os.ReadFile(strange)
	if err != nil {
		t.Fatal(err)
	}
	p.write(at, string(data))
	url := p.url + "/" + filepath.Base(at)
	if _, err := p.try(Options{}, Request{Install: []string{url}}); fault.ClassOf(err) != fault.Security {
		t.Errorf("a stranger's package by URL: %v", err)
	}
	if _, err := p.try(Options{}, Request{Install: []string{p.url + "/none.ashlar"}}); fault.ClassOf(err) != fault.Network {
		t.Errorf("a URL where nothing is: %v", err)
	}
	trust, err := signing.NewKeyring(stranger.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := p.try(Options{Trust: trust}, Request{Install: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	p.wantSteps(plan, "install evil 1.0.0-1")
	p.wantInstalled("app 1.0.0-1*", "evil 1.0.0-1*", "lib 1.0.0-1")
}

func TestDownloadOnlyThenOffline(t *testing.T) {
	p := newPlace(t)
	big := strings.Repeat("0123456789abcdef", 1<<14) + random(1<<20)
	p.publish("app-1.0.0-1", "file usr/share/app/big "+big)
	s := p.session(Options{})
	plan, err := s.Plan(t.Context(), Request{Install: []string{"app"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Prepare(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if plan.Download < 1<<19 || plan.Download > plan.Packages {
		t.Errorf("to download: %d of %d bytes", plan.Download, plan.Packages)
	}
	if err := plan.Fetch(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	plan.Close()
	s.Close()
	p.wantInstalled()
	before := p.served.Load()
	plan, err = p.try(Options{Offline: true}, Request{Install: []string{"app"}})
	if err != nil || plan.Download != 0 || p.served.Load() != before {
		t.Errorf("offline: %v; planned to download %d, the server gave %d bytes", err, plan.Download, p.served.Load()-before)
	}
	p.wantInstalled("app 1.0.0-1*")
}

// TestUpgradeFetchesOnlyWhatIsNew: what the store has is not downloaded again.
func TestUpgradeFetchesOnlyWhatIsNew(t *testing.T) {
	p := newPlace(t)
	same := random(6 << 20)
	p.publish("app-1.0.0-1", "file usr/share/app/big "+same, "file usr/share/app/new "+random(300<<10))
	p.do(Request{Install: []string{"app"}})
	p.publish("app-1.1.0-1", "file usr/share/app/big "+same, "file usr/share/app/new "+random(300<<10))
	before := p.served.Load()
	plan := p.do(Request{UpgradeAll: true})
	if got := p.served.Load() - before; got > plan.Packages/10 {
		t.Errorf("an upgrade that changes a twentieth took %d of %d bytes", got, plan.Packages)
	}
	p.wantText("usr/share/app/version", "app-1.1.0-1")
}

func TestOnlyOneAtATime(t *testing.T) {
	p := newPlace(t)
	p.publish("app-1.0.0-1")
	first := p.session(Options{Command: []string{"pkgtool", "install", "app"}})
	plan, err := first.Plan(t.Context(), Request{Install: []string{"app"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	var locked *system.LockedError
	if _, err := p.try(Options{}, Request{Install: []string{"app"}}); !errors.As(err, &locked) || !strings.Contains(err.Error(), "pkgtool install app") {
		t.Errorf("a second install meanwhile: %v", err)
	}
	second := p.session(Options{})
	look, err := second.Plan(t.Context(), Request{Install: []string{"app"}}, true)
	if err != nil {
		t.Errorf("looking meanwhile: %v", err)
	} else {
		look.Close()
	}
	if err := plan.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	plan.Close()
	first.Close()
	p.wantInstalled("app 1.0.0-1*")
}

// TestFailureChangesNothing: a package that turns out damaged, a conflict of
// files and a cancelled context leave the system as it was.
func TestFailureChangesNothing(t *testing.T) {
	p := newPlace(t)
	p.publish("app-1.0.0-1")
	p.do(Request{Install: []string{"app"}})
	p.publish("clash-1.0.0-1", "file usr/share/app/version mine")
	if _, err := p.try(Options{}, Request{Install: []string{"clash"}}); err == nil || !strings.Contains(err.Error(), "usr/share/app/version") {
		t.Errorf("two owners of a file: %v", err)
	}
	p.publish("bad-1.0.0-1", "file usr/share/bad/big "+random(1<<20))
	entry := p.entry("bad")
	at := filepath.Join(p.folder, entry.Path)
	data, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1000] ^= 1
	if err := os.WriteFile(at, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := p.try(Options{}, Request{Install: []string{"bad"}}); fault.ClassOf(err) != fault.Security {
		t.Errorf("damaged content: %v", err)
	}
	p.publish("fine-1.0.0-1")
	s := p.session(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	plan, err := s.Plan(ctx, Request{Install: []string{"fine"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := plan.Commit(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	plan.Close()
	s.Close()
	p.wantInstalled("app 1.0.0-1*")
	s = p.session(Options{})
	if number := s.System().Generation().Number; number != 1 {
		t.Errorf("this is generation %d", number)
	}
	if problems, err := s.System().Verify(t.Context(), system.VerifyOptions{}); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}
