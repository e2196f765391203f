package bootorder

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

var (
	firstPartition  = uuid.MustParse("11223344-5566-7788-99aa-bbccddeeff00")
	secondPartition = uuid.MustParse("a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf")
)

func target(title string, partition uuid.UUID) Target {
	return Target{Title: title, Number: 2, Start: 4096, Size: 1 << 20, Partition: partition, Path: "EFI/BOOT/BOOTX64.EFI"}
}

func read(t *testing.T, dir string) *Order {
	t.Helper()
	o, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// The new come first or last, what was overwritten goes, and all others stay.
func TestAdd(t *testing.T) {
	dir := t.TempDir()
	if err := read(t, dir).Add([]Target{target("Ashlar", firstPartition), target("Ashlar, disk 2", secondPartition)}, true, nil); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, variable(2)) // of a program that firmware knows and we do not
	if err := os.WriteFile(broken, []byte("\x07\x00\x00\x00\x01"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := read(t, dir)
	if !slices.Equal(o.Sequence, []uint16{0, 1}) || len(o.Options) != 2 || o.Options[1] != (Option{Number: 1, Title: "Ashlar, disk 2", Partition: secondPartition}) {
		t.Fatalf("read %+v", o)
	}
	third := uuid.New()
	if err := o.Add([]Target{target("anew", third)}, true, []uuid.UUID{firstPartition, uuid.New(), {}}); err != nil {
		t.Fatal(err)
	}
	o = read(t, dir)
	if !slices.Equal(o.Sequence, []uint16{3, 1}) || len(o.Options) != 2 {
		t.Errorf("read %+v", o)
	}
	if _, err := os.Stat(broken); err != nil {
		t.Error(err)
	}
	if err := o.Add([]Target{target("last", uuid.New())}, false, nil); err != nil {
		t.Fatal(err)
	}
	if o = read(t, dir); !slices.Equal(o.Sequence, []uint16{3, 1, 0}) {
		t.Errorf("read %+v", o)
	}
}

// An option of the network is known by its path.
func TestFromNetwork(t *testing.T) {
	dir := t.TempDir()
	order := read(t, dir)
	if order.Current != -1 || order.FromNetwork() {
		t.Errorf("read %+v", order)
	}
	path := append(node(nodeMessaging, 11, make([]byte, 33)), node(nodeMessaging, 12, make([]byte, 23))...)
	path = append(path, node(nodeEnd, nodeWhole, nil)...)
	network := append([]byte{1, 0, 0, 0, byte(len(path)), 0}, append(text("PXEv4"), path...)...)
	for name, content := range map[string][]byte{variable(4): network, variable(5): target("disk", firstPartition).encode(), "BootCurrent-" + vendor: {4, 0}} {
		if err := order.write(name, content); err != nil {
			t.Fatal(err)
		}
	}
	if order = read(t, dir); !order.FromNetwork() || order.Current != 4 {
		t.Errorf("read %+v", order)
	}
	if err := order.write("BootCurrent-"+vendor, []byte{5, 0}); err != nil {
		t.Fatal(err)
	}
	if order = read(t, dir); order.FromNetwork() {
		t.Errorf("read %+v", order)
	}
}

// efibootmgr reads what we write.
func TestEfibootmgrReads(t *testing.T) {
	dir := t.TempDir() + "/"
	if err := read(t, dir).Add([]Target{target("Ashlar", firstPartition)}, true, nil); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("efibootmgr", "-v")
	cmd.Env = append(os.Environ(), "EFIVARFS_PATH="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s; pkgtool/bootstrap.sh test installs it", err, out)
	}
	for _, want := range []string{"BootOrder: 0000", "Boot0000* Ashlar", "HD(2,GPT," + firstPartition.String() + ",0x1000,0x100000)/File(\\EFI\\BOOT\\BOOTX64.EFI)"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(target("Ashlar", firstPartition).encode())
	f.Add([]byte("\x01\x00\x00\x00\x04\x00\x00\x00\x04\x01\x03\x00"))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = decode(1, b) })
}
