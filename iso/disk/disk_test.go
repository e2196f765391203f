package disk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/iso/tree"
	"ashlar/iso/tree/treetest"
)

func noise(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// raw writes a disk of holes, text, noise, and an end that fills no block.
func raw(t testing.TB, size int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "raw"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for at, b := range map[int64][]byte{
		0: []byte("first sector"), 5*blockSize - 100: noise(3*blockSize, 1), 300 * blockSize: bytes.Repeat([]byte("text "), 50000),
		size/2 + 17: noise(1000, 2), size - 12: []byte("end of disk "),
	} {
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func TestReferenceToolReadsFormats(t *testing.T) {
	for _, size := range []int64{40<<20 + 512, 700 << 20, 66 << 30} {
		for kind, write := range map[string]func(f, out *os.File, workers int) error{
			"qcow2": func(f, out *os.File, workers int) error { return WriteQCOW2(t.Context(), out, f, size, workers) },
			"vmdk": func(f, out *os.File, workers int) error {
				return WriteVMDK(t.Context(), out, f, size, "out.vmdk", 0x1234, workers)
			},
		} {
			t.Run(fmt.Sprint(kind, size), func(t *testing.T) {
				f := raw(t, size)
				var first []byte
				for _, workers := range []int{1, 3} {
					p := filepath.Join(t.TempDir(), "out."+kind)
					out, err := os.Create(p)
					if err != nil {
						t.Fatal(err)
					}
					if err := write(f, out, workers); err != nil {
						t.Fatal(err)
					}
					out.Close()
					b, err := os.ReadFile(p)
					if err != nil {
						t.Fatal(err)
					}
					if first != nil && !bytes.Equal(first, b) {
						t.Error("the number of workers changes the bytes")
					}
					first = b
					treetest.Tool(t, "qemu-img", "check", "-f", kind, p)
					treetest.Tool(t, "qemu-img", "compare", "-f", "raw", "-F", kind, f.Name(), p)
					var info struct {
						Size int64 `json:"virtual-size"`
					}
					if err := json.Unmarshal([]byte(treetest.Tool(t, "qemu-img", "info", "--output=json", "-f", kind, p)), &info); err != nil || info.Size < size || info.Size-size >= blockSize {
						t.Errorf("virtual size %d (%v), want %d", info.Size, err, size)
					}
				}
			})
		}
	}
}

func TestLayout(t *testing.T) {
	l := &Layout{RootSize: 100 * mib, Boot: noise(512, 3), Core: noise(60000, 4), Name: "test", Time: 1760000000,
		ESP: []tree.Entry{{Path: "EFI/BOOT/BOOTX64.EFI", Size: 700000, Open: tree.Bytes(noise(700000, 5))}}}
	write := func() string {
		f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(l.Size()); err != nil {
			t.Fatal(err)
		}
		if err := l.Write(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		return f.Name()
	}
	p := write()
	table := strings.ToLower(treetest.Tool(t, "partx", "--raw", "--output", "NR,START,END,NAME,UUID,TYPE", p))
	for _, want := range []string{fmt.Sprint("1 2048 4095 ashlar-bios-boot ", l.UUID("bios-boot"), " 21686148-6449-6e6f-744e-656564454649"),
		fmt.Sprint("2 4096 528383 ashlar-esp ", l.UUID("esp"), " c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
		fmt.Sprint("3 528384 733183 ashlar-root ", l.UUID("root"), " 4f68bce3-e8cd-4db1-96e7-fbcaf984b709")} {
		if !strings.Contains(table, want) {
			t.Errorf("no %s in\n%s", want, table)
		}
	}
	disk, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	esp := filepath.Join(t.TempDir(), "esp")
	if err := os.WriteFile(esp, disk[espAt:espAt+espSize], 0o644); err != nil {
		t.Fatal(err)
	}
	treetest.Tool(t, "fsck.fat", "-n", esp)
	again, err := os.ReadFile(write())
	if err != nil || !bytes.Equal(disk, again) {
		t.Errorf("a second disk differs (%v)", err)
	}
}
