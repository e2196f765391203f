package server

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// counting is what the guest does while it moves: it says a number five times a
// second, on its console and to whoever listens on port 5000.
const counting = `killall udhcpc; ip addr flush dev eth0; ip addr add 192.0.2.77/24 dev eth0; ip link set eth0 up
i=0; while sleep 0.2; do i=$((i+1)); echo "count $i"; done | tee /dev/ttyS0 | nc -l -p 5000`

// A guest moves between two hosts over their network while it counts aloud. No
// count is lost, neither on its console nor on a connection that stays open.
func TestLiveMigration(t *testing.T) {
	port := freePort(t)
	a := startHost(t, "host1", "-netdev", fmt.Sprintf("socket,id=lan,listen=127.0.0.1:%d", port), "-device", "virtio-net-pci,netdev=lan,romfile=,mac=52:54:00:00:01:01")
	b := startHost(t, "host2", "-netdev", fmt.Sprintf("socket,id=lan,connect=127.0.0.1:%d", port), "-device", "virtio-net-pci,netdev=lan,romfile=,mac=52:54:00:00:01:02")
	a.bridge(1)
	b.bridge(2)
	key := a.run("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 && cat /root/.ssh/id_ed25519.pub")
	b.run("echo '" + key + "' >>/root/.ssh/authorized_keys")
	a.run("ssh-keyscan -t ed25519 192.0.2.2 >>/root/.ssh/known_hosts && ssh -o BatchMode=yes 192.0.2.2 virsh list")

	a.startGuest("bridge", "br0")
	a.guestSays(`# $`)
	a.tellGuest(counting)
	a.guestSays(`^count 1$`)
	a.run(`systemd-run -q --unit listener bash -c 'while read -r said; do echo "$$EPOCHREALTIME $$said"; done </dev/tcp/192.0.2.77/5000 >/run/counts'`)
	a.guestSays(`^count 20$`)

	began := time.Now()
	out, code, err := a.ssh(10*time.Minute, "virsh migrate --live --persistent --undefinesource --p2p --tunnelled guest qemu+ssh://root@192.0.2.2/system 2>&1")
	if err != nil || code != 0 {
		t.Fatalf("virsh migrate ended with %d, %v:\n%s\n%s\n%s", code, err, out, a.run("tail -n 20 /var/log/libvirt/qemu/guest.log; journalctl -u libvirtd -o cat --no-pager | tail -n 20"),
			b.run("tail -n 20 /var/log/libvirt/qemu/guest.log; journalctl -u libvirtd -o cat --no-pager | tail -n 20"))
	}
	took := time.Since(began)
	t.Logf("moved in %.1f s:\n%s", took.Seconds(), b.run("virsh domjobinfo guest --completed"))

	if got := a.run("virsh -q list --all"); got != "" {
		t.Errorf("the guest is still on the host it left: %s", got)
	}
	if got := b.run("virsh -q list --all"); !strings.Contains(got, "running") {
		t.Errorf("the guest does not run where it went: %s", got)
	}
	// It goes on: fifty more counts on the new console.
	first := a.file(guestConsole)
	last := counts(t, "console before", first)
	b.guestSays(fmt.Sprintf(`^count %d$`, last+50))
	all := counts(t, "both consoles", first+b.file(guestConsole))
	connection := a.file("/run/counts")
	heard := counts(t, "connection", connection)
	if heard < last+40 {
		t.Errorf("the connection ended at %d; the guest counted to %d", heard, all)
	}
	t.Logf("%d counts on the first host, %d in all, %d over the connection, the longest pause there %.1f s", last, all, heard, longestPause(connection))
}

// longestPause is the longest time between two lines that begin with the
// seconds at which they came.
func longestPause(said string) (longest float64) {
	last := 0.0
	for _, found := range regexp.MustCompile(`(?m)^(\d+\.\d+) count`).FindAllStringSubmatch(said, -1) {
		now, _ := strconv.ParseFloat(found[1], 64)
		if last > 0 {
			longest = max(longest, now-last)
		}
		last = now
	}
	return longest
}

// counts returns the last number that was counted, and fails unless all before
// it were said in their order, each once.
func counts(t *testing.T, where, said string) int {
	t.Helper()
	last := 0
	for _, found := range regexp.MustCompile(`count (\d+)\n`).FindAllStringSubmatch(said, -1) {
		n, _ := strconv.Atoi(found[1])
		if n != last+1 {
			t.Errorf("%s: %d came after %d", where, n, last)
		}
		last = n
	}
	return last
}

// bridge puts the host's second card into a bridge, on which it has the address
// 192.0.2.N.
func (m *machine) bridge(n int) {
	m.t.Helper()
	m.run(fmt.Sprintf(`cd /etc/systemd/network
printf '[NetDev]\nName=br0\nKind=bridge\n' >10-br0.netdev
printf '[Match]\nMACAddress=52:54:00:00:01:%02d\nType=ether\n[Network]\nBridge=br0\n' >10-lan.network
printf '[Match]\nName=br0\n[Network]\nAddress=192.0.2.%[1]d/24\n' >10-br0.network
chmod 644 10-br0.* 10-lan.network && networkctl reload
for i in $(seq 30); do ip -br addr show br0 2>/dev/null | grep 'UP.*192.0.2' && exit 0; sleep 1; done; exit 1`, n))
}
