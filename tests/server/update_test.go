package server

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ashlar/tests/boot"
	"ashlar/tests/republish"
)

// updated are the recipes of which the second release brings new packages.
var updated = []string{"linux-server", "glibc", "openssh"}

// A server takes a new kernel, C library and SSH server over HTTP while it works,
// starts with them, and goes back and forth: by command, and from the boot menu.
func TestServerUpdates(t *testing.T) {
	image := built(t, "ASHLAR_SERVER_QCOW2", "ashlar-server.qcow2")
	published := built(t, "ASHLAR_REPO", "repo")
	second := filepath.Join(t.TempDir(), "repo")
	made, err := republish.Repository(t.Context(), filepath.Join(filepath.Dir(published), "packages"), published, second, updated...)
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(t.TempDir(), "disk.qcow2")
	if out, err := exec.Command("cp", "--reflink=auto", image, disk).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v %s", err, out)
	}
	m := start(t, boot.Options{Memory: 1536, Net: true, Reboot: true, Limit: 40 * time.Minute,
		Drives: []boot.Drive{{Path: disk, Format: "qcow2", Boot: true}}})
	m.run("timeout 120 systemctl is-system-running --wait || true; sed -i 's|http://10\\.0\\.2\\.2:[0-9]*/|" + serveRepository(t, second) + "|' /etc/pkgtool/repositories.d/*.yaml")
	first := m.run("pkgtool list")

	m.run("pkgtool refresh")
	before := m.received()
	begun := time.Now()
	out, code, err := m.ssh(10*time.Minute, "pkgtool upgrade --yes --timing 2>&1 | tail -n 25; exit ${PIPESTATUS[0]}")
	if err != nil || code != 7 { // a restart is needed
		t.Fatalf("the upgrade ended with %d, %v:\n%s", code, err, out)
	}
	t.Logf("upgraded in %.1f s, %.1f MiB received:\n%s", time.Since(begun).Seconds(), float64(m.received()-before)/(1<<20), out)
	release2 := m.run("pkgtool list")
	changed := 0
	for _, name := range made {
		if strings.Contains(release2, strings.TrimSuffix(name, "-2")) || strings.Contains(first, packageName(name)+" ") {
			changed++
		}
	}
	t.Logf("%d packages of the second release were published", len(made))
	if changed == 0 || release2 == first {
		t.Fatalf("nothing was upgraded:\n%s", release2)
	}
	m.marked(true)
	if needs, _, _ := m.ssh(time.Minute, "pkgtool needs-restart"); !strings.Contains(needs, "kernel") {
		t.Errorf("needs-restart says nothing of the kernel:\n%s", needs)
	}

	m.startsAnew("with the second release", 2)
	m.marked(true)
	m.isWell()

	t.Log(m.run("time pkgtool rollback --yes 1 || test $? = 7"))
	m.marked(false)
	m.startsAnew("rolled back", 3)
	if got := m.run("pkgtool list"); got != first {
		t.Errorf("packages after the rollback:\n%s", got)
	}
	t.Log(m.run("time pkgtool rollback --yes 2 || test $? = 7"))
	m.startsAnew("rolled forward", 4)
	m.marked(true)
	if got := m.run("pkgtool list"); got != release2 {
		t.Errorf("packages after rolling forward:\n%s", got)
	}

	// Somebody at the console takes the generation before, which has the first release.
	for range 4 { // starts so far
		if _, err := m.Expect(t.Context(), regexp.MustCompile(`Linux version`)); err != nil {
			t.Fatal(err)
		}
	}
	begun = time.Now()
	id := m.run("cat /proc/sys/kernel/random/boot_id; systemctl reboot --no-block")
	if _, err := m.Expect(t.Context(), regexp.MustCompile(`Press enter to boot`)); err != nil {
		t.Fatal(err)
	}
	if err := m.Send("v\r"); err != nil { // one down, as the menu says
		t.Fatal(err)
	}
	m.waitForRestart(id)
	t.Logf("chosen in the boot menu: back after %.1f s", time.Since(begun).Seconds())
	m.run("grep -w ashlar.generation=3 /proc/cmdline && grep '\"mode\":\"chosen\"' /run/ashlar/boot.json")
	if got := m.run("pkgtool list"); got != first {
		t.Errorf("packages after choosing the older generation in the boot menu:\n%s", got)
	}
	m.marked(false)
	m.run("pkgtool verify >/dev/null")
	t.Log(m.run("pkgtool loader list; pkgtool history | tail -n 5"))
}

// packageName is the name in name-version-release.
func packageName(full string) string {
	for range 2 {
		full = full[:strings.LastIndex(full, "-")]
	}
	return full
}

// received are the bytes that the network card has received.
func (m *machine) received() int64 {
	m.t.Helper()
	n, err := strconv.ParseInt(m.run("cat /sys/class/net/e*/statistics/rx_bytes"), 10, 64)
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

// marked checks whether the C library and the SSH server are those of the second
// release.
func (m *machine) marked(want bool) {
	m.t.Helper()
	for _, file := range []string{"/usr/lib/libc.so.6", "/usr/bin/sshd"} {
		got := m.run(fmt.Sprintf("tail -c %d %s | tr -d '\\0'", len(republish.Mark), file)) == strings.TrimSpace(republish.Mark)
		if got != want {
			m.t.Errorf("%s is of the second release: %v; want %v", file, got, want)
		}
	}
}

// startsAnew restarts the machine, which must come back with that generation.
func (m *machine) startsAnew(why string, generation int) {
	m.t.Helper()
	begun := time.Now()
	m.restart()
	m.t.Logf("%s: nobody could log in for %.1f s", why, time.Since(begun).Seconds())
	m.run(fmt.Sprintf("grep -w ashlar.generation=%d /proc/cmdline", generation))
	m.run("timeout 120 systemctl is-system-running --wait || true; pkgtool loader list | grep -w good")
}
