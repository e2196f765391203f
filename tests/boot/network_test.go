package boot_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// network is a network of its own: one bridge for machines and a server, and a
// DHCP server at another place on it, as in a real one.
type network struct {
	t       *testing.T
	name    string // of the namespace with the bridge
	address string // of the server's place
	qemu    string // a program that runs QEMU in it
	taps    int
}

// newNetwork makes a network; only root can. Everything of it is gone when the
// test ends.
func newNetwork(t *testing.T) *network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make networks")
	}
	n := &network{t: t, name: fmt.Sprintf("ashlar-%d", os.Getpid()), address: "10.0.2.2"}
	other := n.name + "-dhcp"
	for _, space := range []string{n.name, other} {
		command(t, "ip", "netns", "add", space)
		t.Cleanup(func() { exec.Command("ip", "netns", "delete", space).Run() })
	}
	for _, line := range []string{
		"link set lo up", "link add br0 type bridge", "link set br0 up", "addr add " + n.address + "/24 dev br0",
		"link add dhcp0 type veth peer name eth0 netns " + other, "link set dhcp0 master br0 up",
	} {
		n.ip(line)
	}
	for _, line := range []string{"link set lo up", "addr add 10.0.2.3/24 dev eth0", "link set eth0 up"} {
		command(t, "ip", append([]string{"-n", other}, strings.Fields(line)...)...)
	}
	n.start(other, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces", "--user=root", "--pid-file=",
		"--dhcp-leasefile="+filepath.Join(t.TempDir(), "leases"), "--dhcp-range=10.0.2.100,10.0.2.199,255.255.255.0,1h", "--dhcp-no-override", "--log-facility=-")
	n.qemu = filepath.Join(t.TempDir(), "qemu")
	script := fmt.Sprintf("#!/bin/sh\nexec ip netns exec %s qemu-system-x86_64 \"$@\"\n", n.name)
	if err := os.WriteFile(n.qemu, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return n
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// ip runs ip at the bridge's place.
func (n *network) ip(line string) {
	n.t.Helper()
	command(n.t, "ip", append([]string{"-n", n.name}, strings.Fields(line)...)...)
}

// card returns the QEMU arguments of a network card on the bridge that the
// firmware starts from first. rom is QEMU's iPXE for it; else UEFI's own network
// is what there is.
func (n *network) card(mac string, rom bool) []string {
	tap := fmt.Sprintf("tap%d", n.taps)
	n.taps++
	n.ip("tuntap add " + tap + " mode tap")
	n.ip("link set " + tap + " master br0 up")
	device := "virtio-net-pci,netdev=" + tap + ",mac=" + mac + ",bootindex=0"
	if !rom {
		device += ",romfile="
	}
	return []string{"-netdev", "tap,id=" + tap + ",ifname=" + tap + ",script=no,downscript=no", "-device", device}
}

// output collects what a program prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start starts a program at a place of the network; it ends with the test.
func (n *network) start(space, program string, args ...string) *output {
	n.t.Helper()
	o := &output{}
	cmd := exec.Command("ip", append([]string{"netns", "exec", space, program}, args...)...)
	cmd.Stdout, cmd.Stderr = o, o
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	n.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
		if n.t.Failed() {
			n.t.Logf("%s said:\n%s", program, o)
		}
	})
	return o
}

// waitFor waits until a program has printed something.
func (o *output) waitFor(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if strings.Contains(o.String(), text) {
			return
		}
	}
	t.Fatalf("%q was not printed:\n%s", text, o)
}
