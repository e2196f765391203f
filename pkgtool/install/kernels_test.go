package install

import (
	"fmt"
	"testing"
)

// kernel publishes a build of an install-only package with its modules.
func (p *place) kernel(minor int) string {
	p.Helper()
	v := fmt.Sprintf("6.%d.0", minor)
	p.publish("linux-"+v+"-1", "install-only", "file usr/lib/modules/"+v+"/kernel/x.ko "+v)
	return "linux " + v + "-1"
}

func TestKernelsStandSideBySide(t *testing.T) {
	p := newPlace(t)
	first := p.kernel(1)
	p.do(Request{Install: []string{"linux"}})
	var all []string
	for minor := 2; minor <= 5; minor++ {
		all = append(all, p.kernel(minor)+"*")
		if _, err := p.try(Options{Kernel: "6.1.0"}, Request{UpgradeAll: true}); err != nil {
			t.Fatal(err)
		}
	}
	p.wantInstalled(append(all[1:], first+"*")...) // 6.1 is running; the newest three
	for _, minor := range []int{1, 3, 4, 5} {
		v := fmt.Sprintf("6.%d.0", minor)
		p.wantText("usr/lib/modules/"+v+"/kernel/x.ko", v)
	}
	plan, err := p.try(Options{Kernel: "6.5.0"}, Request{UpgradeAll: true})
	if err != nil || !plan.Empty() {
		t.Errorf("nothing is new, and yet: %+v, %v", plan, err)
	}
	newest := p.kernel(6)
	plan, err = p.try(Options{Kernel: "6.5.0"}, Request{UpgradeAll: true})
	if err != nil {
		t.Fatal(err)
	}
	p.wantSteps(plan, "install "+newest, "remove "+first, "remove linux 6.3.0-1")
	if len(plan.Removals()) > 0 || len(plan.Protected) > 0 {
		t.Errorf("removals %q, protected %q", plan.Removals(), plan.Protected)
	}
	s := p.session(Options{Kernel: "6.4.0"})
	plan, err = s.Plan(t.Context(), Request{Remove: []string{"linux@6.4.0-1"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	p.wantSteps(plan, "remove linux 6.4.0-1")
	if len(plan.Protected) != 1 {
		t.Errorf("the running kernel goes without a word: %+v", plan)
	}
}

// TestOldKernelStaysWhileNeeded: a build that another package needs is not
// removed to make room for newer ones.
func TestOldKernelStaysWhileNeeded(t *testing.T) {
	p := newPlace(t)
	p.kernel(1)
	p.publish("driver-1.0.0-1", "requires linux =6.1.0-1")
	p.do(Request{Install: []string{"linux", "driver"}})
	for minor := 2; minor <= 5; minor++ {
		p.kernel(minor)
		if _, err := p.try(Options{Kernel: "6.2.0"}, Request{UpgradeAll: true}); err != nil {
			t.Fatal(err)
		}
	}
	p.wantText("usr/lib/modules/6.1.0/kernel/x.ko", "6.1.0")
	p.wantText("usr/share/driver/version", "driver-1.0.0-1")
}

// TestARebuiltKernelLeavesTheOthers: another content of one build takes the place
// of that build only.
func TestARebuiltKernelLeavesTheOthers(t *testing.T) {
	p := newPlace(t)
	p.kernel(1)
	p.do(Request{Install: []string{"linux"}})
	p.kernel(2)
	p.do(Request{UpgradeAll: true})
	file := p.build("linux-6.2.0-1", "install-only", "file usr/lib/modules/6.2.0/kernel/x.ko rebuilt")
	p.wantSteps(p.do(Request{Install: []string{file}}), "reinstall linux 6.2.0-1")
	p.wantText("usr/lib/modules/6.1.0/kernel/x.ko", "6.1.0")
	p.wantText("usr/lib/modules/6.2.0/kernel/x.ko", "rebuilt")
	p.wantInstalled("linux 6.1.0-1*", "linux 6.2.0-1*")
}
