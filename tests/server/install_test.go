package server

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ashlar/repo/serve"
	"ashlar/tests/boot"
)

// The answers of a server on every layer. Its kernel has modules for all of them,
// and udev takes over what the initial RAM file system has brought up.
const answers = `version: 1
system: {hostname: node1}
packages: [linux-server, ashlar-loader, ashlar-firstboot, server-base, openssh-server, pkgtool]
storage:
  layout: raid1+luks+lvm
  swap: 256M
  disks: [{id: virtio-first}, {id: virtio-second}]
  luks: {passphrase: "open sesame"}
`

// A server is installed on an array, encryption and logical volumes by the live
// server, starts from there without a failed unit, and has its swap area.
func TestInstalledServer(t *testing.T) {
	image := built(t, "ASHLAR_SERVER_ISO", "ashlar-server.iso")
	url := serveRepository(t, built(t, "ASHLAR_REPO", "repo"))
	var disks []boot.Drive
	for _, serial := range []string{"first", "second"} {
		disk := filepath.Join(t.TempDir(), serial)
		if err := os.WriteFile(disk, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(disk, 4<<30); err != nil {
			t.Fatal(err)
		}
		disks = append(disks, boot.Drive{Path: disk, Serial: serial})
	}
	live := start(t, boot.Options{Image: image, Firmware: boot.UEFI, Memory: 2560, Net: true, Drives: disks, Limit: 30 * time.Minute})
	live.run(`sed -i 's|http://10\.0\.2\.2:[0-9]*/|` + url + `|' /etc/pkgtool/repositories.d/*.yaml; cat > answers.yaml <<'END'
` + answers + `END
pkgtool installer plan answers.yaml`)
	begun := time.Now()
	out, code, err := live.ssh(25*time.Minute, "pkgtool installer run --yes answers.yaml 2>&1 | tail -20; exit ${PIPESTATUS[0]}")
	if err != nil || code != 0 {
		t.Fatalf("the installation ended with %d, %v:\n%s", code, err, out)
	}
	t.Logf("installed in %.1f minutes", time.Since(begun).Minutes())
	if left := live.run("grep -c active /proc/mdstat || true"); left != "0" {
		t.Errorf("the installer left %s arrays", left)
	}
	live.run("systemctl poweroff --no-block")
	if reason, err := live.Wait(t.Context()); err != nil || reason != "guest-shutdown" {
		t.Fatalf("poweroff ended with %q, %v", reason, err)
	}

	for i := range disks {
		disks[i].Boot = true
	}
	m := begin(t, boot.Options{Firmware: boot.UEFI, Memory: 2048, Net: true, Drives: disks, Limit: 15 * time.Minute})
	if _, err := m.ExpectPrompt(t.Context(), regexp.MustCompile(`Passphrase for /dev/md\S+ \S+ ?$`)); err != nil {
		t.Fatal(err)
	}
	if err := m.Send("open sesame\n"); err != nil {
		t.Fatal(err)
	}
	m.waitForLogin()
	t.Logf("login over SSH after %.1f s", m.Elapsed().Seconds())
	m.run("systemctl is-system-running --wait || true")
	if failed := m.run("systemctl --failed --no-legend --plain"); failed != "" {
		t.Errorf("failed units:\n%s", failed)
	}
	got := m.run("findmnt -no SOURCE,FSTYPE /; cat /proc/swaps /proc/mdstat; lsblk -o NAME,TYPE,FSTYPE")
	for _, want := range []string{"/dev/mapper/ashlar--node1-root ext4", "/dev/dm-", "active raid1", "crypto_LUKS"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in:\n%s", want, got)
		}
	}
}

// serveRepository serves a repository to guests and returns its URL as they see it.
func serveRepository(t *testing.T, dir string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := serve.New(dir, serve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, serve.Listener{Listener: listener}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		server.Close()
	})
	return fmt.Sprintf("http://10.0.2.2:%d/", listener.Addr().(*net.TCPAddr).Port)
}
