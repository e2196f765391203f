package hybrid

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/iso/tree/treetest"

	diskfs "github.com/diskfs/go-diskfs"
	"github.com/diskfs/go-diskfs/partition/gpt"
)

func frame(t *testing.T, d Disk) string {
	t.Helper()
	head, tail, err := d.Frame()
	if err != nil {
		t.Fatal(err)
	}
	if len(head) != headSize {
		t.Fatalf("head of %d bytes", len(head))
	}
	image := append(head, make([]byte, d.ISOSize-int64(len(head)))...)
	image = append(image, tail...)
	if len(image)%align != 0 {
		t.Errorf("image of %d bytes", len(image))
	}
	p := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(p, image, 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

var example = Disk{ISOSize: 10<<20 + 2048, BootCode: bytes.Repeat([]byte{0x90}, 512), CoreSector: 100,
	ESPSector: 1000, ESPSize: 3 << 20, ID: NewGUID("test")}

func TestOthersReadThePartition(t *testing.T) {
	p := frame(t, example)
	out := treetest.Tool(t, "partx", "--pairs", "--output", "START,SECTORS,TYPE,SCHEME", p)
	want := `START="4000" SECTORS="6144" TYPE="c12a7328-f81f-11d2-ba4b-00a0c93ec93b" SCHEME="gpt"`
	if strings.TrimSpace(out) != want {
		t.Errorf("partx reads %s, want %s", out, want)
	}
	d, err := diskfs.Open(p, diskfs.WithOpenMode(diskfs.ReadOnly))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	table, err := d.GetPartitionTable()
	if err != nil {
		t.Fatal(err)
	}
	g, ok := table.(*gpt.Table)
	if !ok || g.Partitions[0].Type != gpt.EFISystemPartition || g.Partitions[0].Start != 4000 {
		t.Errorf("go-diskfs reads %+v", table)
	}
}

func TestPatches(t *testing.T) {
	head, _, err := example.Frame()
	if err != nil || le.Uint64(head[diskbootAt:]) != 404 {
		t.Errorf("boot record points at %d (%v)", le.Uint64(head[diskbootAt:]), err)
	}
	core := make([]byte, 4096)
	if err := PatchCore(core, 100); err != nil || le.Uint64(core[coreAt:]) != 405 {
		t.Errorf("core points at %d (%v)", le.Uint64(core[coreAt:]), err)
	}
	if err := PatchCore(make([]byte, 2000), 100); err == nil {
		t.Error("a short core is taken")
	}
}

func TestFrameRefuses(t *testing.T) {
	for name, change := range map[string]func(*Disk){
		"boot code":  func(d *Disk) { d.BootCode = nil },
		"odd size":   func(d *Disk) { d.ISOSize++ },
		"outside":    func(d *Disk) { d.ESPSector = 6000 },
		"in the way": func(d *Disk) { d.ESPSector = 3 },
	} {
		d := example
		change(&d)
		if _, _, err := d.Frame(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
