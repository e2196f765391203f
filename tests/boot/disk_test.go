package boot_test

import (
	"path/filepath"
	"strings"
	"testing"

	"ashlar/tests/boot"
)

// Disks that pkgtool made start, on other controllers than virtio too, and keep what
// they start with up to date. TestBadUpdatesComeBack starts the qcow2 with UEFI.
func TestDiskImagesBoot(t *testing.T) {
	for _, c := range []struct{ format, controller string }{{"raw", "virtio"}, {"vmdk", "sata"}} {
		t.Run(c.format, func(t *testing.T) {
			image := filepath.Join(built(t, "ASHLAR_DISKS", "."), "ashlar-disk."+c.format)
			vm := bootDrive(t, boot.Drive{Path: image, Format: c.format, Interface: c.controller, Throwaway: true, Boot: true}, boot.BIOS)
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
