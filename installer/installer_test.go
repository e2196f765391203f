package installer

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const goodAnswers = `version: 1
erase: true
system: {hostname: node1}
packages: [linux-virt, grub, busybox]
storage:
  disk: {path: /dev/vda, size: ">=1G"}
`

func TestReadAnswers(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"good", "", "", ""},
		{"unknown key", "erase:", "earse:", `answers.yaml:2:1: unknown key "earse"; did you mean "erase"?`},
		{"version", "version: 1", "version: 2", "version is 2"},
		{"host name", "node1", "node_1", `"node_1" is not a host name`},
		{"password in clear", "node1", "node1, root_password_hash: secret", "is not a crypt(3) hash"},
		{"no packages", "[linux-virt, grub, busybox]", "[]", "packages is empty"},
		{"no condition", `{path: /dev/vda, size: ">=1G"}`, "{}", "storage.disk has no condition"},
		{"size rule", `">=1G"`, `"1G"`, "is not a size rule"},
		{"path", "/dev/vda", "/dev/../etc/passwd", "is not a device under /dev"},
		{"layout", "storage:", "storage:\n  layout: raid9", `layout "raid9" is not known`},
		{"array of one disk", "storage:", "storage:\n  layout: raid1", "storage.layout raid1 needs two disks"},
		{"two disks without an array", "disk: {path: /dev/vda, size: \">=1G\"}", "disks: [{serial: A}, {serial: B}]", "layout plain uses one disk, and storage.disks lists 2"},
		{"a rule of two", "disk: {path: /dev/vda, size: \">=1G\"}", "layout: raid1\n  disks: [{serial: A}, {}]", "storage.disks[1] has no condition"},
		{"choice among all", `{path: /dev/vda, size: ">=1G"}`, "{choose: largest}", "storage.disk would choose among all disks"},
		{"file system", "storage:", "storage:\n  filesystem: zfs", `storage.filesystem "zfs" is not known`},
		{"swap beside encryption", "storage:", "storage:\n  layout: luks\n  swap: 1G", "write layout: luks+lvm"},
		{"size of swap", "storage:", "storage:\n  swap: 1", `storage.swap: "1" is not a size`},
		{"secret for nothing", "storage:", "storage:\n  luks: {passphrase: x}", "layout plain encrypts nothing"},
		{"two secrets", "storage:", "storage:\n  layout: luks\n  luks: {passphrase: x, passphrase_file: /x}", "give one of them"},
		{"secret of two lines", "storage:", "storage:\n  layout: luks\n  luks: {passphrase: \"x\\ny\"}", "must be one line"},
		{"TPM for nothing", "storage:", "storage:\n  luks: {tpm2: {}}", "layout plain encrypts nothing"},
		{"registers", "storage:", "storage:\n  layout: luks\n  luks: {tpm2: {pcrs: [7, 24]}}", "storage.luks.tpm2.pcrs: PCR 24 is given twice, or is none of 0 to 23"},
		{"TPM and new keys", "storage:", "boot: {secure_boot: true}\nstorage:\n  layout: luks\n  luks: {tpm2: {}}", "boot.secure_boot changes PCR 7"},
		{"boot order", "storage:", "boot: {firmware: last}\nstorage:", `boot.firmware "last" is not known; known: first, add, keep`},
		{"menu injection", "storage:", "boot: {cmdline: \"quiet }\\nmenuentry\"}\nstorage:", "meaning for the boot loader"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "answers.yaml")
			if err := os.WriteFile(file, []byte(strings.Replace(goodAnswers, c.from, c.to, 1)), 0o644); err != nil {
				t.Fatal(err)
			}
			a, err := ReadAnswers(file)
			if c.want == "" {
				if err != nil || a.Boot.Cmdline != DefaultCmdline {
					t.Fatalf("%+v, %v", a, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestProbeReadsSysfs(t *testing.T) {
	sys, dev := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(sys+"/block/vda/size", "2097152\n")
	write(sys+"/block/vda/serial", "S1\n")
	write(sys+"/block/vda/ro", "0\n")
	write(sys+"/block/loop0/size", "100\n")
	write(sys+"/block/sdb/size", "0\n")
	write(sys+"/block/nvme0n1/size", "4096\n")
	write(sys+"/block/nvme0n1/device/model", "Fast  Disk\n")
	write(dev+"/vda", strings.Repeat("\x00", 512)+"EFI PART")
	write(dev+"/nvme0n1", strings.Repeat("\x00", 4096))
	mounts := filepath.Join(t.TempDir(), "mounts")
	write(sys+"/block/nvme0n1/wwid", "eui.0025385b11\n")
	write(sys+"/block/sda/size", "4096\n")
	write(sys+"/block/sda/device/wwid", "naa.5000c500a1b2c3d4\n")
	write(sys+"/block/sda/device/vpd_pg80", "\x00\x80\x00\x08  WD-1234")
	write(sys+"/block/sda/sda2/holders/md127", "")
	write(dev+"/sda", strings.Repeat("\x00", 4096)+"\xfc\x4e\x2b\xa9")
	write(mounts, "/dev/vdab1 /wrong ext4 rw 0 0\n/dev/nvme0n1p2 /home ext4 rw 0 0\n")
	disks, err := Probe(sys, dev, mounts)
	if err != nil {
		t.Fatal(err)
	}
	want := []Disk{
		{Path: "/dev/sda", Size: 2 * mib, Serial: "WD-1234", IDs: []string{"wwn-0x5000c500a1b2c3d4"}, Mounted: "part of md127", Holds: "a part of a RAID array"},
		{Path: "/dev/vda", Size: 1 << 30, Serial: "S1", IDs: []string{"virtio-S1"}, Holds: "a GPT partition table"},
		{Path: "/dev/nvme0n1", Size: 2 * mib, Model: "Fast  Disk", IDs: []string{"nvme-eui.0025385b11"}, Mounted: "mounted on /home"},
	}
	if !reflect.DeepEqual(disks, want) {
		t.Fatalf("got  %+v\nwant %+v", disks, want)
	}
}

func TestBIOSBootCodeNamesTheNextStage(t *testing.T) {
	disk, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	signature := bytes.Repeat([]byte{0xAA}, 72)
	disk.WriteAt(signature, 440)
	boot := bytes.Repeat([]byte{0x11}, sectorSize)
	core := bytes.Repeat([]byte{0x22}, 3*sectorSize+5)
	at := Partition{1, "bios-boot", mib, mib}
	if err := writeBIOSBoot(disk, boot, core, at); err != nil {
		t.Fatal(err)
	}
	record := make([]byte, sectorSize)
	disk.ReadAt(record, 0)
	if binary.LittleEndian.Uint64(record[0x5c:]) != 2048 || record[0x66] != 0x90 || !bytes.Equal(record[440:], signature) {
		t.Errorf("record % x", record)
	}
	stage := make([]byte, sectorSize)
	disk.ReadAt(stage, mib)
	if binary.LittleEndian.Uint64(stage[0x1f4:]) != 2049 || binary.LittleEndian.Uint16(stage[0x1fc:]) != 3 {
		t.Errorf("core list % x", stage[0x1f4:])
	}
	if err := writeBIOSBoot(disk, boot, bytes.Repeat([]byte{1}, 2*mib), at); err == nil {
		t.Error("a core image larger than its partition was written")
	}
}

func TestSchemaIsPublished(t *testing.T) {
	want, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	file := "../docs/formats/answers.schema.json"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s is not what `pkgtool installer schema` prints (%v); run this test with UPDATE_GOLDEN=1", file, err)
	}
}
