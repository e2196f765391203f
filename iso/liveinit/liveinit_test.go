package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ashlar/iso/ext4"
	"ashlar/iso/iso9660"
	"ashlar/iso/tree"
)

func TestParseCmdline(t *testing.T) {
	plain := parameters{label: "ASHLAR", root: "live/root.squashfs", init: "/sbin/init", memory: "50%", seconds: 60}
	with := func(change func(*parameters)) parameters { p := plain; change(&p); return p }
	for line, want := range map[string]parameters{
		"":                                  plain,
		"BOOT_IMAGE=/boot/vmlinuz quiet\n":  plain,
		"ashlar.medium=OTHER ashlar.wait=5": with(func(p *parameters) { p.label, p.seconds = "OTHER", 5 }),
		"ashlar.root=/images/big.squashfs":  with(func(p *parameters) { p.root = "images/big.squashfs" }),
		"ashlar.toram ashlar.memory=2g":     with(func(p *parameters) { p.toRAM, p.memory = true, "2g" }),
		"root=UUID=A1B2-c3 rootwait":        with(func(p *parameters) { p.disk = "a1b2-c3" }),
		"root=/dev/sda1":                    plain,
		"root=UUID=1 rd.md.uuid=A:b rd.luks.uuid=luks-C rd.luks.uuid=d rd.lvm.lv=VG/root": with(func(p *parameters) {
			p.disk, p.arrays, p.encrypted, p.volumes = "1", []string{"a:b"}, []string{"c", "d"}, []string{"VG/root"}
		}),
		"ashlar.toram=0 init=/bin/sh":           with(func(p *parameters) { p.init = "/bin/sh" }),
		`foo="a ashlar.wait=x" ashlar.wait="7"`: with(func(p *parameters) { p.seconds = 7 }),
		"ashlar.wait=3 -- ashlar.wait=9 ashlar": with(func(p *parameters) { p.seconds = 3 }),
	} {
		got, err := parseCmdline(line)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%q: %+v (%v), want %+v", line, got, err, want)
		}
	}
}

func TestUnknownParametersAreListed(t *testing.T) {
	p, err := parseCmdline("ashlar.wiat=5 ashlar.answers=x other")
	if want := []string{"ashlar.wiat", "ashlar.answers"}; err != nil || !reflect.DeepEqual(p.unknown, want) {
		t.Errorf("%v (%v), want %v", p, err, want)
	}
}

func TestParseCmdlineRefuses(t *testing.T) {
	for _, line := range []string{"ashlar.wait=abc", "ashlar.wait=", "ashlar.wait=99999", "ashlar.medium=",
		"ashlar.medium=" + strings.Repeat("A", 33), "ashlar.root=", "ashlar.root=../x", "init=sh", "ashlar.memory=1,mode=0777"} {
		if p, err := parseCmdline(line); err == nil {
			t.Errorf("%q is taken: %+v", line, p)
		}
	}
}

func FuzzParseCmdline(f *testing.F) {
	f.Add(`a="b c" ashlar.medium=X init=/sbin/init --`)
	f.Fuzz(func(t *testing.T, line string) {
		p, err := parseCmdline(line)
		if err == nil && (p.label == "" || p.root == "" || p.init[0] != '/' || p.seconds < 0 || p.seconds > maxWait) {
			t.Errorf("%q gives %+v", line, p)
		}
	})
}

// The writer of the volume name and its reader agree.
func TestVolumeName(t *testing.T) {
	image, err := iso9660.New([]tree.Entry{{Path: "f", Size: 1, Open: tree.Bytes([]byte("f"))}}, iso9660.Options{VolumeID: "MY_SERVER_9"})
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), "iso")
	f, err := os.Create(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Write(t.Context(), f, nil); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if got := readVolumeName(p); got != "MY_SERVER_9" {
		t.Errorf("read %q", got)
	}
	os.WriteFile(p, []byte("short"), 0o644)
	if got := readVolumeName(p); got != "" {
		t.Errorf("a short device gives %q", got)
	}
	if got := readVolumeName(p + "-none"); got != "" {
		t.Errorf("no device gives %q", got)
	}
}

// The writer of ext4 and the reader of its identity agree.
func TestFileSystem(t *testing.T) {
	id := [16]byte{0xa5, 1, 2, 3, 4, 5, 0x46, 7, 0x88, 9, 10, 11, 12, 13, 14, 15}
	system, err := ext4.New(nil, ext4.Options{Size: ext4.MinSize, UUID: id})
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(p)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := system.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if kind, got := readFileSystem(p); kind != "ext4" || got != "a5010203-0405-4607-8809-0a0b0c0d0e0f" {
		t.Errorf("read %s %s", kind, got)
	}
	os.WriteFile(p, make([]byte, 70000), 0o644)
	if kind, got := readFileSystem(p); kind != "" || got != "" {
		t.Errorf("an empty disk gives %s %s", kind, got)
	}
}

func TestCandidate(t *testing.T) {
	for name, want := range map[string]bool{"sr0": true, "sda": true, "sda1": true, "vda": true, "nvme0n1p2": true, "mmcblk0": true,
		"loop0": false, "ram3": false, "zram0": false, "dm-1": false, "fd0": false} {
		if candidate(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	if !rootCandidate("dm-0") || !rootCandidate("md127") || rootCandidate("loop0") {
		t.Error("a root may be on an array or a volume, and not in a file")
	}
}

func TestListDirAndFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "a", "c"} {
		os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644)
	}
	names, err := listDir(dir)
	if err != nil || !reflect.DeepEqual(names, []string{"a", "b", "c"}) {
		t.Errorf("%v (%v)", names, err)
	}
	if err := copyFile(dir+"/copy", dir+"/b"); err != nil {
		t.Error(err)
	}
	if b, err := readFile(dir+"/copy", 100); string(b) != "b" || err != nil {
		t.Errorf("%q (%v)", b, err)
	}
	if err := makeDirs(dir + "/x/y/z"); err != nil {
		t.Error(err)
	}
	if err := makeDirs(dir + "/a/y"); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("folder below a file: %v", err)
	}
	if decimal(1307) != "1307" || decimal(0) != "0" {
		t.Error("decimal")
	}
}

func TestDescribe(t *testing.T) {
	if got := describe(map[string]string{"vdb": "", "sr0": "volume OTHER"}); got != "seen: sr0 (volume OTHER), vdb" {
		t.Error(got)
	}
	if got := describe(nil); !strings.Contains(got, "driver") {
		t.Error(got)
	}
}

func TestDriversAnswerToAliases(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"needs": "libx.ko near\nmega_raid.ko near libx\nnear.ko\nxfs.ko.xz\n",
		"alias": "pci:v00001000d0000005[B-D]sv*bc*sc-i* mega_raid\nfs-xfs xfs\ncrypto-crc32c near\n",
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for alias, want := range map[string]string{
		"pci:v00001000d0000005Dsv1bc2sc-i3": "mega_raid libx near",
		"pci:v00001000d0000005-sv1bc2sc-i3": "", // a range is not text
		"fs-xfs":                            "xfs",
		"crypto_crc32c":                     "near",
		"mega-raid":                         "mega_raid libx near",
		"nothing":                           "",
	} {
		d := readDrivers(dir) // the files themselves are missing: nothing is loaded
		d.loadFor(alias)
		got := ""
		for _, name := range []string{"mega_raid", "libx", "near", "xfs"} {
			if d.done[name] {
				got = strings.TrimSpace(got + " " + name)
			}
		}
		if got != want {
			t.Errorf("%s tries %q, want %q", alias, got, want)
		}
	}
}
