package boot_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ashlar/tests/boot"
)

// badUpdates are packages that keep a machine from starting. make puts their files
// below tree and their description into package.yaml, in the guest.
var badUpdates = []struct {
	name, make string
	firmware   boot.Firmware
	slow       bool
}{
	{"kernel", `mkdir -p tree/usr/lib/modules/99.1-broken && head -c 3000000 /dev/urandom >tree/usr/lib/modules/99.1-broken/vmlinuz
printf 'schema: 1\nname: linux-broken\nversion: 99.1.0\nsummary: no kernel at all\n' >package.yaml`, boot.UEFI, false},
	{"initial RAM file system", `mkdir -p tree/usr/lib/ashlar && echo 'no program' >tree/usr/lib/ashlar/live-init
printf 'schema: 1\nname: ashlar-liveinit\nversion: 99.1.0\narch: x86_64\nsummary: no program in the initial RAM file system\n' >package.yaml`, boot.BIOS, true},
	{"init", `mkdir tree && (cd / && tar -c $(pkgtool files busybox)) 2>/dev/null | tar -x -C tree
rm tree/usr/bin/init && echo 'no program' >tree/usr/bin/init && chmod 755 tree/usr/bin/init
printf 'schema: 1\nname: busybox\nversion: 99.1.0\narch: x86_64\nprovides: [cmd(sh)]\nsummary: no init at all\n' >package.yaml`, boot.UEFI, true},
}

// packed makes the package and installs it, from no repository.
const packed = `
rm /etc/pkgtool/repositories.d/*
pkgtool key generate --name tester && pkgtool key export >key.asc && pkgtool pkg create tree --description package.yaml -o new.ashlar`

// A machine that is given an update which does not start comes back by itself,
// with what it had before, and says so.
func TestBadUpdatesComeBack(t *testing.T) {
	for _, update := range badUpdates {
		t.Run(update.name, func(t *testing.T) {
			if update.slow {
				onlyLife(t)
			}
			vm := bootCopy(t, update.firmware)
			before := run(t, vm, "pkgtool list")
			run(t, vm, update.make+packed+"; sed -i 's/$/ panic=2/' /etc/kernel/cmdline; pkgtool install --yes --trust key.asc ./new.ashlar")
			if got := run(t, vm, "pkgtool loader list"); !strings.Contains(got, "3 tries left") {
				t.Errorf("the update is not tried:\n%s", got)
			}
			begun := time.Now()
			restart(t, vm)
			logIn(t, vm)
			t.Logf("back after %.1f s", time.Since(begun).Seconds())
			if said := "generation 2 did not start in 3 tries; going back to generation 1, as generation 3"; !strings.Contains(vm.Console(), said) {
				t.Errorf("the console never said %q", said)
			}
			if got := run(t, vm, "pkgtool list"); got != before {
				t.Errorf("packages after the way back:\n%s", got)
			}
			run(t, vm, "pkgtool verify >/dev/null")
			blessed(t, vm, "generation 2 did not start in 3 tries and was left")
			powerOff(t, vm)
		})
	}
}

// onlyLife leaves a test to make test-life.
func onlyLife(t *testing.T) {
	t.Helper()
	if os.Getenv("ASHLAR_TEST_LIFE") == "" {
		t.Skip("takes minutes; make test-life runs it")
	}
}

// bootCopy starts a copy of the disk image as a machine that may reset itself, and
// waits until its start is proved.
func bootCopy(t *testing.T, firmware boot.Firmware) *boot.VM {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk.qcow2")
	image := filepath.Join(built(t, "ASHLAR_DISKS", "."), "ashlar-disk.qcow2")
	if out, err := exec.Command("cp", "--reflink=auto", image, disk).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	vm, err := boot.Start(t.Context(), boot.Options{
		Firmware: firmware, Drives: []boot.Drive{{Path: disk, Format: "qcow2", Boot: true}}, Reboot: true, Interactive: true,
		Limit: 30 * time.Minute, Idle: 5 * time.Minute, Artifacts: artifacts(t),
		Extra: []string{"-action", "panic=none"}, // the kernel restarts the machine, as it does where nobody watches
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			vm.SaveArtifacts()
		}
		vm.Close()
	})
	logIn(t, vm)
	blessed(t, vm, "good")
	return vm
}

// blessed waits until the list of what the machine starts has a word that comes
// with the end of a start.
func blessed(t *testing.T, vm *boot.VM, word string) {
	t.Helper()
	run(t, vm, `for i in $(seq 120); do pkgtool loader list >list && grep -q '`+word+`' list && break; sleep 1; done; cat list; grep -q '`+word+`' list`)
}

// restart asks the machine for a restart.
func restart(t *testing.T, vm *boot.VM) {
	t.Helper()
	if err := vm.Send("reboot\n"); err != nil {
		t.Fatal(err)
	}
}

func logIn(t *testing.T, vm *boot.VM) {
	t.Helper()
	for _, step := range []struct{ wait, answer string }{{`node1 login: `, "root\n"}, {`Password: `, rootPassword + "\n"}} {
		if _, err := vm.ExpectText(t.Context(), regexp.MustCompile(step.wait)); err != nil {
			t.Fatalf("%v; the console ends in\n%s", err, tail(vm.Console()))
		}
		if err := vm.Send(step.answer); err != nil {
			t.Fatal(err)
		}
	}
	expectPrompt(t, vm, prompt.String())
	run(t, vm, "dmesg -n 1")
}

// expectPrompt waits for a prompt and shows the end of the console if none comes.
func expectPrompt(t *testing.T, vm *boot.VM, pattern string) {
	t.Helper()
	if _, err := vm.ExpectPrompt(t.Context(), regexp.MustCompile(pattern)); err != nil {
		t.Fatalf("%v; the console ends in\n%s", err, tail(vm.Console()))
	}
}

func tail(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// published makes a package of tree with a version and publishes it where the machine
// looks for updates.
const published = `
sed "s/^version: .*/version: $v/" package.yaml >this.yaml && pkgtool pkg create tree --description this.yaml -o $v.ashlar && pkgtool repo add repo $v.ashlar && pkgtool repo publish repo`

// An automatic update that did not start is not tried again; the next version is.
func TestAutomaticUpdateHoldsBack(t *testing.T) {
	onlyLife(t)
	vm := bootCopy(t, boot.UEFI)
	before := run(t, vm, "pkgtool list")
	run(t, vm, badUpdates[1].make+`
rm /etc/pkgtool/repositories.d/*; sed -i 's/$/ panic=2/' /etc/kernel/cmdline
pkgtool key generate --name tester && pkgtool repo init repo --name news
v=99.1.0; `+strings.TrimSpace(published)+` && pkgtool repo trust repo -o root.json && pkgtool remote add news file://$PWD/repo --root-file root.json`)
	automatic := func(want ...int) string {
		t.Helper()
		output, code, err := vm.Run(t.Context(), "pkgtool autoupdate")
		if err != nil || !slices.Contains(want, code) {
			t.Fatalf("autoupdate ended with %d, %v; want %v:\n%s", code, err, want, output)
		}
		return output
	}
	automatic(0, rebootNeeded)
	if got := run(t, vm, "pkgtool loader list"); !strings.Contains(got, "3 tries left") {
		t.Errorf("the update is not tried:\n%s", got)
	}
	restart(t, vm)
	logIn(t, vm)
	blessed(t, vm, "generation 2 did not start in 3 tries and was left")
	if got := automatic(heldBack); !strings.Contains(got, "generation 2") {
		t.Errorf("autoupdate does not say what did not start:\n%s", got)
	}
	if got := run(t, vm, "pkgtool list"); got != before {
		t.Errorf("packages after the way back:\n%s", got)
	}
	run(t, vm, `cp /usr/lib/ashlar/live-init tree/usr/lib/ashlar/live-init && v=99.2.0;`+published)
	automatic(0, rebootNeeded)
	restart(t, vm)
	logIn(t, vm)
	run(t, vm, "pkgtool list | grep -q 'ashlar-liveinit.*99.2.0' && pkgtool verify >/dev/null")
	blessed(t, vm, "good")
	powerOff(t, vm)
}

// Exit codes of pkgtool.
const heldBack, rebootNeeded = 6, 7
