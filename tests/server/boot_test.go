package server

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ashlar/tests/boot"
)

// The live server starts with every firmware: all units are well, nothing in
// the journal is an error, and it needs little memory.
func TestServerBoots(t *testing.T) {
	iso := built(t, "ASHLAR_SERVER_ISO", "ashlar-server.iso")
	for _, firmware := range []boot.Firmware{boot.BIOS, boot.UEFI} {
		t.Run(string(firmware), func(t *testing.T) {
			m := start(t, boot.Options{Image: iso, Firmware: firmware})
			m.isWell()
			if got := m.run("test -d /sys/firmware/efi && echo uefi || echo bios"); got != string(firmware) {
				t.Errorf("booted by %s", got)
			}
			if got := m.run("hostname; getent ahostsv4 localhost | head -n 1; ip -4 route show default"); !strings.Contains(got, "server1") || !strings.Contains(got, "10.0.2.2") {
				t.Errorf("host name and network: %s", got)
			}
			m.run("systemctl poweroff --no-block")
			if reason, err := m.Wait(t.Context()); err != nil || reason != "guest-shutdown" {
				t.Errorf("poweroff ended with %q, %v", reason, err)
			}
		})
	}
}

// excused are errors of the journal that a server without fault has.
var excused = []*regexp.Regexp{
	// a host whose processor, or whose emulator, has no virtualization of this kind
	regexp.MustCompile(`kvm: no hardware support|kvm_intel: VMX not supported|kvm_amd: SVM not supported`),
	// the network of the emulator has nobody who answers for its names
	regexp.MustCompile(`^EDAC .* not found`),
}

// isWell checks what every server shows once it has started.
func (m *machine) isWell() {
	m.t.Helper()
	// networkd waits at most half a minute for a cable
	state := m.run("timeout 120 systemctl is-system-running --wait || true")
	if state != "running" {
		m.t.Errorf("the system is %s:\n%s", state, m.run("systemctl list-units --failed --no-legend; systemctl list-jobs --no-legend"))
	}
	if got := m.run("systemctl is-active multi-user.target sshd auditd chronyd firewall systemd-networkd systemd-resolved | sort -u"); got != "active" {
		m.t.Errorf("services: %s", got)
	}
	for _, line := range strings.Split(m.run("journalctl -b -p 3 -o cat --no-pager"), "\n") {
		excuse := line == "" || line == "-- No entries --"
		for _, pattern := range excused {
			excuse = excuse || pattern.MatchString(line)
		}
		if !excuse {
			m.t.Errorf("an error in the journal: %s", line)
		}
	}
	// What cannot be given back: MemTotal-MemAvailable is what free calls used.
	used := m.run("sync; sleep 5; awk '/^MemTotal/ {t=$2} /^MemAvailable/ {a=$2} END {print int((t-a)/1024)}' /proc/meminfo")
	mib, err := strconv.Atoi(used)
	if err != nil || mib > 250 {
		m.t.Errorf("%s MiB of memory are in use; it may be 250", used)
	}
	m.t.Logf("%d MiB in use; %s", mib, strings.ReplaceAll(m.run("systemd-analyze | head -n 1"), "\n", " "))
}

// The server finds its medium and its disks on every controller, and the
// network through every card that QEMU emulates.
func TestDevices(t *testing.T) {
	iso := built(t, "ASHLAR_SERVER_ISO", "ashlar-server.iso")
	cards := []string{"virtio-net-pci", "e1000e", "igb", "vmxnet3", "e1000", "rtl8139", "virtio-net-pci", "e1000e"}
	for i, controller := range []string{"virtio", "nvme", "sata", "scsi", "megasas", "pvscsi", "mptsas", "usb"} {
		t.Run(controller, func(t *testing.T) {
			data := t.TempDir() + "/data"
			if err := os.WriteFile(data, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(data, 64<<20); err != nil {
				t.Fatal(err)
			}
			card := cards[i]
			if !haveDevice(t, card) {
				t.Logf("this QEMU has no %s; with e1000e instead", card)
				card = "e1000e"
			}
			// The ISO is also an image for disks: the firmware, the boot loader and
			// the kernel read it from this controller.
			m := start(t, boot.Options{NetCard: card, Drives: []boot.Drive{
				{Path: iso, Interface: controller, Throwaway: true, Boot: true},
				{Path: data, Interface: controller},
			}})
			driver := m.run(`for d in /sys/class/net/*/device/driver; do basename $(readlink $d); done`)
			disks := m.run("lsblk -bdno NAME,SIZE,TRAN,HCTL")
			t.Logf("network by %s; disks: %s", strings.ReplaceAll(driver, "\n", " "), strings.ReplaceAll(disks, "\n", "; "))
			if want := map[string]string{"virtio-net-pci": "virtio_net", "rtl8139": "8139cp"}[card]; driver != card && driver != want {
				t.Errorf("the card %s has the driver %s", card, driver)
			}
			name := regexp.MustCompile(fmt.Sprintf(`(?m)^(\S+) +%d\b`, 64<<20)).FindStringSubmatch(disks)
			if name == nil {
				t.Fatalf("the second disk is not there:\n%s", disks)
			}
			m.run("mkfs.ext4 -q /dev/" + name[1] + " && mount /dev/" + name[1] + " /mnt && cp /usr/bin/bash /mnt && sync && cmp /usr/bin/bash /mnt/bash && umount /mnt")
		})
	}
}

func haveDevice(t *testing.T, name string) bool {
	t.Helper()
	return strings.Contains(qemuDevices(t), `"`+name+`"`)
}

// A second machine from the same image has other keys and another identity.
func TestMachinesDiffer(t *testing.T) {
	iso := built(t, "ASHLAR_SERVER_ISO", "ashlar-server.iso")
	seen := map[string]bool{}
	for range 2 {
		m := start(t, boot.Options{Image: iso, Limit: 6 * time.Minute})
		for _, line := range strings.Split(m.run("cat /etc/machine-id; cat /etc/ssh/ssh_host_*_key.pub | cut -d' ' -f2"), "\n") {
			if seen[line] {
				t.Errorf("two machines have %s", line)
			}
			seen[line] = true
		}
		m.Close()
	}
	if len(seen) < 4 {
		t.Errorf("only %d identities", len(seen))
	}
}
