package boot_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"ashlar/installer/netboot"
	"ashlar/tests/boot"
)

// pkgtool builds the program that these tests run.
var pkgtool = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ashlar-boot-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "pkgtool")
	out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "ashlar/pkgtool").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build pkgtool: %w\n%s", err, out)
	}
	return path, nil
})

// netbootServer runs `pkgtool netboot serve` on a network.
type netbootServer struct {
	*network
	said *output
}

func serveNetboot(t *testing.T, n *network, args ...string) *netbootServer {
	t.Helper()
	program, err := pkgtool()
	if err != nil {
		t.Fatal(err)
	}
	image := built(t, "ASHLAR_NETBOOT", "ashlar-minimal.netboot.tar")
	s := &netbootServer{n, n.start(n.name, program, append([]string{"netboot", "serve", image, "--interface", "br0"}, args...)...)}
	s.said.waitFor(t, "http://"+n.address)
	return s
}

// status asks the server what its machines do, from its own place.
func (s *netbootServer) status(t *testing.T) map[string]netboot.Status {
	t.Helper()
	program, err := pkgtool()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ip", "netns", "exec", s.name, program, "netboot", "status", "--json", "--server", "http://"+s.address).Output()
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Machines []netboot.Status }
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	all := map[string]netboot.Status{}
	for _, m := range list.Machines {
		all[m.MAC] = m
	}
	return all
}

const bareList = `version: 1
cmdline: ashlar.memory=40%
machines:
  - {name: first, match: {mac: "52:54:00:00:00:01"}, cmdline: test.machine=first}
  - {name: second, match: {serial: "RACK-2"}, cmdline: test.machine=second}
  - {name: third, match: {uuid: "00112233-4455-6677-8899-aabbccddeeff"}, cmdline: test.machine=third}
  - {name: disk, match: {mac: "52:54:00:00:00:09"}, install: never}
`

// Bare machines of every kind of firmware start the image over the network, each
// with the command line of its entry.
func TestNetboot(t *testing.T) {
	n := newNetwork(t)
	list := filepath.Join(t.TempDir(), "machines.yaml")
	if err := os.WriteFile(list, []byte(bareList), 0o600); err != nil {
		t.Fatal(err)
	}
	server := serveNetboot(t, n, "--machines", list)
	starts := map[string]int{}
	for _, c := range []struct {
		name, mac string
		rom       bool
		firmware  boot.Firmware
		extra     []string
		machine   string
		seen      string
	}{
		{"bios-ipxe", "52:54:00:00:00:01", true, boot.BIOS, nil, "first", "ipxe"},
		{"uefi-ipxe", "52:54:00:00:00:02", true, boot.UEFI, []string{"-smbios", "type=1,serial=RACK-2"}, "second", "ipxe"},
		{"uefi-pxe", "52:54:00:00:00:03", false, boot.UEFI, []string{"-uuid", "00112233-4455-6677-8899-aabbccddeeff"}, "third", "uefi-pxe"},
		{"uefi-http", "52:54:00:00:00:01", false, boot.UEFI, []string{"-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n", "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n"}, "first", "uefi-http"},
		{"uefi-pxe-serial", "52:54:00:00:00:04", false, boot.UEFI, []string{"-smbios", "type=1,serial=RACK-2"}, "second", "uefi-pxe"},
	} {
		starts[c.mac]++ // one of the machines starts in two ways
		t.Run(c.name, func(t *testing.T) {
			vm, err := boot.Start(t.Context(), boot.Options{QEMU: n.qemu, Firmware: c.firmware, Limit: 4 * time.Minute, Idle: 2 * time.Minute,
				NetBoot: true, Extra: append(n.card(c.mac, c.rom), c.extra...), Artifacts: artifacts(t)})
			if err != nil {
				t.Fatal(err)
			}
			defer vm.Close()
			if _, err := vm.Expect(t.Context(), regexp.MustCompile(`live system on ttyS0`)); err != nil {
				t.Fatal(err)
			}
			if _, err := vm.ExpectPrompt(t.Context(), prompt); err != nil {
				t.Fatal(err)
			}
			t.Logf("prompt after %.1f s", vm.Elapsed().Seconds())
			run(t, vm, "dmesg -n 1")
			line := run(t, vm, "cat /proc/cmdline")
			for _, want := range []string{"test.machine=" + c.machine, "ashlar.memory=40%", "ashlar.report=http://10.0.2.2/m/" + strings.ReplaceAll(c.mac, ":", "-") + "/report"} {
				if !strings.Contains(line, want) {
					t.Errorf("the command line has no %s:\n%s", want, line)
				}
			}
			got := server.status(t)[c.mac]
			if got.Name != c.machine || got.Phase != netboot.Root || got.Firmware != c.seen || got.Starts != starts[c.mac] {
				t.Errorf("status: %+v", got)
			}
		})
	}
}

// blankDisk makes an empty disk.
func blankDisk(t *testing.T, size int64) string {
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

const rackList = `version: 1
unknown: ignore
answers: answers.yaml
machines:
  - {name: one, match: {mac: "52:54:00:00:01:01"}, hostname: one}
  - {name: two, match: {serial: "RACK-2"}, hostname: two}
`

// Two bare machines are installed at once over the network, without a hand on
// them, and start from their disks afterwards, though the network comes first
// in their firmware's order. A third, which nobody knows, gets nothing.
func TestNetbootInstalls(t *testing.T) {
	published := built(t, "ASHLAR_REPO", "repo")
	n := newNetwork(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"machines.yaml": rackList, "answers.yaml": strings.Replace(answers, "path: /dev/vda, ", "", 1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := serveNetboot(t, n, "--machines", filepath.Join(dir, "machines.yaml"), "--state", filepath.Join(dir, "state.json"))
	program, err := pkgtool()
	if err != nil {
		t.Fatal(err)
	}
	// What the image names as its repository.
	n.start(n.name, program, "repo", "serve", published, "--quiet", "--listen", n.address+":8080").waitFor(t, "8080")

	var machines sync.WaitGroup
	for _, c := range []struct {
		name, mac string
		firmware  boot.Firmware
		rom       bool
		extra     []string
	}{
		{"one", "52:54:00:00:01:01", boot.BIOS, true, nil},
		{"two", "52:54:00:00:01:02", boot.UEFI, false, []string{"-smbios", "type=1,serial=RACK-2"}},
	} {
		o := boot.Options{QEMU: n.qemu, Firmware: c.firmware, Limit: 15 * time.Minute, Idle: 5 * time.Minute, Reboot: true, SMP: 1, NetBoot: true,
			Drives: []boot.Drive{{Path: blankDisk(t, 2<<30), Boot: true}}, Extra: append(n.card(c.mac, c.rom), c.extra...),
			Artifacts: filepath.Join(artifacts(t), c.name)}
		machines.Go(func() {
			vm, err := boot.Start(t.Context(), o)
			if err != nil {
				t.Error(err)
				return
			}
			defer vm.Close()
			if _, err := vm.Expect(t.Context(), regexp.MustCompile(`installed \d+ packages on /dev/vda`)); err != nil {
				t.Errorf("%s: %v", c.name, err)
				return
			}
			t.Logf("%s: installed after %.1f s", c.name, vm.Elapsed().Seconds())
			if _, err := vm.ExpectPrompt(t.Context(), regexp.MustCompile(c.name+` login: $`)); err != nil {
				t.Errorf("%s: %v", c.name, err)
				return
			}
			t.Logf("%s: started from its disk after %.1f s", c.name, vm.Elapsed().Seconds())
		})
	}
	machines.Wait()
	for mac, name := range map[string]string{"52:54:00:00:01:01": "one", "52:54:00:00:01:02": "two"} {
		got := server.status(t)[mac]
		if got.Name != name || got.Phase != netboot.Local || got.Starts != 1 || got.Finished.IsZero() {
			t.Errorf("status: %+v", got)
		}
	}
}
