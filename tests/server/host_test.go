package server

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ashlar/iso/tree"
	"ashlar/tests/boot"
)

// guest is a machine inside the host: the minimal live system from its ISO, a
// card in the network named %s, its console in a log.
const guest = `
<domain type='kvm'>
  <name>guest</name>
  <memory unit='MiB'>256</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='cdrom'>
      <source file='/var/lib/libvirt/images/minimal.iso'/><target dev='sda' bus='sata'/><readonly/><boot order='1'/>
    </disk>
    <interface type='%s'><source %[1]s='%[2]s'/><mac address='52:54:00:00:00:77'/><model type='virtio'/><rom enabled='no'/></interface>
    <serial type='pty'><log file='` + guestConsole + `'/></serial>
  </devices>
</domain>`

const guestConsole = "/var/log/libvirt/qemu/guest.console"

// startHost starts the image host with a processor that has SVM, and puts the
// minimal ISO and a container image there.
func startHost(t *testing.T, name string, extra ...string) *machine {
	t.Helper()
	disk := built(t, "ASHLAR_HOST_DISK", "ashlar-host.raw")
	medium := filepath.Join(t.TempDir(), "images.iso")
	writeMedium(t, medium, "IMAGES", []tree.Entry{
		fileEntry(t, "minimal.iso", built(t, "ASHLAR_ISO", "ashlar-minimal.iso")),
		fileEntry(t, "container.tar", built(t, "ASHLAR_CONTAINER", "ashlar-container.oci.tar")),
	})
	m := startAs(t, name, boot.Options{
		Memory: 1280, Limit: 40 * time.Minute, Extra: append([]string{"-device", "amd-iommu"}, extra...),
		Drives: []boot.Drive{{Path: disk, Boot: true, Throwaway: true}, {Path: medium, Interface: "cdrom"}},
	})
	m.run("mkdir -p /mnt && mount -r -L IMAGES /mnt && cp /mnt/minimal.iso /var/lib/libvirt/images/ && timeout 120 systemctl is-system-running --wait || true")
	return m
}

// A host starts a guest on /dev/kvm that boots the minimal system to its
// prompt, with an address of the default network, and is told when it ends.
func TestGuest(t *testing.T) {
	m := startHost(t, "host1")
	if failed := m.run("systemctl list-units --failed --no-legend"); failed != "" {
		t.Errorf("units that failed:\n%s", failed)
	}
	for _, line := range strings.Split(m.run("virt-host-validate qemu || true"), "\n") {
		// QEMU cannot emulate memory that is encrypted against the host.
		if !strings.Contains(line, "PASS") && !strings.Contains(line, "secure guest support") {
			t.Errorf("virt-host-validate: %s", line)
		}
	}
	began := time.Now()
	m.startGuest("network", "default")
	m.guestSays(`# $`)
	t.Logf("the guest's prompt came %.0f s after virsh start", time.Since(began).Seconds())
	if got := m.run("virsh qemu-monitor-command guest --hmp info kvm"); !strings.Contains(got, "kvm support: enabled") {
		t.Errorf("the guest does not run on /dev/kvm: %s", got)
	}
	m.tellGuest("echo kernel-$(uname -r)-up; until ping -c 1 -w 5 192.168.122.1; do sleep 1; done; echo gateway-$?-reached")
	t.Log(m.guestSays(`kernel-(\d\S+)-up`))
	m.guestSays(`gateway-0-reached`)
	if got := m.run("virsh net-dhcp-leases default"); !strings.Contains(got, "52:54:00:00:00:77") {
		t.Errorf("the guest has no address of libvirt's: %s", got)
	}
	// The world behind the host; also after somebody touched the firewall.
	m.run("systemctl reload firewall; for i in $(seq 60); do iptables -S | grep -q 'LIBVIRT_FWO -s' && exit 0; sleep 1; done; exit 1")
	m.tellGuest("ping -c 1 -w 20 10.0.2.2; echo world-$?-reached")
	m.guestSays(`world-0-reached`)
	m.tellGuest("poweroff")
	m.run("for i in $(seq 60); do virsh -q domstate guest | grep -q 'shut off' && exit 0; sleep 2; done; exit 1")
	if used := m.run("awk '/^MemTotal/ {t=$2} /^MemAvailable/ {a=$2} END {print int((t-a)/1024)}' /proc/meminfo"); used != "" {
		t.Logf("%s MiB in use by the host without guests", used)
	}
}

// A container runs from an image that pkgtool made, with a network.
func TestContainer(t *testing.T) {
	m := startHost(t, "host1")
	m.run("systemctl start containerd && nerdctl load -i /mnt/container.tar")
	images := m.run("nerdctl images --format '{{.Repository}}:{{.Tag}}'")
	image := strings.Fields(images)[0]
	t.Log(images)
	if got := m.run("nerdctl run --rm --network none " + image + " sh -c '. /etc/os-release; echo $ID $$ $(id -u)'"); !strings.HasSuffix(got, "ashlar 1 0") {
		t.Errorf("in the container: %q", got)
	}
	m.run("nerdctl run -d --name web -p 8080:80 " + image + " nc -lk -p 80 -e echo hello from a container")
	if got := m.run("nerdctl exec web ping -c 1 -w 20 10.0.2.2"); !strings.Contains(got, " 0% packet loss") {
		t.Errorf("the container's way out: %s", got)
	}
	if got := m.run("timeout 20 bash -c 'cat </dev/tcp/127.0.0.1/8080'"); got != "hello from a container" {
		t.Errorf("its published port says %q", got)
	}
	m.run("nerdctl rm -f web")
	if got := m.run("nerdctl ps -aq; ls /run/containerd/io.containerd.runtime.v2.task/default"); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

// startGuest defines and starts the guest with a card in a network or bridge.
func (m *machine) startGuest(kind, name string) {
	m.t.Helper()
	m.run("cat >/run/guest.xml <<'EOF'" + fmt.Sprintf(guest, kind, name) + "\nEOF\nvirsh define /run/guest.xml && virsh start guest")
}

// tellGuest types a line at the guest's console.
func (m *machine) tellGuest(line string) {
	m.t.Helper()
	// QEMU looks every second whether somebody has opened the console.
	m.run("(cat; sleep 3) >\"$(virsh ttyconsole guest | head -n 1)\" <<'EOF'\n" + line + "\nEOF")
}

// guestSays waits for a pattern on the guest's console and returns its first
// group, or all of it.
func (m *machine) guestSays(pattern string) string {
	m.t.Helper()
	compiled := regexp.MustCompile("(?m)" + pattern)
	for deadline := time.Now().Add(12 * time.Minute); ; {
		console := m.file(guestConsole)
		if found := compiled.FindStringSubmatch(console); found != nil {
			return found[len(found)-1]
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("the guest never said %s:\n%s\n%s", pattern, console, m.run("virsh list --all; tail -n 30 /var/log/libvirt/qemu/guest.log; dmesg | tail -n 20"))
		}
		time.Sleep(2 * time.Second)
	}
}

// file returns a text of the machine, to the byte but for carriage returns.
func (m *machine) file(path string) string {
	m.t.Helper()
	text := m.run("cat '" + path + "'; printf .")
	return strings.ReplaceAll(text[:len(text)-1], "\r", "")
}

// fileEntry is a file of this machine as one of a medium.
func fileEntry(t *testing.T, name, path string) tree.Entry {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return tree.Entry{Path: name, Perm: 0o644, Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(path) }}
}
