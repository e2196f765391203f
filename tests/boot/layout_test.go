package boot_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ashlar/tests/boot"
)

// layout is a machine that is installed and started from its disks.
type layout struct {
	name     string
	storage  string // of the answer file
	disks    int
	firmware []boot.Firmware // of the starts
	root     string          // type of the root's file system
	offline  bool            // installed from the medium, by a machine without a network
	check    []string        // commands that must succeed on the installed machine
}

const diskPassphrase = "open sesame, 1001"

// all is every layer at once: what the fast tests start.
var all = layout{
	name: "raid1+luks+lvm-xfs", disks: 2, root: "xfs", firmware: []boot.Firmware{boot.UEFI},
	storage: "{layout: raid1+luks+lvm, filesystem: xfs, swap: 128M, disks: [{serial: first}, {serial: second}], luks: {passphrase: \"" + diskPassphrase + "\"}}",
	check: []string{
		"grep -q 'md127 : active raid1' /proc/mdstat", "grep -q '\\[UU\\]' /proc/mdstat || grep -q 'resync\\|recovery' /proc/mdstat",
		"ls /dev/mapper | grep -q ^luks-", "lvs --noheadings -o lv_name | grep -q root", "grep -q ^/dev/ /proc/swaps",
	},
}

var both = []boot.Firmware{boot.BIOS, boot.UEFI}

// matrix is what make test-install adds.
var matrix = []layout{
	{name: "plain-ext4", disks: 1, root: "ext4", firmware: both, storage: "{disk: {empty: true, choose: first}, swap: 64M}", check: []string{"grep -q ^/dev/vda3 /proc/swaps"}},
	{name: "plain-btrfs", disks: 1, root: "btrfs", firmware: both, storage: "{disk: {id: virtio-first}, filesystem: btrfs}"},
	{name: "lvm-xfs", disks: 1, root: "xfs", firmware: both, storage: "{layout: lvm, filesystem: xfs, swap: 64M, disk: {serial: first}}",
		check: []string{"grep -q ^/dev/ /proc/swaps", "lvs --noheadings -o vg_name | grep -q ashlar-node1"}},
	{name: "raid1", disks: 2, root: "ext4", firmware: both, storage: "{layout: raid1, disks: [{serial: first}, {serial: second}]}", check: []string{"grep -q 'active raid1' /proc/mdstat"}},
	{name: "luks", disks: 1, root: "ext4", firmware: both, storage: "{layout: luks, disk: {serial: first}, luks: {passphrase_file: /root/secret}}", check: []string{"ls /dev/mapper | grep -q ^luks-"}},
}

// A machine whose root stands on an array, encryption and logical volumes at once
// is installed, starts, and starts with one of its disks gone. Its third disk is
// not touched.
func TestInstalledOnLayers(t *testing.T) { installLayout(t, all) }

// Every layout with both firmwares, over HTTP and from the medium alone: make
// test-install.
func TestInstallMatrix(t *testing.T) {
	if os.Getenv("ASHLAR_TEST_INSTALL") == "" {
		t.Skip("takes many minutes; make test-install runs it")
	}
	for _, l := range matrix {
		for _, firmware := range l.firmware {
			for _, source := range []string{"http", "medium"} {
				t.Run(fmt.Sprintf("%s/%s/%s", l.name, firmware, source), func(t *testing.T) {
					l.firmware, l.offline = []boot.Firmware{firmware}, source == "medium"
					installLayout(t, l)
				})
			}
		}
	}
}

func installLayout(t *testing.T, l layout) {
	begun := time.Now()
	var drives []boot.Drive
	for i, serial := range []string{"first", "second"}[:l.disks] {
		drives = append(drives, boot.Drive{Path: emptyDisk(t, int64(3+i)<<29), Serial: serial})
	}
	bystander := emptyDisk(t, 64<<20)
	if err := os.WriteFile(bystander, []byte(strings.Repeat("precious", 8192)), 0o600); err != nil {
		t.Fatal(err)
	}
	before := sum(t, bystander)

	o := boot.Options{Firmware: l.firmware[0], Net: !l.offline, Memory: 1536, Limit: 15 * time.Minute, Idle: 5 * time.Minute, Drives: append(drives, boot.Drive{Path: bystander, Serial: "precious"})}
	text := strings.Split(answers, "storage:")[0] + "storage: " + l.storage + "\n"
	if l.offline {
		o.Image = built(t, "ASHLAR_INSTALL_ISO", "install/ashlar-install.iso")
		text += "offline: true\n"
	}
	vm := bootISO(t, o)
	if !l.offline {
		connect(t, vm, serveRepository(t, built(t, "ASHLAR_REPO", "repo")))
	}
	run(t, vm, "printf '%s\\n' '"+diskPassphrase+"' >/root/secret && cat > answers.yaml <<'END'\n"+text+"END")
	t.Log(run(t, vm, "time pkgtool installer run --yes answers.yaml"))
	if got := run(t, vm, "cat /proc/mdstat; ls /dev/mapper"); strings.Contains(got, "active") || strings.Contains(got, "luks-") {
		t.Errorf("the installer left something of the disks in use:\n%s", got)
	}
	powerOff(t, vm)
	if sum(t, bystander) != before {
		t.Error("a disk that the answers do not mean was written")
	}
	t.Logf("installed after %.1f minutes", time.Since(begun).Minutes())

	vm = startLayout(t, l, drives, false)
	if got := run(t, vm, "grep ' / ' /proc/mounts"); !strings.Contains(got, " / "+l.root+" rw") {
		t.Errorf("root: %q", got)
	}
	for _, command := range l.check {
		run(t, vm, command)
	}
	run(t, vm, "pkgtool verify && pkgtool loader update && touch /kept && sync")
	powerOff(t, vm)
	if l.disks == 2 { // the second disk alone brings the machine up
		vm = startLayout(t, l, drives[1:], true)
		run(t, vm, "test -e /kept && grep -q '\\[_U\\]\\|\\[U_\\]' /proc/mdstat")
		run(t, vm, "pkgtool loader update") // the boot menu on the disk that is there
		powerOff(t, vm)
	}
	t.Logf("%s: %.1f minutes", strings.TrimPrefix(t.Name(), "TestInstallMatrix/"), time.Since(begun).Minutes())
}

// startLayout starts a machine from its disks and logs in.
func startLayout(t *testing.T, l layout, disks []boot.Drive, degraded bool) *boot.VM {
	t.Helper()
	drives := append([]boot.Drive{}, disks...)
	for i := range drives {
		drives[i].Boot = true
	}
	vm, err := boot.Start(t.Context(), boot.Options{
		Firmware: l.firmware[0], Net: true, Memory: 1536, Drives: drives,
		Limit: 8 * time.Minute, Idle: 4 * time.Minute, Artifacts: artifacts(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	if degraded {
		if _, err := vm.Expect(t.Context(), regexp.MustCompile(`1 of 2 disks are there`)); err != nil {
			t.Fatal(err)
		}
	}
	var steps [][2]string
	if strings.Contains(l.storage, "luks") {
		// A wrong passphrase is asked for again.
		steps = append(steps, [2]string{`Passphrase for /dev/\S+ \(luks-[0-9a-f-]+\): ?$`, "wrong\n"}, [2]string{`Passphrase for \S+ \S+ ?$`, diskPassphrase + "\n"})
	}
	steps = append(steps, [2]string{`node1 login: `, "root\n"}, [2]string{`Password: $`, rootPassword + "\n"})
	for i, step := range steps {
		if i == 1 && strings.HasPrefix(step[0], "Passphrase") {
			if _, err := vm.Expect(t.Context(), regexp.MustCompile(`No key available with this passphrase`)); err != nil {
				t.Fatal(err)
			}
		}
		expect := vm.ExpectPrompt
		if strings.HasSuffix(step[0], "login: ") {
			expect = vm.ExpectText // the kernel may say something of the network there
		}
		if _, err := expect(t.Context(), regexp.MustCompile(step[0])); err != nil {
			t.Fatal(err)
		}
		if err := vm.Send(step[1]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := vm.ExpectPrompt(t.Context(), prompt); err != nil {
		t.Fatal(err)
	}
	t.Logf("logged in after %.1f s", vm.Elapsed().Seconds())
	run(t, vm, "dmesg -n 1")
	return vm
}

// emptyDisk makes a blank disk.
func emptyDisk(t *testing.T, size int64) string {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, size); err != nil {
		t.Fatal(err)
	}
	return disk
}

func sum(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(content))
}
