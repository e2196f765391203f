package server

import (
	"strings"
	"testing"

	"ashlar/tests/boot"
)

// The disk for clouds starts from controllers whose drivers are modules, takes its
// instance's data, and keeps what it starts with up to date.
func TestServerFromDisk(t *testing.T) {
	image := built(t, "ASHLAR_SERVER_QCOW2", "ashlar-server.qcow2")
	for _, c := range []struct {
		controller string
		firmware   boot.Firmware
	}{{"nvme", boot.UEFI}, {"megasas", boot.BIOS}} {
		t.Run(c.controller, func(t *testing.T) {
			m := start(t, boot.Options{Firmware: c.firmware, Drives: []boot.Drive{
				{Path: image, Format: "qcow2", Interface: c.controller, Throwaway: true, Boot: true}}})
			if got := m.run("systemctl is-system-running --wait; findmnt -rno SOURCE,FSTYPE,OPTIONS /"); !strings.Contains(got, "running") || !strings.Contains(got, " ext4 rw") {
				t.Errorf("%s\n%s", got, m.run("systemctl list-units --failed"))
			}
			if got := m.run("pkgtool loader list"); !strings.Contains(got, "generation 1") {
				t.Errorf("boot menu:\n%s", got)
			}
			m.run("pkgtool remove --yes tmux && pkgtool loader list | grep 'generation 2'")
		})
	}
}
