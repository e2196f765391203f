package boot_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ashlar/tests/boot"
	"ashlar/tests/republish"
)

// powerCutRecipes are those of which the upgrade brings new packages: what every
// program needs, nearly every program, and what the machine starts.
var powerCutRecipes = []string{"glibc", "busybox", "linux-virt", "e2fsprogs"}

// Installed machines lose their power at random moments of an upgrade, and start
// again by themselves with all of the old packages or all of the new ones.
//
// A cut is SIGKILL to QEMU. The disk is an overlay whose tables QEMU writes when
// the guest flushes: what was not flushed is lost, as in a disk's cache.
func TestPowerCuts(t *testing.T) {
	if os.Getenv("ASHLAR_POWERCUTS") == "" {
		t.Skip("takes half a minute for each cut; make test-powercut runs it")
	}
	cuts, err := strconv.Atoi(os.Getenv("ASHLAR_POWERCUTS"))
	if err != nil || cuts < 1 {
		t.Fatalf("ASHLAR_POWERCUTS is no number of cuts: %q", os.Getenv("ASHLAR_POWERCUTS"))
	}
	published := built(t, "ASHLAR_REPO", "repo")
	second := filepath.Join(t.TempDir(), "repo")
	if _, err := republish.Repository(t.Context(), filepath.Join(filepath.Dir(published), "packages"), published, second, powerCutRecipes...); err != nil {
		t.Fatal(err)
	}
	first, next := serveRepository(t, published), serveRepository(t, second)
	kinds := []string{"ext4/none", "ext4/writeback", "xfs/none", "xfs/writeback"}
	saved := map[string]*savedMachine{}
	for i, kind := range kinds {
		fs, cache, _ := strings.Cut(kind, "/")
		share := cuts / len(kinds)
		if i < cuts%len(kinds) {
			share++
		}
		if share == 0 {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			if saved[fs] == nil {
				saved[fs] = saveBeforeUpgrade(t, filepath.Dir(second), fs, first, next)
			}
			saved[fs].cutAll(t, cache, share)
		})
	}
}

// savedMachine is an installed machine at its prompt, just before the upgrade.
type savedMachine struct {
	dir, disk, state string
	before, after    string        // packages of both releases
	took             time.Duration // of an upgrade that nothing disturbs
}

func (s *savedMachine) options(t *testing.T, disk, cache string) boot.Options {
	return boot.Options{
		Memory: 512, SMP: 1, Net: true, Drives: []boot.Drive{{Path: disk, Format: "qcow2", Cache: cache, Boot: true}},
		Limit: 40 * time.Minute, Idle: 10 * time.Minute, Artifacts: artifacts(t),
	}
}

// saveBeforeUpgrade installs a machine of the first release with this file
// system, fetches the second, and saves the machine.
func saveBeforeUpgrade(t *testing.T, dir, fs, first, next string) *savedMachine {
	t.Helper()
	s := &savedMachine{dir: dir, disk: filepath.Join(dir, fs+".qcow2"), state: filepath.Join(dir, fs+".state")}
	qemuImg(t, "create", "-q", "-f", "qcow2", s.disk, "3G")
	vm := bootISO(t, boot.Options{Net: true, Limit: 10 * time.Minute, Drives: []boot.Drive{{Path: s.disk, Format: "qcow2"}}})
	run(t, vm, "rm /etc/pkgtool/repositories.d/medium.yaml")
	connect(t, vm, first)
	run(t, vm, "cat > answers.yaml <<'END'\n"+answers+"  filesystem: "+fs+"\nEND\npkgtool installer run --yes answers.yaml")
	powerOff(t, vm)

	vm, err := boot.Start(t.Context(), s.options(t, s.disk, "writeback"))
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	enter(t, vm)
	run(t, vm, "grep ' / "+fs+" ' /proc/mounts")
	connect(t, vm, next)
	s.before = run(t, vm, "pkgtool list")
	run(t, vm, "pkgtool refresh && pkgtool upgrade --yes --download-only && until pkgtool loader list | grep -w good; do sleep 1; done")
	run(t, vm, "sync")
	if err := vm.Save(t.Context(), s.state); err != nil {
		t.Fatal(err)
	}
	vm.Close()

	vm = s.resume(t, "writeback", "whole")
	defer vm.Close()
	begun := time.Now()
	run(t, vm, upgrade)
	s.took = time.Since(begun)
	s.after = run(t, vm, "pkgtool list")
	if s.after == s.before {
		t.Fatalf("nothing was upgraded:\n%s", s.after)
	}
	t.Logf("an upgrade that nothing disturbs takes %.1f s", s.took.Seconds())
	return s
}

// upgrade ends with 7 when the machine should be started again.
const upgrade = "{ pkgtool upgrade --yes --offline || test $? = 7; }"

func qemuImg(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %s: %v %s", strings.Join(args, " "), err, out)
	}
}

// resume goes on from the saved state with a disk of its own.
func (s *savedMachine) resume(t *testing.T, cache, name string) *boot.VM {
	t.Helper()
	qemuImg(t, "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", s.disk, s.overlay(name))
	vm, err := boot.Resume(t.Context(), s.state, s.options(t, s.overlay(name), cache))
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func (s *savedMachine) overlay(name string) string { return filepath.Join(s.dir, name+".overlay") }

// cutAll cuts the power n times, two machines at a time.
func (s *savedMachine) cutAll(t *testing.T, cache string, n int) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("%d cuts, seed %d", n, seed)
	moments := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	count := map[string]int{}
	work := make(chan time.Duration)
	t.Run("cuts", func(t *testing.T) {
		for range 2 {
			t.Run("machine", func(t *testing.T) {
				t.Parallel()
				for after := range work {
					name := fmt.Sprintf("%s-%d", cache, after)
					found := s.cut(t, cache, name, after)
					mu.Lock()
					count[found]++
					mu.Unlock()
				}
			})
		}
		go func() {
			defer close(work)
			for range n {
				select {
				// until a little after its end
				case work <- time.Duration(moments.Int64N(int64(s.took + s.took/8))):
				case <-t.Context().Done():
					return
				}
			}
		}()
	})
	t.Logf("%d machines came back with the old packages, %d with the new ones", count["old"], count["new"])
}

// enter logs in as root.
func enter(t *testing.T, vm *boot.VM) {
	t.Helper()
	for _, step := range []struct{ wait, answer string }{{`node1 login: `, "root\n"}, {`Password: `, rootPassword + "\n"}} {
		if _, err := vm.ExpectText(t.Context(), regexp.MustCompile(step.wait)); err != nil {
			vm.SaveArtifacts()
			t.Fatal(err)
		}
		if err := vm.Send(step.answer); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := vm.ExpectPrompt(t.Context(), prompt); err != nil {
		t.Fatal(err)
	}
	run(t, vm, "dmesg -n 1")
}

var sick = regexp.MustCompile(`EXT4-fs error|XFS.*(orruption|ERROR)|I/O error|Kernel panic`)

// cut resumes the machine, cuts its power some time after the upgrade has begun,
// starts it again, and says which packages it came back with.
func (s *savedMachine) cut(t *testing.T, cache, name string, after time.Duration) string {
	t.Helper()
	vm := s.resume(t, cache, name)
	defer os.Remove(s.overlay(name))
	if err := vm.Send(upgrade + "\n"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	vm.Kill()
	vm.Close()

	vm, err := boot.Start(t.Context(), s.options(t, s.overlay(name), cache))
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	enter(t, vm)
	problem := func(format string, args ...any) {
		vm.SaveArtifacts()
		t.Errorf("cut after %.3f s: %s", after.Seconds(), fmt.Sprintf(format, args...))
	}
	if output, code, err := vm.Run(t.Context(), "pkgtool verify"); err != nil || code != 0 {
		problem("verify ended with %d, %v:\n%s", code, err, output)
	}
	if output, code, err := vm.Run(t.Context(), "pkgtool loader list && until pkgtool loader list | grep -w good; do sleep 1; done"); err != nil || code != 0 {
		problem("the boot menu: %d, %v:\n%s", code, err, output)
	}
	if line := sick.FindString(vm.Console() + run(t, vm, "dmesg")); line != "" {
		problem("the kernel says %q", line)
	}
	got := run(t, vm, "pkgtool list")
	switch got {
	case s.before:
		// What it could not bring to its end can be done now.
		if after%4 == 0 {
			if output, code, err := vm.Run(t.Context(), upgrade+" && pkgtool verify"); err != nil || code != 0 {
				problem("the upgrade cannot be done any more: %d, %v:\n%s", code, err, output)
			}
		}
		return "old"
	case s.after:
		return "new"
	}
	problem("neither the old packages nor the new ones:\n%s", got)
	return "neither"
}
