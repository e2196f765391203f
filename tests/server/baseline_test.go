package server

import (
	"context"
	_ "embed"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

//go:embed testdata/baseline.sh
var baseline string

//go:embed testdata/setuid.txt
var setuid string

// excusedChecks fail for the reason given. A check that passes must not be here.
var excusedChecks = map[string]string{
	"H47": "AppArmor is in the kernel and on, but its parser's source is not among Debian's files that recipes can name, so there are no profiles; services are confined by systemd",
}

// The server on a machine of its owner passes the baseline: checks H01 to H48,
// those that are only seen from outside included.
func TestBaseline(t *testing.T) {
	iso := built(t, "ASHLAR_SERVER_ISO", "ashlar-server.iso")
	m := startSecure(t, iso, filepath.Join(t.TempDir(), "variables"))
	m.isWell()
	results := map[string]string{}
	out := m.run("cat >/run/setuid-allowed <<'EOF'\n" + setuid + "EOF\n" + baseline)
	for _, line := range regexp.MustCompile(`(?m)^(H\d\d) (ok|FAIL.*)$`).FindAllStringSubmatch(out, -1) {
		results[line[1]] = line[2]
	}
	m.run("rm /run/setuid-allowed")
	m.outside(results)
	passed := 0
	for i := 1; i <= 48; i++ {
		id := "H" + string(rune('0'+i/10)) + string(rune('0'+i%10))
		result := results[id]
		reason, excuse := excusedChecks[id]
		switch {
		case result == "ok" && excuse:
			t.Errorf("%s passes; take it off the list of excused checks", id)
			fallthrough
		case result == "ok":
			passed++
		case excuse:
			t.Logf("%s %s (excused: %s)", id, result, reason)
		default:
			t.Errorf("%s %q", id, result)
		}
	}
	t.Logf("%d of 48 checks pass", passed)
	if len(results) != 48 {
		t.Errorf("%d of 48 checks answered:\n%s", len(results), out)
	}
}

// outside does what an attacker does: tries passwords, and ports.
func (m *machine) outside(results map[string]string) {
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	// No way in but a key, whatever is offered.
	out, _ := exec.CommandContext(ctx, "ssh", "-p", portText(m.port), "-o", "BatchMode=yes", "-o", "PreferredAuthentications=none", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "root@127.0.0.1", "true").CombinedOutput()
	if !strings.Contains(string(out), "Permission denied (publickey).") {
		results["H01"] = "FAIL SSH offers more than keys: " + string(out)
	}
	if strings.HasPrefix(results["H42"], "ok") {
		for _, port := range m.open() {
			results["H42"] = "FAIL port " + port + " answers from outside"
		}
	}
}

// open returns the TCP ports of the server that answer from outside besides
// SSH's, tried from its own network card's address by a neighbour: a network
// namespace of the guest with a cable to it.
func (m *machine) open() []string {
	out := m.run(`
ip netns add neighbour && ip link add veth0 type veth peer name veth1 netns neighbour
ip addr add 192.0.2.1/24 dev veth0 && ip link set veth0 up
ip -n neighbour addr add 192.0.2.2/24 dev veth1 && ip -n neighbour link set veth1 up && ip -n neighbour link set lo up
ip netns exec neighbour bash -c 'for p in 22 25 53 80 111 323 443 631 5355 8080 9090 9100; do
	timeout 2 bash -c "</dev/tcp/192.0.2.1/$p" 2>/dev/null && echo $p; done; true'
ip netns del neighbour`)
	var open []string
	for _, port := range strings.Fields(out) {
		if port != "22" {
			open = append(open, port)
		}
	}
	if !strings.Contains(" "+out+" ", "22") {
		m.t.Errorf("the neighbour does not even reach SSH: %q", out)
	}
	return open
}

func portText(port int) string {
	_, text, _ := net.SplitHostPort((&net.TCPAddr{Port: port}).String())
	return text
}

// qemuDevices is QEMU's list of what it emulates.
func qemuDevices(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("qemu-system-x86_64", "-device", "help").CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-system-x86_64: %v %s", err, out)
	}
	return string(out)
}
