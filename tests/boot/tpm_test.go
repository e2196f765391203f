package boot_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ashlar/tests/boot"
)

// A machine whose disk the TPM opens is installed, and firmware starts the disk
// although the medium is still in. Nothing is typed but the login. In another
// machine the same disk asks for its passphrase.
func TestInstalledWithTPM(t *testing.T) {
	dir := t.TempDir()
	disk := emptyDisk(t, 2<<30)
	o := boot.Options{
		Firmware: boot.UEFI, Variables: filepath.Join(dir, "variables"), TPM: filepath.Join(dir, "tpm"), Net: true, Memory: 1536,
		Limit: 15 * time.Minute, Idle: 4 * time.Minute, Drives: []boot.Drive{{Path: disk, Serial: "first"}},
	}
	vm := bootISO(t, o)
	connect(t, vm, serveRepository(t, built(t, "ASHLAR_REPO", "repo")))
	text := strings.Split(answers, "storage:")[0] + "storage: {layout: luks, disk: {serial: first}, luks: {tpm2: {}}}\n"
	run(t, vm, "cat > answers.yaml <<'END'\n"+text+"END")
	if plan := run(t, vm, "pkgtool installer plan answers.yaml"); !strings.Contains(plan, "the TPM opens it while PCR 7 stays the same") {
		t.Errorf("plan:\n%s", plan)
	}
	if got := run(t, vm, "time pkgtool installer run --yes answers.yaml 2>&1"); strings.Contains(got, "stays as it was") {
		t.Errorf("the firmware was not told:\n%s", got)
	}
	powerOff(t, vm)

	// Without a boot index QEMU leaves the order to the firmware.
	medium := boot.Drive{Path: built(t, "ASHLAR_ISO", "ashlar-minimal.iso"), Interface: "cdrom"}
	o.Drives = []boot.Drive{medium, {Path: disk, Serial: "first"}}
	o.Artifacts = artifacts(t)
	vm = startAndLogIn(t, o, "")
	run(t, vm, "dmesg | grep -q 'the TPM had its key' && ls /dev/mapper | grep -q ^luks-")
	run(t, vm, "mount -t efivarfs efivarfs /sys/firmware/efi/efivars")
	// BootCurrent is the first of BootOrder, and ours.
	if got := run(t, vm, "cd /sys/firmware/efi/efivars; first=$(tail -c +5 BootOrder-* | head -c 2 | hexdump -e '\"%04X\"'); now=$(tail -c +5 BootCurrent-* | hexdump -e '\"%04X\"'); echo $first $now; tail -c +11 Boot$now-* | tr -d '\\000' | head -c 6"); !regexp.MustCompile(`^([0-9A-F]{4}) ([0-9A-F]{4})\nAshlar$`).MatchString(got) || got[:4] != got[5:9] {
		t.Errorf("what firmware starts: %q", got)
	}
	if got := run(t, vm, "pkgtool diskkey status"); !strings.HasSuffix(got, "PCR 7: opens the disk") {
		t.Errorf("status: %q", got)
	}
	key := run(t, vm, "test $(stat -c %a /root/disk-recovery-key) = 600 && cat /root/disk-recovery-key")
	run(t, vm, "pkgtool diskkey wipe && ! grep tpm2 /etc/kernel/cmdline")
	run(t, vm, "pkgtool diskkey enroll --pcrs 0,7 --passphrase-file /root/disk-recovery-key")
	if got := run(t, vm, "pkgtool diskkey status"); !strings.HasSuffix(got, "PCR 0+7: opens the disk") {
		t.Errorf("status after another enrolment: %q", got)
	}
	powerOff(t, vm)
	vm = startAndLogIn(t, o, "")
	run(t, vm, "dmesg | grep -q 'the TPM had its key'")
	powerOff(t, vm)

	o.TPM = filepath.Join(dir, "another")
	o.Drives = []boot.Drive{{Path: disk, Boot: true}}
	vm = startAndLogIn(t, o, key)
	if got := run(t, vm, "pkgtool diskkey status"); !strings.Contains(got, "this TPM did not seal the disk's key") {
		t.Errorf("status with another TPM: %q", got)
	}
	powerOff(t, vm)
}

// startAndLogIn starts an installed machine; one that has a passphrase asks for it.
func startAndLogIn(t *testing.T, o boot.Options, passphrase string) *boot.VM {
	t.Helper()
	vm, err := boot.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	answer := func(question, text string) {
		t.Helper()
		if _, err := vm.ExpectText(t.Context(), regexp.MustCompile(question)); err != nil {
			t.Fatal(err)
		}
		if err := vm.Send(text + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	if passphrase != "" {
		answer(`Passphrase for /dev/\S+ \(luks-[0-9a-f-]+\): `, passphrase)
	}
	answer(`node1 login: `, "root")
	answer(`Password: `, rootPassword)
	if _, err := vm.ExpectPrompt(t.Context(), prompt); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(vm.Console(), "Passphrase for") != (passphrase != "") {
		t.Error("the machine asked for a passphrase, or did not, other than it should")
	}
	t.Logf("logged in after %.1f s", vm.Elapsed().Seconds())
	run(t, vm, "dmesg -n 1")
	return vm
}
