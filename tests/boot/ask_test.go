package boot_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ashlar/installer"
	"ashlar/tests/boot"
)

// A script at the serial line answers the installer's questions; the machine
// starts from its disk with what was answered, and the answer file that was
// written is one.
func TestInstallerAsks(t *testing.T) {
	published := built(t, "ASHLAR_REPO", "repo")
	disk := blankDisk(t, 2<<30)
	vm := bootISO(t, boot.Options{Net: true, Drives: []boot.Drive{{Path: disk}}})
	connect(t, vm, serveRepository(t, published))
	if err := vm.Send("pkgtool installer ask\n"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ wait, answer string }{
		{`Enter a number between 1 and 1: ?$|enter the number 1: ?$`, "\n"},
		{`Enter a number between 1 and 4: $`, "2\n"},
		{`Enter a number between 1 and 3: $`, "1\n"},
		{`Swap, as 2G, or nothing: $`, "64M\n"},
		{`Host name \[ashlar\]: $`, "node1\n"},
		{`Time zone, as Europe/Berlin, or nothing for UTC: $`, "\n"},
		{`SSH key of root, as ssh-ed25519 AAAA\.\.\., or nothing: $`, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUbmSXr7bQTHm6Rr2nUkGnpcYxTQ1AVSRMqR0JjPRBm ada@example\n"},
		{`Password of root: $`, rootPassword + "\n"},
		{`The same again: $`, rootPassword + "\n"},
		{`an empty line for nothing: $`, "1\n"},
		{`Enter a number between 1 and 3: $`, "1\n"},
		{`Type vda to install on it: $`, "vda\n"},
	} {
		if _, err := vm.ExpectPrompt(t.Context(), regexp.MustCompile(step.wait)); err != nil {
			t.Fatal(err)
		}
		if err := vm.Send(step.answer); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := vm.Expect(t.Context(), regexp.MustCompile(`^installed \d+ packages on /dev/vda`)); err != nil {
		t.Fatal(err)
	}
	if _, err := vm.ExpectPrompt(t.Context(), prompt); err != nil {
		t.Fatal(err)
	}
	console := vm.Console()
	if strings.Contains(console, rootPassword) {
		t.Error("the password was shown")
	}
	for _, phase := range []string{"1. fetch packages", "partition /dev/vda", "write the boot loader"} {
		if !strings.Contains(console, phase) {
			t.Errorf("the phase %q was not shown", phase)
		}
	}
	file := filepath.Join(t.TempDir(), "answers.yaml")
	if err := os.WriteFile(file, []byte(run(t, vm, "cat answers.yaml")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := installer.ReadAnswers(file); err != nil || a.System.Hostname != "node1" {
		t.Errorf("the answer file: %+v, %v", a, err)
	}
	powerOff(t, vm)

	vm = bootInstalled(t, disk, boot.UEFI)
	run(t, vm, "dropbear -V 2>&1")
	run(t, vm, "grep -q ada@example /root/.ssh/authorized_keys && lvs --noheadings -o lv_name | grep -q root && grep -q ^/dev/ /proc/swaps")
	powerOff(t, vm)
}
