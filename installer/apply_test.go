package installer

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system"
)

// machine is a small system: what Apply needs from packages, and no more.
func machine(t *testing.T) system.Addition {
	t.Helper()
	files := map[string]string{
		"etc/shadow":                      "root:!:19000:0:99999:7:::\nbin:*:19000::::::\n",
		"usr/bin/init":                    "#!/bin/sh\n",
		"usr/lib/modules/6.1.0/vmlinuz":   strings.Repeat("kernel", 1000),
		"usr/lib/ashlar/live-init":        "the first program",
		"usr/lib/ashlar/recover":          "the second",
		"usr/lib/ashlar/boot/boot.img":    strings.Repeat("b", sectorSize),
		"usr/lib/ashlar/boot/core.img":    strings.Repeat("c", 3*sectorSize),
		"usr/lib/ashlar/boot/BOOTX64.EFI": strings.Repeat("e", 5000),
	}
	var inputs []pkgfile.Input
	for path, text := range files {
		inputs = append(inputs, pkgfile.Input{
			File: pkgfile.File{Path: path, Type: pkgfile.TypeFile, Mode: 0o644, Owner: "root", Group: "root", Config: strings.HasPrefix(path, "etc/")},
			Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
		})
	}
	var raw bytes.Buffer
	_, err := pkgfile.Write(context.Background(), &raw, pkgfile.Manifest{
		Name: "machine", Version: "1.0.0", Release: 1, Arch: "x86_64", Summary: "A small system", License: "MIT",
		Provenance: pkgfile.Provenance{Origin: "import"},
	}, inputs, pkgfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := pkgfile.Open(bytes.NewReader(raw.Bytes()), int64(raw.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return system.Addition{Package: p, Requested: true}
}

// loopDisk attaches a sparse file as a disk with partitions.
func loopDisk(t testing.TB, size int64) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--show", "-f", "-P", image).CombinedOutput()
	if err != nil {
		t.Fatalf("losetup: %v\n%s", err, out)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() { exec.Command("losetup", "-d", device).Run() })
	return device
}

// TestApplyOnARealBlockDevice installs on a loop device and lets the kernel,
// fsck and mtools judge the result.
func TestApplyOnARealBlockDevice(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may attach loop devices")
	}
	const size = 768 * mib
	device := loopDisk(t, size)
	settings := t.TempDir()
	os.MkdirAll(filepath.Join(settings, "repositories.d"), 0o755)
	os.WriteFile(filepath.Join(settings, "repositories.d/ashlar.yaml"), []byte("schema: 1\n"), 0o644)
	const hash = "$6$salt$abcdefghijklmnop"
	a := &Answers{
		Version: 1, System: Host{Hostname: "node1", RootPasswordHash: hash}, Packages: []string{"machine"}, Boot: Boot{Firmware: firmwareKeep}, // that of the tester's machine
		Storage: Storage{Disk: Match{Path: device}},
	}
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	plan, err := MakePlan(a, Disk{Path: device, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	options := Options{Packages: []system.Addition{machine(t)}, Settings: settings, Command: []string{"test"},
		Progress: func(s string) { steps = append(steps, s) }}
	if err := Apply(context.Background(), plan, options); err != nil {
		t.Fatalf("after %q: %v", steps, err)
	}

	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	run("e2fsck", "-fn", device+"p3")
	rootUUID := strings.TrimSpace(run("blkid", "-o", "value", "-s", "UUID", device+"p3"))
	run("fsck.fat", "-n", device+"p2")
	if out := run("mdir", "-i", device+"p2", "::/EFI/BOOT"); !strings.Contains(out, "BOOTX64") {
		t.Errorf("no loader on the EFI system partition:\n%s", out)
	}
	if out := run("mtype", "-i", device+"p2", "::/boot/grub/grubenv"); !strings.Contains(out, "menu=a\ngeneration=1\ntries=\n") {
		t.Errorf("what starts by default:\n%s", out)
	}
	if out := run("mtype", "-i", device+"p2", "::/boot/grub/menu-a.cfg"); !strings.Contains(out, "'root=UUID="+rootUUID+"' 'console=tty0'") {
		t.Errorf("menu:\n%s", out)
	}
	err = mounted(device+"p3", ext4, func(dir string) error {
		expect := map[string]string{
			"etc/hostname":                           "node1\n",
			"etc/shadow":                             "root:" + hash + ":19000",
			"etc/pkgtool/repositories.d/ashlar.yaml": "schema: 1\n",
			"etc/kernel/cmdline":                     "root=UUID=" + rootUUID + " console=tty0",
		}
		for path, want := range expect {
			got, err := os.ReadFile(filepath.Join(dir, path))
			if err != nil || !strings.Contains(string(got), want) {
				t.Errorf("%s: %q, %v", path, got, err)
			}
		}
		target, err := system.Open(dir)
		if err != nil {
			return err
		}
		defer target.Close()
		if g := target.Generation(); g.Number != 1 || target.Package("machine") == nil {
			t.Errorf("generation %+v", g)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	// A second run begins anew and works.
	if err := Apply(context.Background(), plan, options); err != nil {
		t.Fatalf("again: %v", err)
	}
	// A disk in use is refused before anything is written.
	err = mounted(device+"p3", ext4, func(string) error { return Apply(context.Background(), plan, options) })
	if err == nil || !strings.Contains(err.Error(), "busy") {
		t.Errorf("a mounted disk: %v", err)
	}
}

// A swap area and another file system, as the kernel's tools see them.
func TestApplyXFSAndSwap(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may attach loop devices")
	}
	const size = 1024 * mib
	device := loopDisk(t, size)
	a := &Answers{Version: 1, System: Host{Hostname: "node1"}, Packages: []string{"machine"}, Boot: Boot{Firmware: firmwareKeep}, // that of the tester's machine
		Storage: Storage{Disk: Match{Path: device}, Filesystem: "xfs", Swap: "64M"}}
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	plan, err := MakePlan(a, Disk{Path: device, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	if err := Apply(context.Background(), plan, Options{Packages: []system.Addition{machine(t)}, Command: []string{"test"}}); err != nil {
		t.Fatal(err)
	}
	identity := func(partition string) string {
		out, err := exec.Command("blkid", "-p", "-o", "export", partition).CombinedOutput()
		if err != nil {
			t.Fatalf("blkid %s: %v\n%s", partition, err, out)
		}
		return string(out)
	}
	swap := identity(device + "p3")
	if !strings.Contains(swap, "TYPE=swap\n") || !strings.Contains(swap, "PART_ENTRY_TYPE=0657fd6d") || !strings.Contains(swap, "LABEL=ashlar-swap\n") {
		t.Errorf("swap area:\n%s", swap)
	}
	if out, err := exec.Command("xfs_repair", "-n", device+"p4").CombinedOutput(); err != nil {
		t.Errorf("xfs_repair: %v\n%s", err, out)
	}
	_, swapID, _ := strings.Cut(swap, "\nUUID=")
	swapID, _, _ = strings.Cut(swapID, "\n")
	err = mounted(device+"p4", xfs, func(dir string) error {
		table, err := os.ReadFile(filepath.Join(dir, "etc/fstab"))
		if string(table) != "UUID="+swapID+" none swap defaults 0 0\n" {
			t.Errorf("fstab: %q", table)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
