package installer

import (
	"slices"
	"strings"
	"testing"
)

func TestSelectNeverGuesses(t *testing.T) {
	answers := func(m Match, erase bool) *Answers {
		return &Answers{Erase: erase, Storage: Storage{Disk: m}}
	}
	vda := Disk{Path: "/dev/vda", Size: 8 << 30, Serial: "A1", Model: "QEMU"}
	vdb := Disk{Path: "/dev/vdb", Size: 20 << 30, Serial: "A2", Model: "QEMU", Holds: "an ext file system"}
	vdc := Disk{Path: "/dev/vdc", Size: 4 << 30, Serial: "A3", IDs: []string{"virtio-A3", "wwn-0x5"}}
	iso := Disk{Path: "/dev/sda", Size: 1 << 30, Serial: "USB", Mounted: "mounted on /run/medium"}
	all := []Disk{vda, vdb, vdc, iso}
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
		{"by id", answers(Match{ID: "wwn-*"}, false), all, "/dev/vdc"},
		{"no such id", answers(Match{ID: "wwn-1"}, false), all, "no name in by-id matches wwn-1"},
		{"largest", answers(Match{Model: "QEMU", Choose: "largest"}, true), all, "/dev/vdb"},
		{"smallest", answers(Match{Size: ">=1G", Choose: "smallest"}, true), all, "/dev/vdc"}, // the medium is smaller, but in use
		{"first empty", answers(Match{Empty: true, Choose: "first"}, false), all, "/dev/vda"},
		{"none empty", answers(Match{Empty: true, Serial: "A2"}, true), all, "is not empty, it holds an ext file system"},
		{"no disks", answers(Match{Path: "/dev/sda"}, true), nil, "the machine has no disk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Select(c.answers, c.disks)
			if strings.HasPrefix(c.want, "/dev/") && !strings.Contains(c.want, " ") {
				if err != nil || len(d) != 1 || d[0].Path != c.want {
					t.Fatalf("got %v, %v", d, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

// Two rules alike take two disks, and a disk is never taken twice.
func TestSelectTakesTwoDisks(t *testing.T) {
	empty := Match{Empty: true, Choose: "first"}
	a := &Answers{Storage: Storage{Layout: "raid1", Disks: []Match{empty, empty}}}
	disks := []Disk{{Path: "/dev/vda", Holds: "an XFS file system"}, {Path: "/dev/vdb"}, {Path: "/dev/vdc"}}
	got, err := Select(a, disks)
	if err != nil || len(got) != 2 || got[0].Path != "/dev/vdb" || got[1].Path != "/dev/vdc" {
		t.Fatalf("%v, %v", got, err)
	}
	if _, err := Select(a, disks[:2]); err == nil || !strings.Contains(err.Error(), "no disk fulfils storage.disks[1]:\n") || !strings.Contains(err.Error(), "/dev/vdb  0 B  model \"\"  serial \"\": is taken already") {
		t.Fatalf("one disk for two rules: %v", err)
	}
	a.Storage.Disks = []Match{{Path: "/dev/vdb"}, {Path: "/dev/vdb"}}
	if _, err := Select(a, disks); err == nil {
		t.Fatal("an array of one disk with itself was chosen")
	}
}

func TestPlanIsPureAndChecksRoom(t *testing.T) {
	a := &Answers{Version: 1, System: Host{Hostname: "node1"}, Packages: []string{"linux-virt"}, Boot: Boot{Cmdline: "quiet"},
		Storage: Storage{Disk: Match{Path: "/dev/nvme0n1"}}}
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
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

func TestPlanOfLayers(t *testing.T) {
	a := &Answers{Version: 1, System: Host{Hostname: "node1.example.org"}, Packages: []string{"linux-virt", "lvm2"},
		Storage: Storage{Disks: []Match{{Serial: "A"}, {Serial: "B"}}, Layout: "raid1+luks+lvm", Filesystem: "xfs", Swap: "1G"}}
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := MakePlan(a, Disk{Path: "/dev/sda", Size: 8 << 30}, Disk{Path: "/dev/sdb", Size: 4 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if root := p.Partition("root"); len(p.Partitions) != 3 || root.Start+root.Size > 4<<30-mib {
		t.Errorf("partitions must be the same on both disks, and fit the smaller: %+v", p.Partitions)
	}
	if want := []string{"linux-virt", "lvm2", "mdadm", "cryptsetup", "xfsprogs"}; !slices.Equal(p.Packages, want) {
		t.Errorf("packages %v, not %v", p.Packages, want)
	}
	want := `make an array (RAID1) of partition 3 of /dev/sda and /dev/sdb
encrypt the array (LUKS2); a passphrase opens it
make the volume group ashlar-node1 on the encrypted volume
make a swap area of 1.0 GiB
make an xfs file system on its volume root
`
	if text := strings.Join(p.Describe(), "\n"); !strings.Contains(text, want) {
		t.Errorf("plan:\n%s\nwithout:\n%s", text, want)
	}
	// A swap area has its own partition only where nothing hides it.
	a.Storage = Storage{Disk: Match{Serial: "A"}, Swap: "512M"}
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	if p, err = MakePlan(a, Disk{Path: "/dev/sda", Size: 4 << 30}); err != nil || p.Partition("swap").Size != 512*mib || p.Partition("root").Number != 4 {
		t.Errorf("%+v, %v", p, err)
	}
}
