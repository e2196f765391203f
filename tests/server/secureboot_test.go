package server

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ashlar/tests/boot"
)

// startSecure starts the live server on a machine of its owner: the keys on the
// medium are enrolled and Secure Boot is on.
func startSecure(t *testing.T, iso, variables string) *machine {
	t.Helper()
	m := start(t, boot.Options{Image: iso, Firmware: boot.SecureUEFI, Variables: variables, Reboot: true, Limit: 15 * time.Minute})
	if got := m.run("pkgtool secureboot status"); got != "off, in setup mode: pkgtool secureboot enroll makes the machine yours" {
		t.Fatalf("a machine without keys says: %s", got)
	}
	m.run("pkgtool secureboot enroll")
	m.restart()
	if got := m.run("pkgtool secureboot status"); got != "on: the firmware checked what it started" {
		t.Fatalf("after enrolling it says: %s", got)
	}
	return m
}

// A machine with its owner's keys starts the owner's medium, locked down, and
// nothing that was changed, whatever part it is.
func TestSecureBoot(t *testing.T) {
	iso := built(t, "ASHLAR_SERVER_ISO", "ashlar-server.iso")
	variables := filepath.Join(t.TempDir(), "variables")
	m := startSecure(t, iso, variables)
	m.isWell()
	for script, want := range map[string]string{
		"cat /sys/kernel/security/lockdown":                                             "none [integrity] confidentiality",
		"cat /sys/module/module/parameters/sig_enforce":                                 "Y",
		"modprobe dummy && lsmod | grep -c ^dummy":                                      "1",
		"pkgtool secureboot enroll >/dev/null 2>&1; echo $?":                            "2",
		"head -c 100 /dev/mem >/dev/null 2>&1 && echo open || echo closed":              "closed",
		"dmesg | grep -q 'Tainted\\|module verification failed' && echo bad || echo ok": "ok",
	} {
		if got := m.run(script); got != want {
			t.Errorf("%s prints %q, not %q", script, got, want)
		}
	}
	m.run("systemctl poweroff --no-block")
	if _, err := m.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}

	whole, err := os.ReadFile(iso)
	if err != nil {
		t.Fatal(err)
	}
	kernel := regexp.MustCompile(`Linux version|Decompressing Linux`)
	for path, refused := range map[string]*regexp.Regexp{
		"EFI/BOOT/BOOTX64.EFI": regexp.MustCompile(`Access Denied|Security Violation`), // the firmware, of the boot loader
		"/boot/grub/grub.cfg":  regexp.MustCompile(`bears no signature of this machine's owner`),
		"/boot/vmlinuz":        regexp.MustCompile(`bad signature`),
		"/boot/initrd.img":     regexp.MustCompile(`bad signature`),
	} {
		t.Run("changed "+path, func(t *testing.T) {
			file := content(t, iso, path)
			at := bytes.Index(whole, file)
			if at < 0 {
				t.Fatal("the file does not lie in one piece")
			}
			changed := bytes.Clone(whole)
			changed[at+len(file)/2] ^= 1
			image := filepath.Join(t.TempDir(), "changed.iso")
			if err := os.WriteFile(image, changed, 0o600); err != nil {
				t.Fatal(err)
			}
			vm, err := boot.Start(t.Context(), boot.Options{Image: image, Firmware: boot.SecureUEFI, Variables: variables, Limit: 3 * time.Minute, Idle: -1, Interactive: true})
			if err != nil {
				t.Fatal(err)
			}
			defer vm.Close()
			if _, err := vm.Expect(t.Context(), refused); err != nil {
				t.Fatalf("it is not refused: %v\n%s", err, vm.Console())
			}
			time.Sleep(10 * time.Second)
			if kernel.MatchString(vm.Console()) {
				t.Errorf("a kernel started:\n%s", vm.Console())
			}
		})
	}
}

// A server is installed from the ISO alone with a key of its own, starts locked
// down, loads its modules, and signs what an update brings. The medium of its
// owner starts on it, too.
func TestServerInstallsSecure(t *testing.T) {
	iso := built(t, "ASHLAR_SERVER_ISO", "ashlar-server.iso")
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 8<<30); err != nil {
		t.Fatal(err)
	}
	o := boot.Options{Image: iso, Firmware: boot.SecureUEFI, Variables: filepath.Join(t.TempDir(), "variables"), Memory: 1536,
		Limit: 20 * time.Minute, Drives: []boot.Drive{{Path: disk, Serial: "first"}}}
	m := start(t, o)
	m.run("rm -f $(grep -l http: /etc/pkgtool/repositories.d/*.yaml); cat >/root/answers.yaml <<'END'\n" + strings.Replace(offlineAnswers, "boot: {", "boot: {secure_boot: true, ", 1) + "END")
	if out, code, err := m.ssh(10*time.Minute, "pkgtool installer run --yes /root/answers.yaml"); err != nil || code != 0 {
		t.Fatalf("the installation ended with %d, %v:\n%s", code, err, out)
	}
	off := func() {
		t.Helper()
		m.run("systemctl poweroff --no-block")
		if reason, err := m.Wait(t.Context()); err != nil || reason != "guest-shutdown" {
			t.Fatalf("poweroff ended with %q, %v", reason, err)
		}
	}
	off()

	fromDisk := o
	fromDisk.Image, fromDisk.Drives = "", []boot.Drive{{Path: disk, Serial: "first", Boot: true}}
	m = start(t, fromDisk)
	m.isWell()
	check := func() {
		t.Helper()
		for script, want := range map[string]string{
			"pkgtool secureboot status":                          "on: the firmware checked what it started\nthis system signs what it starts with the key in /etc/ashlar/secureboot",
			"cat /sys/kernel/security/lockdown":                  "none [integrity] confidentiality",
			"modprobe dummy && lsmod | grep -c ^dummy":           "1",
			"ls /etc/ashlar/secureboot/trusted | wc -l":          "2",
			"dmesg | grep -c 'module verification failed'; true": "0",
		} {
			if got := m.run(script); got != want {
				t.Errorf("%s prints %q, not %q", script, got, want)
			}
		}
	}
	check()
	m.run("sed -i 's/$/ loglevel=4/' /etc/kernel/cmdline && pkgtool loader update")
	off()
	m = start(t, fromDisk)
	m.run("grep -qw loglevel=4 /proc/cmdline")
	check()
	off()
	m = start(t, o)
	if got := m.run("pkgtool secureboot status"); got != "on: the firmware checked what it started" {
		t.Errorf("the medium says: %s", got)
	}
}

// content returns a file of the medium, or without a leading slash one of its EFI
// system partition.
func content(t *testing.T, iso, path string) []byte {
	t.Helper()
	extracted := filepath.Join(t.TempDir(), "file")
	run := func(words ...string) {
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", words, err, out)
		}
	}
	onMedium := path
	if path[0] != '/' {
		onMedium = "/boot/grub/esp.img"
	}
	run("xorriso", "-indev", iso, "-osirrox", "on", "-extract", onMedium, extracted)
	if path != onMedium {
		partition := extracted
		extracted += ".inner"
		run("mcopy", "-i", partition, "::"+path, extracted)
	}
	data, err := os.ReadFile(extracted)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
