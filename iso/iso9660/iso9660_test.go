package iso9660

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/iso/tree"
	"ashlar/iso/tree/treetest"
)

var when = time.Date(2026, 1, 10, 12, 30, 0, 0, time.UTC)

func write(t testing.TB, entries []tree.Entry, opt Options) string {
	t.Helper()
	if opt.VolumeID == "" {
		opt.VolumeID, opt.Time = "ASHLAR", when
	}
	image, err := New(entries, opt)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "image.iso"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := image.Write(context.Background(), f, nil); err != nil {
		t.Fatal(err)
	}
	if st, _ := f.Stat(); st.Size() != image.Size() {
		t.Fatalf("Size says %d, the file has %d", image.Size(), st.Size())
	}
	return f.Name()
}

func TestXorrisoExtractsTheTree(t *testing.T) {
	entries := treetest.Difficult(false, false)
	image := write(t, entries, Options{})
	dir := filepath.Join(t.TempDir(), "out")
	treetest.Tool(t, "xorriso", "-abort_on", "WARNING", "-osirrox", "on:auto_chmod_on", "-hardlinks", "on",
		"-indev", image, "-extract", "/", dir)
	for i := range entries { // xorriso does not restore a link's time
		if entries[i].Kind == tree.Symlink {
			entries[i].ModTime = 0
		}
	}
	treetest.Compare(t, entries, dir)
	if mounted := treetest.Mount(t, "iso9660", image); mounted != "" {
		treetest.Compare(t, entries, mounted)
	}
}

func TestReaderSeesTheTree(t *testing.T) {
	entries := treetest.Difficult(false, false)
	v := open(t, write(t, entries, Options{}))
	if v.ID != "ASHLAR" {
		t.Errorf("volume id %q", v.ID)
	}
	got, err := v.Entries()
	if err != nil {
		t.Fatal(err)
	}
	compareTrees(t, got, entries)
}

func open(t *testing.T, image string) *Volume {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, _ := f.Stat()
	v, err := Open(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func compareTrees(t *testing.T, got, want []tree.Entry) {
	t.Helper()
	g, err := tree.Of(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := tree.Of(want)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Nodes) != len(w.Nodes) {
		t.Fatalf("%d entries, want %d", len(g.Nodes), len(w.Nodes))
	}
	for i, n := range w.Nodes {
		have := g.Nodes[i]
		if n.Link != nil {
			n = n.Link // the reader gives every name its own file
		}
		if have.Kind != n.Kind || have.Perm != n.Perm || have.UID != n.UID || have.GID != n.GID || have.Target != n.Target || have.Size != n.Size {
			t.Errorf("%s: %+v, want %+v", have.Path, have.Entry, n.Entry)
		}
		if n.Kind == tree.File && hash(t, have) != hash(t, n) {
			t.Errorf("%s: content differs", n.Path)
		}
	}
}

func hash(t *testing.T, n *tree.Node) (sum [32]byte) {
	t.Helper()
	r, err := n.Content()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	h.Sum(sum[:0])
	return sum
}

func TestSameBytes(t *testing.T) {
	a, _ := os.ReadFile(write(t, treetest.Difficult(false, false), Options{}))
	b, _ := os.ReadFile(write(t, treetest.Difficult(false, false), Options{}))
	if !bytes.Equal(a, b) {
		t.Error("a second run differs")
	}
}

// pattern is content of any size that costs no memory: each 8 bytes say where
// they are.
type pattern struct{ at, size int64 }

func (p *pattern) Close() error { return nil }
func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), p.size-p.at)]
	for i := range b {
		at := p.at + int64(i)
		b[i] = byte(at>>20) + byte(at)
	}
	p.at += int64(len(b))
	return len(b), nil
}

func TestFileOverFourGiB(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 4.3 GiB")
	}
	const size = 4<<30 + 300<<20 + 17
	entries := []tree.Entry{
		{Path: "big", Size: size, Open: func() (io.ReadCloser, error) { return &pattern{size: size}, nil }},
		{Path: "zz", Size: 5, Open: tree.Bytes([]byte("after"))}}
	image := write(t, entries, Options{})
	listing := treetest.Tool(t, "xorriso", "-indev", image, "-lsl", "/")
	if !strings.Contains(listing, fmt.Sprint(int64(size))) {
		t.Errorf("xorriso does not see %d bytes:\n%s", int64(size), listing)
	}
	dir := t.TempDir()
	treetest.Tool(t, "xorriso", "-osirrox", "on", "-indev", image, "-extract", "/zz", dir+"/zz")
	if b, err := os.ReadFile(dir + "/zz"); string(b) != "after" {
		t.Errorf("the file behind it reads %q (%v)", b, err)
	}
	got, err := open(t, image).Entries()
	if err != nil {
		t.Fatal(err)
	}
	compareTrees(t, got, entries)
}

func TestBootCatalog(t *testing.T) {
	bios, efi := bytes.Repeat([]byte{1, 2, 3, 4}, 1000), make([]byte, 40<<20)
	entries := []tree.Entry{
		{Path: "boot/eltorito.img", Size: int64(len(bios)), Open: tree.Bytes(bios)},
		{Path: "boot/esp.img", Size: int64(len(efi)), Open: tree.Bytes(efi)}}
	var patched uint32
	image := write(t, entries, Options{VolumeID: "BOOT", Time: when, Boot: []Boot{
		{Path: "boot/eltorito.img", LoadSectors: 4, BootInfoTable: true,
			Patch: func(b []byte, sector uint32) error { patched = sector; b[3000] = 0xaa; return nil }},
		{Path: "boot/esp.img", Platform: EFI}}})
	report := treetest.Tool(t, "xorriso", "-indev", image, "-report_el_torito", "plain")
	for _, want := range []string{"BIOS", "UEFI", "/boot/eltorito.img", "/boot/esp.img"} {
		if !strings.Contains(report, want) {
			t.Errorf("xorriso does not report %s:\n%s", want, report)
		}
	}
	plain := write(t, entries, Options{VolumeID: "BOOT", Boot: []Boot{{Path: "boot/eltorito.img", LoadSectors: 4, BootInfoTable: true}}})
	if report := treetest.Tool(t, "xorriso", "-indev", plain, "-report_el_torito", "plain"); !strings.Contains(report, "boot-info-table") {
		t.Errorf("xorriso finds no sound boot info table:\n%s", report)
	}
	v := open(t, image)
	if len(v.Boot) != 2 || v.Boot[0].Sector != patched || v.Boot[0].LoadSectors != 4 || v.Boot[1].Platform != EFI || v.Boot[1].LoadSectors != 0 {
		t.Errorf("catalog %+v, patched sector %d", v.Boot, patched)
	}
	b, err := v.ReadFile("boot/eltorito.img", 1<<20)
	if err != nil || b[3000] != 0xaa || le.Uint32(b[12:]) != patched || le.Uint32(b[16:]) != uint32(len(bios)) {
		t.Errorf("boot image not patched (%v)", err)
	}
}

func TestNewRefuses(t *testing.T) {
	file := tree.Entry{Path: "f", Size: 1, Open: tree.Bytes([]byte("f"))}
	for name, c := range map[string]struct {
		entries []tree.Entry
		opt     Options
		want    string
	}{
		"volume id":   {nil, Options{VolumeID: "lower case"}, "volume id"},
		"device":      {[]tree.Entry{{Path: "d", Kind: tree.FIFO}}, Options{VolumeID: "A"}, "devices"},
		"long target": {[]tree.Entry{{Path: "l", Kind: tree.Symlink, Target: strings.Repeat("x/", 600)}}, Options{VolumeID: "A"}, "link target"},
		"no boot":     {[]tree.Entry{file}, Options{VolumeID: "A", Boot: []Boot{{Path: "g"}}}, "not a file"},
		"small boot":  {[]tree.Entry{file}, Options{VolumeID: "A", Boot: []Boot{{Path: "f", BootInfoTable: true}}}, "64 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(c.entries, c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestWriteFails(t *testing.T) {
	image, err := New(treetest.Difficult(false, false), Options{VolumeID: "A"})
	if err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := image.Write(context.Background(), full, nil); err == nil {
		t.Error("a full disk goes unnoticed")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := image.Write(ctx, io.Discard, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := image.Write(context.Background(), io.Discard, make([]byte, SystemAreaSize+1)); err == nil {
		t.Error("a system area too large is taken")
	}
}

func FuzzOpen(f *testing.F) {
	entries := []tree.Entry{{Path: "a/b", Size: 3, Open: tree.Bytes([]byte("abc"))}, {Path: "l", Kind: tree.Symlink, Target: "../x"},
		{Path: strings.Repeat("n", 250), Size: 0, Open: tree.Bytes(nil)}, {Path: "boot", Size: 64, Open: tree.Bytes(make([]byte, 64))}}
	image, err := New(entries, Options{VolumeID: "FUZZ", Boot: []Boot{{Path: "boot"}, {Path: "boot", Platform: EFI}}})
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := image.Write(context.Background(), &b, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes()[SystemAreaSize:])
	f.Fuzz(func(t *testing.T, data []byte) {
		data = append(make([]byte, SystemAreaSize), data...)
		v, err := Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		entries, err := v.Entries()
		if err != nil {
			return
		}
		for _, e := range entries {
			if e.Open == nil {
				continue
			}
			r, err := e.Open()
			if err != nil {
				t.Fatalf("%s: %v", e.Path, err)
			}
			if n, err := io.Copy(io.Discard, r); n != e.Size || err != nil {
				t.Fatalf("%s: %d bytes of %d: %v", e.Path, n, e.Size, err)
			}
		}
	})
}
