package boot_test

import (
	"path/filepath"
	"strings"
	"testing"

	"ashlar/tests/boot"
)

// Disks that pkgtool made start with both firmwares and on other controllers than
// virtio, and keep what they start with up to date.
func TestDiskImagesBoot(t *testing.T) {
	for _, c := range []struct {
		format, controller string
		firmware           boot.Firmware
	}{{"raw", "virtio", boot.BIOS}, {"qcow2", "virtio", boot.UEFI}, {"vmdk", "sata", boot.BIOS}} {
		t.Run(c.format, func(t *testing.T) {
			image := filepath.Join(built(t, "ASHLAR_DISKS", "."), "ashlar-disk."+c.format)
			vm := bootDrive(t, boot.Drive{Path: image, Format: c.format, Interface: c.controller, Throwaway: true, Boot: true}, c.firmware)
			if got := run(t, vm, "grep ' / ' /proc/mounts"); !strings.Contains(got, " ext4 rw") {
				t.Errorf("root: %q", got)
			}
			run(t, vm, "pkgtool verify >/dev/null")
			run(t, vm, "pkgtool remove --yes e2fsprogs")
			if got := run(t, vm, "pkgtool loader list"); !strings.Contains(got, "generation 1") || !strings.Contains(got, "generation 2") {
				t.Errorf("a transaction made no entry:\n%s", got)
			}
			powerOff(t, vm)
		})
	}
}
