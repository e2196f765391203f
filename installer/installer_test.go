package installer

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
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

func TestSelectNeverGuesses(t *testing.T) {
	answers := func(m Match, erase bool) *Answers {
		return &Answers{Erase: erase, Storage: Storage{Disk: m}}
	}
	vda := Disk{Path: "/dev/vda", Size: 8 << 30, Serial: "A1", Model: "QEMU"}
	vdb := Disk{Path: "/dev/vdb", Size: 20 << 30, Serial: "A2", Model: "QEMU", Holds: "an ext file system"}
	iso := Disk{Path: "/dev/sda", Size: 1 << 30, Serial: "USB", Mounted: "/run/medium"}
	all := []Disk{vda, vdb, iso}
	for _, c := range []struct {
		name    string
		answers *Answers
		disks   []Disk
		want    string // path, or a part of the error
	}{
		{"by serial", answers(Match{Serial: "A1"}, false), all, "/dev/vda"},
		{"by size", answers(Match{Size: ">=10G"}, true), all, "/dev/vdb"},
		{"several", answers(Match{Model: "QEMU"}, true), all, "2 disks fulfil storage.disk"},
		{"none says why", answers(Match{Serial: "B*"}, true), all, "/dev/vdb  20.0 GiB  model \"QEMU\"  serial \"A2\": serial does not match B*"},
		{"all conditions count", answers(Match{Path: "/dev/vda", Size: ">=10G"}, true), all, "no disk fulfils"},
		{"data needs erase", answers(Match{Serial: "A2"}, false), all, "holds an ext file system"},
		{"mounted", answers(Match{Path: "/dev/sda"}, true), all, "in use: mounted on /run/medium"},
		{"no disks", answers(Match{Path: "/dev/sda"}, true), nil, "the machine has no disk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Select(c.answers, c.disks)
			if strings.HasPrefix(c.want, "/dev/") && !strings.Contains(c.want, " ") {
				if err != nil || d.Path != c.want {
					t.Fatalf("got %s, %v", d.Path, err)
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
	write(mounts, "/dev/vdab1 /wrong ext4 rw 0 0\n/dev/nvme0n1p2 /home ext4 rw 0 0\n")
	disks, err := Probe(sys, dev, mounts)
	if err != nil {
		t.Fatal(err)
	}
	if len(disks) != 2 || disks[0].Path != "/dev/nvme0n1" || disks[0].Mounted != "/home" || disks[0].Holds != "" ||
		disks[1].Size != 1<<30 || disks[1].Serial != "S1" || disks[1].Mounted != "" || disks[1].Holds != "a GPT partition table" {
		t.Fatalf("%+v", disks)
	}
}

func TestPlanIsPureAndChecksRoom(t *testing.T) {
	a := &Answers{System: Host{Hostname: "node1"}, Packages: []string{"linux-virt"}, Boot: Boot{Cmdline: "quiet"}}
	d := Disk{Path: "/dev/nvme0n1", Size: 2<<30 + 12345, Holds: "a GPT partition table"}
	p, err := MakePlan(a, d)
	if err != nil {
		t.Fatal(err)
	}
	root := p.Partition("root")
	if root.Start != 258*mib || root.Start+root.Size > d.Size-mib || root.Size%mib != 0 {
		t.Errorf("root %+v", root)
	}
	if got := root.Device(d.Path); got != "/dev/nvme0n1p3" {
		t.Errorf("device %s", got)
	}
	text := strings.Join(p.Describe(), "\n")
	if !strings.Contains(text, "ERASE /dev/nvme0n1") {
		t.Errorf("plan does not say what is lost:\n%s", text)
	}
	if _, err := MakePlan(a, Disk{Path: "/dev/vda", Size: 400 * mib}); err == nil || !strings.Contains(err.Error(), "needs at least") {
		t.Errorf("small disk: %v", err)
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
