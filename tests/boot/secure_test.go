package boot_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ashlar/tests/boot"
)

// A machine is installed with a key of its own: its firmware starts it and no
// foreign medium, what comes later is signed too, and what somebody changed on
// the EFI system partition does not start.
func TestInstalledSecureBoot(t *testing.T) {
	disk := emptyDisk(t, 2<<30)
	o := boot.Options{
		Firmware: boot.SecureUEFI, Variables: filepath.Join(t.TempDir(), "variables"), Net: true, Memory: 1536,
		Limit: 15 * time.Minute, Idle: 4 * time.Minute, Drives: []boot.Drive{{Path: disk, Serial: "first"}},
	}
	url := serveRepository(t, built(t, "ASHLAR_REPO", "repo"))
	vm := bootISO(t, o)
	connect(t, vm, url)
	text := answers + "boot: {secure_boot: true}\n"
	run(t, vm, "cat > answers.yaml <<'END'\n"+text+"END")
	if plan := run(t, vm, "pkgtool installer plan answers.yaml"); !strings.Contains(plan, "Secure Boot is on from the next start") {
		t.Errorf("plan:\n%s", plan)
	}
	run(t, vm, "pkgtool installer run --yes answers.yaml 2>&1")
	powerOff(t, vm)

	o.Drives[0].Boot = true
	o.Artifacts = artifacts(t)
	start := func(generation string) *boot.VM {
		t.Helper()
		vm := startAndLogIn(t, o, "")
		run(t, vm, "mount -t efivarfs efivarfs /sys/firmware/efi/efivars; grep -qw ashlar.generation="+generation+" /proc/cmdline")
		if got := run(t, vm, "pkgtool secureboot status"); got != "on: the firmware checked what it started\nthis system signs what it starts with the key in /etc/ashlar/secureboot" {
			t.Errorf("status: %q", got)
		}
		blessed(t, vm, "generation "+generation+".*good")
		return vm
	}
	vm = start("1")
	run(t, vm, "test \"$(stat -c %a /etc/ashlar/secureboot /etc/ashlar/secureboot/secureboot.key | tr '\\n' ' ')\" = '700 600 '")
	for command, said := range map[string]string{
		"pkgtool secureboot enroll": "the firmware has a platform key already",
		"pkgtool secureboot unsign": "switch it off in the firmware's setup first",
	} {
		if out, code, err := vm.Run(t.Context(), command+" 2>&1"); err != nil || code != 2 || !strings.Contains(out, said) {
			t.Errorf("%s ended with %d, %v:\n%s", command, code, err, out)
		}
	}
	connect(t, vm, url)
	run(t, vm, "pkgtool install --yes dropbear && pkgtool secureboot sign")
	powerOff(t, vm)
	vm = start("2")
	run(t, vm, "pkgtool rollback --yes 1")
	powerOff(t, vm)
	vm = start("3")

	// An old entry is no way around: nor is what nobody signed.
	run(t, vm, "mkdir -p /mnt && mount -t vfat /dev/vda2 /mnt && for f in /mnt/boot/grub/menu-*.cfg; do echo '# changed' >>$f; done; umount /mnt")
	powerOff(t, vm)
	doesNotStart(t, o, `bears no signature of this machine's owner`)
	foreign := o
	foreign.Drives = []boot.Drive{{Path: built(t, "ASHLAR_ISO", "ashlar-minimal.iso"), Interface: "cdrom", Boot: true}}
	doesNotStart(t, foreign, `Access Denied|Security Violation`)
}

// A machine that signs what it starts has its disk opened by the TPM, bound to
// that. What starts with Secure Boot off asks for the passphrase.
func TestSecureBootBindsTheTPM(t *testing.T) {
	onlyLife(t)
	dir := t.TempDir()
	disk := emptyDisk(t, 2<<30)
	o := boot.Options{
		Firmware: boot.SecureUEFI, Variables: filepath.Join(dir, "variables"), TPM: filepath.Join(dir, "tpm"), Net: true, Memory: 1536,
		Limit: 15 * time.Minute, Idle: 4 * time.Minute, Drives: []boot.Drive{{Path: disk, Serial: "first"}},
	}
	vm := bootISO(t, o)
	connect(t, vm, serveRepository(t, built(t, "ASHLAR_REPO", "repo")))
	run(t, vm, "cat > answers.yaml <<'END'\n"+strings.Split(answers, "storage:")[0]+
		"storage: {layout: luks, disk: {serial: first}, luks: {passphrase: open sesame}}\nboot: {secure_boot: true}\nEND")
	run(t, vm, "pkgtool installer run --yes answers.yaml 2>&1")
	powerOff(t, vm)

	o.Drives[0].Boot, o.Artifacts = true, artifacts(t)
	vm = startAndLogIn(t, o, "open sesame")
	run(t, vm, "printf 'open sesame' >pass && pkgtool diskkey enroll --passphrase-file pass && rm pass")
	powerOff(t, vm)
	vm = startAndLogIn(t, o, "")
	run(t, vm, "dmesg | grep -q 'the TPM had its key' && mount -t efivarfs efivarfs /sys/firmware/efi/efivars && pkgtool secureboot status | grep -q ^on:")
	powerOff(t, vm)

	// The same machine with firmware that has forgotten its keys.
	o.Variables = filepath.Join(dir, "cleared")
	vm = startAndLogIn(t, o, "open sesame")
	powerOff(t, vm)
}

// doesNotStart starts a machine that must say why it does not start a kernel.
func doesNotStart(t *testing.T, o boot.Options, why string) {
	t.Helper()
	o.Interactive, o.Idle, o.Limit = true, -1, 3*time.Minute
	vm, err := boot.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	if _, err := vm.Expect(t.Context(), regexp.MustCompile(why)); err != nil {
		t.Fatalf("it is not refused: %v\n%s", err, vm.Console())
	}
	time.Sleep(5 * time.Second)
	if regexp.MustCompile(`Linux version|Decompressing Linux`).MatchString(vm.Console()) {
		t.Errorf("a kernel started:\n%s", vm.Console())
	}
}
