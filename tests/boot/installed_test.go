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

// The password of the machines these tests install, and its hash as
// openssl passwd -6 prints it.
const (
	rootPassword     = "correct horse"
	rootPasswordHash = "$6$ashlartest$mWILQ44Lh4.qHZJmEoFaAU/jPjKiMivYwOngBdE44oMBgK5SWPxZ206BZCY8XJtUS8UrhZf3U0hfDS4XwYzQX1"
)

const answers = `version: 1
system: {hostname: node1, root_password_hash: "` + rootPasswordHash + `"}
packages: [linux-virt, ashlar-loader, filesystem, glibc, busybox, minimal-init, e2fsprogs, pkgtool]
storage:
  disk: {path: /dev/vda, size: ">=1G"}
`

// bootInstalled boots a machine from its disk alone and logs in.
func bootInstalled(t *testing.T, disk string, firmware boot.Firmware) *boot.VM {
	t.Helper()
	return bootDrive(t, boot.Drive{Path: disk, Boot: true}, firmware)
}

func bootDrive(t *testing.T, drive boot.Drive, firmware boot.Firmware) *boot.VM {
	t.Helper()
	vm, err := boot.Start(t.Context(), boot.Options{
		Firmware: firmware, Net: true, Drives: []boot.Drive{drive},
		Limit: 8 * time.Minute, Idle: 90 * time.Second, Artifacts: artifacts(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	for _, step := range []struct{ wait, answer string }{{`node1 login: `, "root\n"}, {`Password: `, rootPassword + "\n"}} {
		if _, err := vm.ExpectText(t.Context(), regexp.MustCompile(step.wait)); err != nil {
			t.Fatal(err)
		}
		if err := vm.Send(step.answer); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := vm.ExpectPrompt(t.Context(), prompt); err != nil {
		t.Fatal(err)
	}
	t.Logf("logged in after %.1f s with %s", vm.Elapsed().Seconds(), vm.Accelerator())
	run(t, vm, "dmesg -n 1")
	return vm
}

func powerOff(t *testing.T, vm *boot.VM) {
	t.Helper()
	if err := vm.Send("poweroff\n"); err != nil {
		t.Fatal(err)
	}
	if reason, err := vm.Wait(t.Context()); err != nil || reason != "guest-shutdown" {
		t.Fatalf("poweroff ended with %q, %v", reason, err)
	}
}

// A machine is installed from the live system over HTTP, boots from its disk
// with both firmwares, and keeps what is installed on it later.
func TestInstalledDiskBoots(t *testing.T) {
	published := built(t, "ASHLAR_REPO", "repo")
	disk := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 2<<30); err != nil {
		t.Fatal(err)
	}

	vm := bootISO(t, boot.Options{Net: true, Drives: []boot.Drive{{Path: disk}}})
	run(t, vm, "rm /etc/pkgtool/repositories.d/medium.yaml")
	connect(t, vm, serveRepository(t, published))
	run(t, vm, "cat > answers.yaml <<'END'\n"+answers+"END")
	if plan := run(t, vm, "pkgtool installer plan answers.yaml"); !strings.Contains(plan, "write a GPT partition table to /dev/vda") {
		t.Errorf("plan:\n%s", plan)
	}
	t.Log(run(t, vm, "time pkgtool installer run --yes answers.yaml"))
	// What is on the disk now is not overwritten without a word that allows it.
	output, code, err := vm.Run(t.Context(), "pkgtool installer run --yes answers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if code != 2 || !strings.Contains(output, "holds a GPT partition table") {
		t.Errorf("a second installation ended with %d:\n%s", code, output)
	}
	powerOff(t, vm)

	vm = bootInstalled(t, disk, boot.BIOS)
	if got := run(t, vm, "grep ' / ' /proc/mounts"); !strings.Contains(got, " ext4 rw") {
		t.Errorf("root: %q", got)
	}
	if got := run(t, vm, "pkgtool verify >/dev/null; pkgtool list"); !strings.Contains(got, "linux-virt") {
		t.Errorf("installed:\n%s", got)
	}
	connect(t, vm, serveRepository(t, published))
	run(t, vm, "pkgtool install --yes dropbear")
	powerOff(t, vm)

	vm = bootInstalled(t, disk, boot.UEFI)
	if got := run(t, vm, "dropbear -V 2>&1"); !strings.HasPrefix(got, "Dropbear v") {
		t.Errorf("dropbear on the disk: %q", got)
	}
	run(t, vm, "test -d /sys/firmware/efi && pkgtool history")
	rollBackAndForth(t, vm)
	powerOff(t, vm)
}

// moreAnswers are those besides disks and packages that need no systemd.
const moreAnswers = answers + `offline: true
users: [{name: ada, comment: Ada, ssh_keys: ["ssh-ed25519 AAAAC3Nz ada@example"]}]
files: [{path: /etc/motd, content: "hello ada\n"}, {path: /usr/local/bin/hi, content: "#!/bin/sh\ncat /etc/motd\n", mode: "0755"}]
hooks:
  before: ["test ! -e /etc/motd || ! grep -q ada /etc/motd"]
  after: ["echo from the hook; su ada -c 'touch ~/was-here'; test -e /proc/self"]
`

// A machine without a network is installed from what the medium carries, as the
// answers say, after an installation that failed; its system knows nothing of a
// medium later.
func TestInstallWithoutANetwork(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 2<<30); err != nil {
		t.Fatal(err)
	}
	vm := bootISO(t, boot.Options{Limit: 8 * time.Minute, Drives: []boot.Drive{{Path: disk}}})
	run(t, vm, "cat > answers.yaml <<'END'\n"+moreAnswers+"END")
	if got := run(t, vm, "pkgtool installer dry-run answers.yaml 2>/dev/null && head -c 1048576 /dev/vda | tr -d '\\000' | wc -c"); !strings.HasSuffix(strings.TrimSpace(got), "\n0") {
		t.Errorf("a dry run touched the disk, or failed:\n%s", got)
	}
	failing := strings.ReplaceAll(moreAnswers, "echo from the hook;", "echo oh; exit 3;")
	run(t, vm, "cat > failing.yaml <<'END'\n"+failing+"END")
	output, code, err := vm.Run(t.Context(), "pkgtool installer run --yes failing.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if code == 0 || !strings.Contains(output, "hooks.after[0]: exit status 3\noh") || !strings.Contains(output, "/run/ashlar/install.log") {
		t.Errorf("a failing hook ended with %d:\n%s", code, output)
	}
	if got := run(t, vm, "cat /run/ashlar/install.log"); !strings.Contains(got, "failed: run hooks.after[0]: ") || strings.Contains(got, "write the boot loader") {
		t.Errorf("log of the failure:\n%s", got)
	}
	run(t, vm, "sed -i 's/^system/erase: true\\nsystem/' answers.yaml")
	t.Log(run(t, vm, "time pkgtool installer run --yes answers.yaml"))
	powerOff(t, vm)

	vm = bootInstalled(t, disk, boot.UEFI)
	if got := run(t, vm, "ls /etc/pkgtool/repositories.d /etc/pkgtool/trust"); strings.Contains(got, "medium") || !strings.Contains(got, "ashlar") {
		t.Errorf("repositories and trust on the disk: %s", got)
	}
	if got := run(t, vm, "su ada -c 'id -un; ls ~; /usr/local/bin/hi; cat ~/.ssh/authorized_keys'"); got != "ada\nwas-here\nhello ada\nssh-ed25519 AAAAC3Nz ada@example" {
		t.Errorf("what ada finds: %q", got)
	}
	if got := run(t, vm, "cat /var/log/ashlar-install.log"); !strings.Contains(got, " install packages\n") || !strings.Contains(got, "\nfrom the hook") {
		t.Errorf("log:\n%s", got)
	}
	run(t, vm, "pkgtool verify >/dev/null")
	powerOff(t, vm)
}

// rollBackAndForth exchanges the /usr of a running machine twice: the package
// goes and comes back without a download, and what nobody packaged stays.
func rollBackAndForth(t *testing.T, vm *boot.VM) {
	t.Helper()
	run(t, vm, "mkdir -p /usr/local/bin && echo mine >/usr/local/bin/own")
	t.Log(run(t, vm, "time pkgtool rollback --yes 1"))
	if _, code, err := vm.Run(t.Context(), "ls /usr/bin/dropbear"); err != nil || code == 0 {
		t.Errorf("dropbear is there after the rollback (%v)", err)
	}
	run(t, vm, "pkgtool verify --store >/dev/null && grep -q mine /usr/local/bin/own")
	run(t, vm, "pkgtool rollback --yes 2 && pkgtool verify >/dev/null && grep -q mine /usr/local/bin/own")
	if got := run(t, vm, "dropbear -V 2>&1"); !strings.HasPrefix(got, "Dropbear v") {
		t.Errorf("dropbear after the second rollback: %q", got)
	}
}
