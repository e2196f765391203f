package fat

import (
	"bytes"
	"context"
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

func content() []tree.Entry {
	var entries []tree.Entry
	file := func(path string, b []byte) {
		entries = append(entries, tree.Entry{Path: path, Size: int64(len(b)), Open: tree.Bytes(b)})
	}
	file("EFI/BOOT/BOOTX64.EFI", bytes.Repeat([]byte("MZ grub"), 100000))
	file("EFI/BOOT/startup script.nsh", []byte("echo"))
	file("EFI/ashlar/empty", nil)
	file("README", []byte("hello"))
	file("lower.txt", []byte("small letters"))
	for i := range 60 {
		file(fmt.Sprintf("loader/entries/ashlar generation %03d.conf", i), []byte("entry"))
	}
	file("loader/"+strings.Repeat("ü", 26), []byte("two long-name entries, exactly"))
	return entries
}

func write(t *testing.T, entries []tree.Entry, opt Options) string {
	t.Helper()
	fs, err := New(entries, opt)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "esp"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := fs.Write(context.Background(), f); err != nil {
		t.Fatal(err)
	}
	if st, _ := f.Stat(); st.Size() != fs.Size() {
		t.Fatalf("Size says %d, the file has %d", fs.Size(), st.Size())
	}
	return f.Name()
}

func TestFsckAndMtoolsAgree(t *testing.T) {
	const MiB = 1 << 20
	for _, size := range []int64{0, 3 * MiB, 4 * MiB, 16 * MiB, 31 * MiB, 32 * MiB, 33 * MiB, 64 * MiB, 65 * MiB, 100 * MiB, 129 * MiB, 200 * MiB, 512 * MiB} {
		t.Run(fmt.Sprint(size/MiB), func(t *testing.T) {
			image := write(t, content(), Options{Label: "ESP", VolumeID: 0x12345678, Time: when, Size: size})
			out := treetest.Tool(t, "fsck.fat", "-n", "-v", image)
			if strings.Contains(out, "Leaving filesystem unchanged") && strings.Contains(out, "differences") {
				t.Errorf("fsck.fat complains:\n%s", out)
			}
			if got := treetest.Tool(t, "mtype", "-i", image, "::/loader/entries/ashlar generation 059.conf"); got != "entry" {
				t.Errorf("mtype gives %q", got)
			}
			if got := treetest.Tool(t, "mlabel", "-i", image, "-s", "::"); !strings.Contains(got, "ESP") {
				t.Errorf("mlabel gives %q", got)
			}
			dir := t.TempDir()
			treetest.Tool(t, "mcopy", "-s", "-m", "-n", "-i", image, "::/EFI", "::/README", "::/lower.txt", dir)
			for _, e := range content() {
				if strings.HasPrefix(e.Path, "loader") {
					continue
				}
				r, _ := e.Open()
				want, _ := io.ReadAll(r)
				if got, err := os.ReadFile(filepath.Join(dir, e.Path)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %v, %d bytes", e.Path, err, len(got))
				}
			}
			if mounted := treetest.Mount(t, "vfat", image); mounted != "" {
				if got, err := os.ReadFile(filepath.Join(mounted, "lower.txt")); string(got) != "small letters" {
					t.Errorf("the kernel reads %q (%v)", got, err)
				}
			}
			if got := treetest.Tool(t, "mdir", "-i", image, "::/README"); !strings.Contains(got, "2026-01-10  12:30") {
				t.Errorf("mdir shows another time:\n%s", got)
			}
		})
	}
}

func TestSmallestSizeIsSmall(t *testing.T) {
	fs, err := New(content(), Options{Label: "ESP"})
	if err != nil || fs.Size() > 4<<20 {
		t.Errorf("%v, %v bytes for 700 KB", err, fs.Size())
	}
	big := []tree.Entry{{Path: "big", Size: 90 << 20, Open: tree.Bytes(nil)}}
	if fs, err = New(big, Options{Label: "ESP"}); err != nil || fs.Size() > 100<<20 {
		t.Errorf("%v for 90 MiB", err)
	}
}

func TestSameBytes(t *testing.T) {
	a, _ := os.ReadFile(write(t, content(), Options{Label: "ESP", Time: when}))
	b, _ := os.ReadFile(write(t, content(), Options{Label: "ESP", Time: when.In(time.FixedZone("far", 9*3600))}))
	if !bytes.Equal(a, b) {
		t.Error("a second run differs")
	}
}

func TestNewRefuses(t *testing.T) {
	file := func(path string) tree.Entry { return tree.Entry{Path: path, Open: tree.Bytes(nil)} }
	for name, c := range map[string]struct {
		entries []tree.Entry
		opt     Options
		want    string
	}{
		"case":    {[]tree.Entry{file("A"), file("a")}, Options{Label: "ESP"}, "case only"},
		"colon":   {[]tree.Entry{file("a:b")}, Options{Label: "ESP"}, "not a name"},
		"dot":     {[]tree.Entry{file("a.")}, Options{Label: "ESP"}, "not a name"},
		"symlink": {[]tree.Entry{{Path: "l", Kind: tree.Symlink, Target: "x"}}, Options{Label: "ESP"}, "neither a file"},
		"4 GiB":   {[]tree.Entry{{Path: "l", Size: 1 << 32, Open: tree.Bytes(nil)}}, Options{Label: "ESP"}, "4 GiB"},
		"label":   {nil, Options{Label: "esp"}, "label"},
		"small":   {nil, Options{Label: "ESP", Size: 1 << 20}, "not a size"},
		"full":    {[]tree.Entry{{Path: "l", Size: 5 << 20, Open: tree.Bytes(nil)}}, Options{Label: "ESP", Size: 4 << 20}, "clusters"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(c.entries, c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
