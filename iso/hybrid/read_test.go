package hybrid

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

func TestReadESP(t *testing.T) {
	b, err := os.ReadFile(frame(t, example))
	if err != nil {
		t.Fatal(err)
	}
	p, err := ReadESP(bytes.NewReader(b), int64(len(b)))
	if err != nil || p.FirstSector != 4000 || p.Sectors != 6144 {
		t.Errorf("%+v (%v)", p, err)
	}
	for name, at := range map[string]int{"header": 520, "entries": 1030, "backup entries": len(b) - tailSize + 40, "backup header": len(b) - 500} {
		c := bytes.Clone(b)
		c[at] ^= 1
		if _, err := ReadESP(bytes.NewReader(c), int64(len(c))); !errors.Is(err, ErrNoTable) {
			t.Errorf("damaged %s: %v", name, err)
		}
	}
	if _, err := ReadESP(bytes.NewReader(b), int64(len(b)-512)); !errors.Is(err, ErrNoTable) {
		t.Errorf("cut off: %v", err)
	}
}

func TestPatched(t *testing.T) {
	head, _, err := example.Frame()
	if err != nil {
		t.Fatal(err)
	}
	core := make([]byte, 4096)
	if Patched(head, core, 100) {
		t.Error("a core without patch passes")
	}
	if err := PatchCore(core, 100); err != nil || !Patched(head, core, 100) || Patched(head, core, 101) {
		t.Errorf("patched core (%v)", err)
	}
}

func FuzzReadESP(f *testing.F) {
	d := example
	d.ISOSize, d.ESPSector, d.ESPSize = 64<<10, 16, 4096
	head, tail, err := d.Frame()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(head, tail[len(tail)-tailSize:])
	f.Fuzz(func(t *testing.T, head, tail []byte) {
		b := append(bytes.Clone(head), tail...)
		p, err := ReadESP(bytes.NewReader(b), int64(len(b)))
		if err == nil && (p.Sectors == 0 || p.FirstSector+p.Sectors > uint64(len(b)/sectorSize)) {
			t.Errorf("%+v of %d bytes", p, len(b))
		}
	})
}
