package iso

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ashlar/iso/iso9660"
	"ashlar/iso/isotest"
	"ashlar/iso/tree"
	"ashlar/iso/tree/treetest"
	"ashlar/pkgtool/pkgfile"
)

const example = `schema: 1
name: example
summary: Example system
packages: [shell]
hostname: box
repositories: [{name: here, urls: ["http://192.0.2.1/"]}]
files:
  - {path: /etc/motd, content: "hello\n"}
  - {path: /lib/extra/tool, content: "#!/bin/sh\n", mode: "0755"}
  - {path: /etc/link, link: motd}
`

func definition(t *testing.T, text string) *Image {
	t.Helper()
	p := filepath.Join(t.TempDir(), "example.yaml")
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := Read(p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func request(t *testing.T, text string) Request {
	t.Helper()
	r := Request{Image: definition(t, text), Output: filepath.Join(t.TempDir(), "example.iso"), Cache: t.TempDir()}
	for _, path := range isotest.System(t, t.TempDir(), nil) {
		p, err := pkgfile.OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		switch p.Manifest().Name {
		case "grub", "ashlar-liveinit":
			r.Tools = append(r.Tools, p)
		case "spare":
		default:
			r.Packages = append(r.Packages, p)
		}
	}
	return r
}

func mustBuild(t *testing.T, r Request) *Result {
	t.Helper()
	res, err := Build(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestImageHoldsWhatItShould(t *testing.T) {
	r := request(t, example)
	r.Files = []tree.Entry{{Path: "etc/pkgtool/trust/here/root.json", Perm: 0o644, Size: 2, Open: tree.Bytes([]byte("{}"))}}
	res := mustBuild(t, r)
	if sum, err := fileDigest(res.Path); err != nil || sum != res.SHA256 {
		t.Errorf("the result says sha256 %s, the file has %s (%v)", res.SHA256, sum, err)
	}
	dir := filepath.Join(t.TempDir(), "medium")
	treetest.Tool(t, "xorriso", "-osirrox", "on", "-indev", res.Path, "-extract", "/", dir)
	root := filepath.Join(t.TempDir(), "root")
	treetest.Tool(t, "unsquashfs", "-no-progress", "-strict-errors", "-no-xattrs", "-d", root, filepath.Join(dir, "live/root.squashfs"))
	for path, want := range map[string]string{"etc/hostname": "box\n", "etc/motd": "hello\n", "usr/lib/extra/tool": "#!/bin/sh\n",
		"etc/pkgtool/trust/here/root.json":     "{}",
		"etc/pkgtool/repositories.d/here.yaml": "# Written by the image definition example.\nschema: 1\nname: here\nurls:\n- http://192.0.2.1/\n"} {
		if got, err := os.ReadFile(filepath.Join(root, path)); string(got) != want {
			t.Errorf("%s holds %q (%v), want %q", path, got, err, want)
		}
	}
	if target, err := os.Readlink(filepath.Join(root, "etc/link")); target != "motd" {
		t.Errorf("link to %q (%v)", target, err)
	}
	if _, err := os.Stat(filepath.Join(root, ".ashlar/current")); err != nil {
		t.Errorf("the system does not know what is installed: %v", err)
	}
	menu, err := os.ReadFile(filepath.Join(dir, "boot/grub/grub.cfg"))
	if err != nil || !strings.Contains(string(menu), "linux /boot/vmlinuz console=tty0 console=ttyS0,115200 quiet") {
		t.Errorf("boot menu (%v):\n%s", err, menu)
	}
}

func TestInitialRAMFileSystem(t *testing.T) {
	r := request(t, example+"modules: [isofs, loop, squashfs]\n")
	res := mustBuild(t, r)
	dir := t.TempDir()
	treetest.Tool(t, "xorriso", "-osirrox", "on", "-indev", res.Path, "-extract", "/boot/initrd.img", dir+"/initrd.zst")
	treetest.Tool(t, "zstd", "-q", "-d", dir+"/initrd.zst", "-o", dir+"/initrd")
	out, err := exec.Command("cpio", "-it", "--quiet", "-F", dir+"/initrd").Output()
	want := []string{"dev", "dev/console", "init", "modules", "modules/alias", "modules/cdrom.ko", "modules/isofs.ko", "modules/load", "modules/loop.ko", "modules/needs", "sbin", "sbin/modprobe"}
	if got := strings.Fields(string(out)); err != nil || !slices.Equal(got, want) {
		t.Errorf("holds %v (%v), want %v", got, err, want)
	}
	r = request(t, example+"modules: [nonsense]\n")
	if _, err := Build(context.Background(), r); err == nil || !strings.Contains(err.Error(), "no module nonsense") {
		t.Errorf("unknown module: %v", err)
	}
}

func TestXorrisoSeesAllWaysToStart(t *testing.T) {
	res := mustBuild(t, request(t, example))
	report := treetest.Tool(t, "xorriso", "-indev", res.Path, "-report_el_torito", "plain", "-report_system_area", "plain")
	for _, want := range []string{"grub2-mbr", "GPT", "grub2-boot-info", "boot img :   1  BIOS", "boot img :   2  UEFI", "GPT partition path :   1  /boot/grub/esp.img"} {
		if !strings.Contains(report, want) {
			t.Errorf("xorriso does not report %q:\n%s", want, report)
		}
	}
	i, err := Inspect(res.Path)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"bios-cd", "bios-disk", "uefi-cd", "uefi-disk"}; !slices.Equal(i.Starts, want) {
		t.Errorf("starts %v", i.Starts)
	}
	if i.SHA256 != res.SHA256 || i.Volume != "ASHLAR" || len(i.Manifest.Packages) != 3 || len(i.Manifest.Tools) != 2 || i.Manifest.Kernel != "6.1.0-test" {
		t.Errorf("inspection %+v, manifest %+v", i, i.Manifest)
	}
	var beside Manifest
	text, err := os.ReadFile(res.Manifest)
	if err != nil || json.Unmarshal(text, &beside) != nil {
		t.Fatalf("manifest: %v", err)
	}
	if beside.Image == nil || beside.Image.SHA256 != res.SHA256 || beside.Image.Size != res.Size {
		t.Errorf("the manifest says %+v", beside.Image)
	}
	beside.Image = nil
	if !reflect.DeepEqual(&beside, i.Manifest) {
		t.Errorf("beside %+v, on the medium %+v", beside, i.Manifest)
	}
}

func TestSameBytesEverywhere(t *testing.T) {
	var first []byte
	for workers, cache := range map[int]string{1: "", 2: t.TempDir(), 5: ""} {
		r := request(t, example)
		r.Workers, r.Cache = workers, cache
		slices.Reverse(r.Packages)
		b, err := os.ReadFile(mustBuild(t, r).Path)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		}
		if !bytes.Equal(first, b) {
			t.Errorf("%d workers, cache %q: another image", workers, cache)
		}
	}
}

func TestNothingIsDoneTwice(t *testing.T) {
	var steps []string
	r := request(t, example)
	r.Progress = func(step string) { steps = append(steps, step) }
	first := mustBuild(t, r)
	before, err := stampOf(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	steps = nil
	second := mustBuild(t, r)
	after, _ := stampOf(first.Path)
	if !second.Cached || second.SHA256 != first.SHA256 || second.Size != first.Size || after != before || len(steps) > 0 {
		t.Errorf("a second run did %v: %+v", steps, second)
	}

	r.Image.Cmdline = "console=ttyS0" // concerns the medium, not the root
	if res := mustBuild(t, r); res.Cached || res.SHA256 == first.SHA256 || !slices.Equal(steps, []string{"assemble the ISO"}) {
		t.Errorf("another command line did %v: %+v", steps, res)
	}
	r.Image.Hostname = "other"
	steps = nil
	if res := mustBuild(t, r); res.Cached || len(steps) != 2 {
		t.Errorf("another host name did %v: %+v", steps, res)
	}
	if err := os.WriteFile(r.Output, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if res := mustBuild(t, r); res.Cached {
		t.Error("a damaged image counts as done")
	}
	if err := os.Remove(manifestPath(r.Output)); err != nil {
		t.Fatal(err)
	}
	if res := mustBuild(t, r); res.Cached {
		t.Error("an image without its manifest counts as done")
	}
}

func TestFailureLeavesTheOldImage(t *testing.T) {
	r := request(t, example)
	first := mustBuild(t, r)
	old, _ := os.ReadFile(first.Path)
	r.Files = []tree.Entry{{Path: "etc/bad", Size: 5, Open: tree.Bytes([]byte("four"))}}
	if _, err := Build(context.Background(), r); err == nil || !strings.Contains(err.Error(), "etc/bad") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r.Files, r.Image.Hostname = nil, "new"
	if _, err := Build(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if now, _ := os.ReadFile(first.Path); !bytes.Equal(now, old) {
		t.Error("the old image is gone")
	}
	for _, dir := range []string{filepath.Dir(r.Output), filepath.Join(r.Cache, "roots")} {
		if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Request)
		want   string
	}{
		"no kernel package": {func(r *Request) { r.Image.Kernel = "linux-other" }, "package linux-other is not among"},
		"no kernel in it":   {func(r *Request) { r.Image.Kernel = "shell" }, "has no kernel"},
		"no loader":         {func(r *Request) { r.Tools = nil }, "package grub is not among"},
		"not a loader":      {func(r *Request) { r.Image.Bootloader = "ashlar-liveinit" }, "has no file usr/lib/ashlar/boot/"},
		"folder in the way": {func(r *Request) { r.Files = []tree.Entry{{Path: "proc", Size: 1, Open: tree.Bytes([]byte("x"))}} }, "it is a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, example)
			c.change(&r)
			if _, err := Build(context.Background(), r); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestInspectRefusesForeignImages(t *testing.T) {
	src := t.TempDir()
	os.WriteFile(src+"/readme", []byte("hello"), 0o644)
	foreign := filepath.Join(t.TempDir(), "foreign.iso")
	treetest.Tool(t, "xorriso", "-as", "mkisofs", "-R", "-o", foreign, src)
	if _, err := Inspect(foreign); !errors.Is(err, ErrNotOurs) {
		t.Errorf("error %v", err)
	}
}

func FuzzInspect(f *testing.F) {
	root := append([]byte("hsqs"), make([]byte, 4092)...)
	root[20], root[28], root[40] = 6, 4, 96
	manifest := []byte(`{"schema":1,"name":"x","summary":"X","packages":[]}`)
	image, err := iso9660.New([]tree.Entry{
		{Path: ManifestName, Size: int64(len(manifest)), Open: tree.Bytes(manifest)},
		{Path: rootPath, Size: int64(len(root)), Open: tree.Bytes(root)},
		{Path: corePath, Size: 4096, Open: tree.Bytes(make([]byte, 4096))},
	}, iso9660.Options{VolumeID: "FUZZ", Boot: []iso9660.Boot{{Path: corePath}, {Path: corePath, Platform: iso9660.EFI}}})
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := image.Write(context.Background(), &b, nil); err != nil {
		f.Fatal(err)
	}
	if i, err := inspect(bytes.NewReader(b.Bytes()), int64(b.Len())); err != nil || i.Manifest.Name != "x" || len(i.Starts) != 2 {
		f.Fatalf("the seed itself: %+v (%v)", i, err)
	}
	f.Add(b.Bytes()[iso9660.SystemAreaSize:])
	f.Fuzz(func(t *testing.T, data []byte) {
		image := append(make([]byte, iso9660.SystemAreaSize), data...)
		if i, err := inspect(bytes.NewReader(image), int64(len(image))); err == nil && (i.Manifest == nil || i.Root == nil) {
			t.Error("an image without manifest or root passes")
		}
	})
}
