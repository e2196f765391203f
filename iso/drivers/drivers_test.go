package drivers_test

import (
	"io"
	"io/fs"
	"testing"
	"testing/fstest"

	"ashlar/iso/drivers"
)

var kernel = fstest.MapFS{
	"modules.dep": {Data: []byte("kernel/drivers/scsi/mega-raid.ko: kernel/drivers/scsi/libx.ko kernel/lib/near.ko\n" +
		"kernel/drivers/scsi/libx.ko: kernel/lib/near.ko\nkernel/lib/near.ko:\nkernel/sound/noise.ko.xz:\nkernel/net/wire.ko: kernel/lib/near.ko\n")},
	"modules.alias":                    {Data: []byte("# a comment\nalias pci:v1*d-2 mega-raid\nalias net-pf wire\nalias sound-* noise\n")},
	"modules.builtin":                  {Data: []byte("kernel/fs/ext4/ext4.ko\n")},
	"kernel/drivers/scsi/mega-raid.ko": {Data: []byte("mega")},
	"kernel/drivers/scsi/libx.ko":      {Data: []byte("libx")},
	"kernel/lib/near.ko":               {Data: []byte("near")},
	"kernel/sound/noise.ko.xz":         {Data: []byte("noise")},
}

func open(t *testing.T, files fs.FS) *drivers.Kernel {
	t.Helper()
	k, err := drivers.Open(func(name string) ([]byte, error) { return fs.ReadFile(files, name) })
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestEntries(t *testing.T) {
	entries, err := open(t, kernel).Entries([]string{"noise", "ext4"}, drivers.Storage, 7)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range entries {
		r, err := e.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil || int64(len(b)) != e.Size || e.ModTime != 7 {
			t.Errorf("%s: %d bytes of %d, time %d: %v", e.Path, len(b), e.Size, e.ModTime, err)
		}
		got[e.Path] = string(b)
	}
	want := map[string]string{
		"modules/mega_raid.ko": "mega",
		"modules/libx.ko":      "libx",
		"modules/near.ko":      "near",
		"modules/noise.ko.xz":  "noise",
		"modules/load":         "noise",
		"modules/needs":        "libx.ko near\nmega_raid.ko near libx\nnear.ko\nnoise.ko.xz\n",
		"modules/alias":        "pci:v1*d-2 mega_raid\nsound-* noise\n",
	}
	for path, content := range want {
		if got[path] != content {
			t.Errorf("%s is %q, want %q", path, got[path], content)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d files, want %d: %v", len(got), len(want), got)
	}
}

func TestKernelWithoutModules(t *testing.T) {
	entries, err := open(t, fstest.MapFS{}).Entries(nil, drivers.Storage, 0)
	if err != nil || entries != nil {
		t.Errorf("got %v, %v", entries, err)
	}
}

func TestUnknownModule(t *testing.T) {
	if _, err := open(t, kernel).Entries([]string{"nonsense"}, nil, 0); err == nil || err.Error() != "the kernel has no module nonsense" {
		t.Errorf("got %v", err)
	}
}
