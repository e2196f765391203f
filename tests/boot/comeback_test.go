package boot_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ashlar/tests/boot"
)

// badUpdates are packages that keep a machine from starting; each is the text of
// a folder's files, made in the guest.
var badUpdates = []struct {
	name, make string
	slow       bool
}{
	{"kernel", `mkdir -p tree/usr/lib/modules/99.1-broken && head -c 3000000 /dev/urandom >tree/usr/lib/modules/99.1-broken/vmlinuz
printf 'schema: 1\nname: linux-broken\nversion: 99.1.0\nsummary: no kernel at all\n' >package.yaml`, false},
	{"init", `mkdir -p tree/usr/lib/ashlar && echo 'no program' >tree/usr/lib/ashlar/live-init
printf 'schema: 1\nname: ashlar-liveinit\nversion: 99.1.0\narch: x86_64\nsummary: no init at all\n' >package.yaml`, true},
}

// A machine that is given an update which does not start comes back by itself,
// with what it had before, and says so.
func TestBadUpdatesComeBack(t *testing.T) {
	for _, update := range badUpdates {
		t.Run(update.name, func(t *testing.T) {
			if update.slow && os.Getenv("ASHLAR_TEST_INSTALL") == "" {
				t.Skip("takes minutes; make test-install runs it")
			}
			disk := filepath.Join(t.TempDir(), "disk.qcow2")
			content, err := os.ReadFile(filepath.Join(built(t, "ASHLAR_DISKS", "."), "ashlar-disk.qcow2"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(disk, content, 0o600); err != nil {
				t.Fatal(err)
			}
			vm := comeBack(t, disk)
			before := run(t, vm, "pkgtool list")
			run(t, vm, "until pkgtool loader list | grep -q good; do sleep 1; done")
			run(t, vm, update.make+`
sed -i 's/$/ panic=2/' /etc/kernel/cmdline
rm /etc/pkgtool/repositories.d/*
pkgtool key generate --name tester && pkgtool key export >key.asc && pkgtool pkg create tree --description package.yaml -o bad.ashlar
pkgtool install --yes --trust key.asc ./bad.ashlar`)
			t.Log(run(t, vm, "pkgtool loader list"))
			begun := time.Now()
			if err := vm.Send("reboot\n"); err != nil {
				t.Fatal(err)
			}
			logIn(t, vm)
			t.Logf("back after %.1f s", time.Since(begun).Seconds())
			if got := run(t, vm, "pkgtool list"); got != before {
				t.Errorf("packages after the way back:\n%s", got)
			}
			run(t, vm, "until pkgtool loader list | grep -q 'was left'; do sleep 1; done; pkgtool verify >/dev/null")
			t.Log(run(t, vm, "pkgtool loader list"))
			powerOff(t, vm)
		})
	}
}

// comeBack starts a machine that may reset itself.
func comeBack(t *testing.T, disk string) *boot.VM {
	t.Helper()
	vm, err := boot.Start(t.Context(), boot.Options{
		Drives: []boot.Drive{{Path: disk, Format: "qcow2", Boot: true}}, Reboot: true, Interactive: true,
		Limit: 8 * time.Minute, Idle: 3 * time.Minute, Artifacts: artifacts(t),
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
	return vm
}

func logIn(t *testing.T, vm *boot.VM) {
	t.Helper()
	for _, step := range []struct{ wait, answer string }{{`node1 login: $`, "root\n"}, {`Password: $`, rootPassword + "\n"}} {
		if _, err := vm.ExpectPrompt(t.Context(), regexp.MustCompile(step.wait)); err != nil {
			t.Fatalf("%v; the console ends in\n%s", err, tail(vm.Console()))
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

func tail(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}
