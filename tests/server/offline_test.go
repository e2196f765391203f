package server

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"ashlar/tests/boot"
)

// offlineAnswers install the server as the ISO has it.
const offlineAnswers = `version: 1
system: {hostname: server1}
packages: ["@server", linux-server, ashlar-loader, ashlar-firstboot]
storage: {layout: lvm, filesystem: xfs, swap: 256M, disk: {serial: first}}
boot: {cmdline: "console=tty0 console=ttyS0,115200 audit=1 audit_backlog_limit=8192 init_on_alloc=1 slab_nomerge page_alloc.shuffle=1 vsyscall=none"}
`

// A server is installed from the ISO alone, and starts from its disk with both
// firmwares, as well as the live one.
func TestServerInstalls(t *testing.T) {
	iso := built(t, "ASHLAR_SERVER_ISO", "ashlar-server.iso")
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 8<<30); err != nil {
		t.Fatal(err)
	}
	m := start(t, boot.Options{Image: iso, Memory: 1536, Limit: 20 * time.Minute, Drives: []boot.Drive{{Path: disk, Serial: "first"}}})
	// no repository but the medium's
	m.run("rm -f $(grep -l http: /etc/pkgtool/repositories.d/*.yaml); cat >/root/answers.yaml <<'END'\n" + offlineAnswers + "END\npkgtool installer plan /root/answers.yaml")
	begin := time.Now()
	out, code, err := m.ssh(10*time.Minute, "pkgtool installer run --yes /root/answers.yaml")
	if err != nil || code != 0 {
		t.Fatalf("the installation ended with %d, %v:\n%s", code, err, out)
	}
	t.Logf("installed in %.0f s", time.Since(begin).Seconds())
	m.run("systemctl poweroff --no-block")
	if reason, err := m.Wait(t.Context()); err != nil || reason != "guest-shutdown" {
		t.Fatalf("poweroff ended with %q, %v", reason, err)
	}
	for _, firmware := range []boot.Firmware{boot.BIOS, boot.UEFI} {
		m := start(t, boot.Options{Firmware: firmware, Drives: []boot.Drive{{Path: disk, Serial: "first", Boot: true}}})
		m.isWell()
		m.run("findmnt -no FSTYPE / | grep -qx xfs && pkgtool verify && pkgtool loader list && test $(swapon --noheadings | wc -l) = 1")
		m.run("systemctl poweroff --no-block")
		if reason, err := m.Wait(t.Context()); err != nil || reason != "guest-shutdown" {
			t.Fatalf("poweroff ended with %q, %v", reason, err)
		}
	}
}
