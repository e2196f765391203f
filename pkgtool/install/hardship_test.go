package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/system"
)

// These tests run this test binary again in a user namespace: on a file system
// of its own that is full, and as an ordinary user.
const envHardship, envRoot = "ASHLAR_HARDSHIP", "ASHLAR_ROOT"

func TestMain(m *testing.M) {
	sandbox.MaybeInit()
	child := map[string]func(string) error{"full": fullDisk, "user": ordinaryUser}[os.Getenv(envHardship)]
	if child == nil {
		os.Exit(m.Run())
	}
	if err := child(os.Getenv(envRoot)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (p *place) endure(hardship, root string, id int) {
	p.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envHardship+"="+hardship, envRoot+"="+root)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: id, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: id, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		p.Errorf("%s: %v: %s", hardship, err, out)
	}
}

// plan makes a plan that is ready to be carried out.
func plan(root string, r Request) (*Session, *Plan, error) {
	s, err := Open(Options{Root: root})
	if err != nil {
		return nil, nil, err
	}
	p, err := s.Plan(context.Background(), r, false)
	if err == nil {
		err = p.Prepare(context.Background(), nil)
	}
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	return s, p, nil
}

func carryOut(root string, r Request) error {
	s, p, err := plan(root, r)
	if err != nil {
		return err
	}
	defer s.Close()
	defer p.Close()
	return p.Commit(context.Background(), nil)
}

// unharmed makes sure that a system is in a generation, whole.
func unharmed(root string, generation int) error {
	s, err := system.Open(root)
	if err != nil {
		return err
	}
	defer s.Close()
	if n := s.Generation().Number; n != generation {
		return fmt.Errorf("generation %d, not %d", n, generation)
	}
	problems, err := s.Verify(context.Background(), system.VerifyOptions{Store: true})
	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("problems: %v", problems)
	}
	return err
}

func TestFullDisk(t *testing.T) {
	p := newPlace(t)
	p.publish("app-1.0.0-1")
	p.publish("big-1.0.0-1", "file usr/share/big/big "+random(8<<20))
	p.publish("fits-1.0.0-1", "file usr/share/fits/big "+random(3<<20))
	p.endure("full", p.root, 0)
}

func fullDisk(root string) error {
	etc, err := os.MkdirTemp("", "etc-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(etc)
	if err := os.CopyFS(etc, os.DirFS(filepath.Join(root, "etc"))); err != nil {
		return err
	}
	if err := syscall.Mount("none", root, "tmpfs", 0, "size=10m"); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(root, "etc"), os.DirFS(etc)); err != nil {
		return err
	}
	if err := carryOut(root, Request{Install: []string{"app"}}); err != nil {
		return err
	}
	// Foreseen: said before anything is downloaded.
	if err := carryOut(root, Request{Install: []string{"big"}}); err == nil || !strings.Contains(err.Error(), "need") {
		return fmt.Errorf("too big, and yet: %v", err)
	}
	if err := unharmed(root, 1); err != nil {
		return fmt.Errorf("after a plan that does not fit: %w", err)
	}
	// Not foreseen: somebody else fills the disk between plan and commit.
	s, planned, err := plan(root, Request{Install: []string{"fits"}})
	if err != nil {
		return err
	}
	filler := filepath.Join(root, "filler")
	f, err := os.Create(filler)
	if err != nil {
		return err
	}
	for {
		if _, err := f.Write(make([]byte, 64<<10)); err != nil {
			break
		}
	}
	f.Close()
	err = planned.Commit(context.Background(), nil)
	planned.Close()
	s.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk is full, and yet: %v", err)
	}
	if err := unharmed(root, 1); err != nil {
		return fmt.Errorf("after running out of space: %w", err)
	}
	if err := os.Remove(filler); err != nil {
		return err
	}
	if err := carryOut(root, Request{Install: []string{"fits"}}); err != nil {
		return fmt.Errorf("with space again: %w", err)
	}
	return unharmed(root, 2)
}

func TestAsAnOrdinaryUser(t *testing.T) {
	p := newPlace(t)
	p.publish("lib-1.0.0-1")
	p.publish("app-1.0.0-1", "requires lib", "config etc/app.conf a=1")
	p.publish("app-2.0.0-1", "requires lib", "config etc/app.conf a=2")
	p.endure("user", p.root, 1000)
	p.wantInstalled("app 2.0.0-1*", "lib 1.0.0-1")
}

func ordinaryUser(root string) error {
	for _, r := range []Request{{Install: []string{"app@1.0.0-1"}}, {UpgradeAll: true}, {Downgrade: []string{"app"}}, {UpgradeAll: true}} {
		if err := carryOut(root, r); err != nil {
			return err
		}
	}
	if err := unharmed(root, 4); err != nil {
		return err
	}
	// A system that belongs to somebody else can be looked at, not changed.
	theirs := filepath.Join(root, ".ashlar")
	if err := os.Chmod(theirs, 0o555); err != nil {
		return err
	}
	defer os.Chmod(theirs, 0o755)
	if err := carryOut(root, Request{Remove: []string{"app"}}); !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("without permission: %v", err)
	}
	if err := os.Chmod(theirs, 0o755); err != nil {
		return err
	}
	return unharmed(root, 4)
}

// TestRollbackThenUpgrade: after going back, an upgrade and a downgrade work from
// where the system is.
func TestRollbackThenUpgrade(t *testing.T) {
	p := newPlace(t)
	p.publish("app-1.0.0-1")
	p.do(Request{Install: []string{"app"}})
	p.publish("app-2.0.0-1")
	p.do(Request{UpgradeAll: true})
	p.publish("app-3.0.0-1")
	p.do(Request{UpgradeAll: true})
	s, err := system.Open(p.root)
	if err != nil {
		t.Fatal(err)
	}
	back, err := s.PlanRollback(t.Context(), 2, []string{"pkgtool", "rollback"})
	if err == nil {
		err = s.Lock([]string{"pkgtool", "rollback"})
	}
	if err == nil {
		err = back.Commit(t.Context(), nil)
	}
	s.Close()
	if err != nil {
		t.Fatal(err)
	}
	p.wantInstalled("app 2.0.0-1*")
	before := p.served.Load()
	p.wantSteps(p.do(Request{UpgradeAll: true}), "upgrade app 3.0.0-1")
	if p.served.Load() != before {
		t.Error("what the store and the cache hold was downloaded again")
	}
	p.wantSteps(p.do(Request{Downgrade: []string{"app"}}), "downgrade app 2.0.0-1")
	p.wantSteps(p.do(Request{Downgrade: []string{"app"}}), "downgrade app 1.0.0-1")
	p.wantText("usr/share/app/version", "app-1.0.0-1")
	if err := unharmed(p.root, 7); err != nil {
		t.Error(err)
	}
}

// TestARunningPlanMeetsAChangedSystem: a plan that was only looked at and then
// carried out after somebody else changed the system is refused.
func TestARunningPlanMeetsAChangedSystem(t *testing.T) {
	p := newPlace(t)
	p.publish("app-1.0.0-1")
	p.publish("other-1.0.0-1")
	s := p.session(Options{})
	looked, err := s.Plan(t.Context(), Request{Install: []string{"app"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer looked.Close()
	if err := looked.Prepare(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p.do(Request{Install: []string{"other"}})
	if err := looked.Commit(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "plan again") {
		t.Errorf("a plan for an earlier system: %v", err)
	}
	p.wantInstalled("other 1.0.0-1*")
}

func TestSaveCase(t *testing.T) {
	p := newPlace(t)
	p.publish("lib-1.0.0-1")
	p.publish("app-1.0.0-1", "requires lib")
	dir := filepath.Join(t.TempDir(), "case")
	p.do(Request{Install: []string{"app"}, SaveCase: dir})
	if _, err := os.Stat(filepath.Join(dir, "case.json")); err != nil {
		t.Error(err)
	}
	_, err := p.try(Options{}, Request{Install: []string{"app >=2"}, SaveCase: dir + "2"})
	if fault.ClassOf(err) != fault.Unsolvable {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir+"2", "case.json")); err != nil {
		t.Errorf("of all cases that of a refusal is missing: %v", err)
	}
}
