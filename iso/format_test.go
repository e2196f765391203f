package iso

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ashlar/iso/tree/treetest"
	"ashlar/pkgtool/pkgfile"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	orascontent "oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/content/oci"
)

const own = example + `timezone: Europe/Berlin
locale: C.UTF-8
keymap: de
branding: {name: Mine, id: mine, version: "7", issue: Welcome}
disk: {size: 400M}
services: {enable: [sshd.service], disable: [other.timer], mask: [bad.service]}
users:
  - {name: root, password_hash: "$6$salt$hash"}
  - {name: alice, comment: Alice A, groups: [wheel], ssh_keys: [ssh-ed25519 AAAAC3Nz alice]}
  - {name: bob, uid: 1000, shell: /bin/other}
`

func make1(t *testing.T, format, text string) (*Result, Request) {
	t.Helper()
	r := request(t, text)
	kind, err := FormatOf(format)
	if err != nil {
		t.Fatal(err)
	}
	r.Format, r.Output = format, filepath.Join(t.TempDir(), "example"+kind.Ending)
	return mustBuild(t, r), r
}

// unpack returns a folder with the system of an image of format tar.
func unpack(t *testing.T, text string) string {
	t.Helper()
	res, _ := make1(t, "tar", text)
	f, err := os.Open(res.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	dir := t.TempDir()
	untar := exec.Command("tar", "-x", "-C", dir)
	untar.Stdin = z
	if out, err := untar.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	return dir
}

func TestSettings(t *testing.T) {
	dir := unpack(t, own)
	for path, want := range map[string]string{
		"etc/passwd":                      "root:x:0:0::/root:/bin/sh\nalice:x:1001:1001:Alice A:/home/alice:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/other\n",
		"etc/shadow":                      "root:$6$salt$hash:::::::\nalice:!*:::::::\nbob:!*:::::::\n",
		"etc/locale.conf":                 "LANG=C.UTF-8\n",
		"etc/vconsole.conf":               "KEYMAP=de\n",
		"etc/issue":                       "Welcome\n",
		"etc/os-release":                  "ID=\"mine\"\nID_LIKE=\"base\"\nNAME=\"Mine\"\nPRETTY_NAME=\"Mine 7\"\nVERSION=\"7\"\nVERSION_ID=\"7\"\n",
		"usr/lib/os-release":              "NAME=\"Base\"\nID=base\nVERSION_ID=1\nPRETTY_NAME=\"Base 1\"\n",
		"home/alice/.ssh/authorized_keys": "ssh-ed25519 AAAAC3Nz alice\n",
		"etc/systemd/system-preset/00-image.preset": "# Written by the image definition example.\nenable sshd.service\ndisable other.timer\ndisable bad.service\n",
		"var/lib/ashlar/image/packages.txt":         "filesystem 1.2.3-1 x86_64\nlinux-virt 1.2.3-1 x86_64\nshell 1.2.3-1 x86_64\n",
		"var/lib/ashlar/image/licenses.txt":         "MIT\n    filesystem linux-virt shell\n",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, path)); string(got) != want {
			t.Errorf("%s holds %q (%v), want %q", path, got, err, want)
		}
	}
	if group, err := os.ReadFile(filepath.Join(dir, "etc/group")); err != nil || !strings.Contains(string(group), ":alice\n") {
		t.Errorf("alice is in no other group (%v):\n%s", err, group)
	}
	for path, want := range map[string]string{"etc/localtime": "../usr/share/zoneinfo/Europe/Berlin", "etc/systemd/system/bad.service": "/dev/null"} {
		if got, err := os.Readlink(filepath.Join(dir, path)); got != want {
			t.Errorf("%s leads to %q (%v)", path, got, err)
		}
	}
	for path, want := range map[string]os.FileMode{"etc/shadow": 0o600, "home/alice": os.ModeDir | 0o700, "home/alice/.ssh/authorized_keys": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v (%v), want %v", path, info.Mode(), err, want)
		}
	}
	var document struct {
		Packages []struct{ Name string }
	}
	text, err := os.ReadFile(filepath.Join(dir, "var/lib/ashlar/image/sbom.spdx.json"))
	if err != nil || json.Unmarshal(text, &document) != nil || len(document.Packages) != 3 || !strings.Contains(string(text), "DEPENDS_ON") {
		t.Errorf("SBOM (%v):\n%s", err, text)
	}
}

func TestUsersNeedAccountFiles(t *testing.T) {
	r := request(t, own)
	r.Packages = slices.DeleteFunc(r.Packages, func(p *pkgfile.Package) bool { return p.Manifest().Name == "filesystem" })
	if _, err := Build(t.Context(), r); err == nil || !strings.Contains(err.Error(), "/etc/shadow") {
		t.Errorf("error %v", err)
	}
}

// All formats of a disk hold the same disk, and its file system is sound.
func TestDisks(t *testing.T) {
	raw, r := make1(t, "raw", own+"modules: [isofs]\n")
	for _, format := range []string{"qcow2", "vmdk"} {
		res, _ := make1(t, format, own+"modules: [isofs]\n")
		treetest.Tool(t, "qemu-img", "check", "-f", format, res.Path)
		treetest.Tool(t, "qemu-img", "compare", "-f", "raw", "-F", format, raw.Path, res.Path)
	}
	b, err := os.ReadFile(raw.Path)
	if err != nil {
		t.Fatal(err)
	}
	const start, end = 258 << 20, 1 << 20
	root := filepath.Join(t.TempDir(), "root")
	if err := os.WriteFile(root, b[start:len(b)-end], 0o644); err != nil {
		t.Fatal(err)
	}
	treetest.Tool(t, "e2fsck", "-f", "-n", root)
	file := func(path string) string {
		out, err := exec.Command("debugfs", "-R", "cat /"+path, root).Output()
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return string(out)
	}
	id := strings.Fields(treetest.Tool(t, "blkid", "-p", "-o", "value", "-s", "UUID", root))[0]
	menu := file("boot/grub/grub.cfg")
	if !strings.Contains(menu, "linux /boot/vmlinuz-6.1.0-test root=UUID="+id+" rootwait rw console=tty0") || !strings.Contains(menu, "initrd /boot/initrd-6.1.0-test") {
		t.Errorf("menu:\n%s", menu)
	}
	if !strings.Contains(file("etc/issue"), "Welcome") || !strings.Contains(file(ManifestName), `"name": "example"`) {
		t.Error("files of the definition or the manifest are missing")
	}
	again := r
	again.Output, again.Workers, again.Cache = filepath.Join(t.TempDir(), "example.raw"), 1, ""
	if res := mustBuild(t, again); res.SHA256 != raw.SHA256 {
		t.Error("a second disk has other bytes")
	}
}

func TestDiskSize(t *testing.T) {
	res, _ := make1(t, "raw", example+"disk: {size: 3G}\n")
	if res.Size != 3<<30 {
		t.Errorf("%d bytes", res.Size)
	}
	r := request(t, example+"disk: {size: 262M}\n")
	r.Format, r.Output = "raw", filepath.Join(t.TempDir(), "x.raw")
	if _, err := Build(t.Context(), r); err == nil || !strings.Contains(err.Error(), "too small") {
		t.Errorf("error %v", err)
	}
}

func TestContainer(t *testing.T) {
	text := example + "kernel: none\nformats: [oci]\ncontainer: {entrypoint: [/bin/sh], env: {A: b}, user: \"1000\", ports: [80/tcp]}\n"
	r := request(t, text)
	r.Packages = slices.DeleteFunc(r.Packages, func(p *pkgfile.Package) bool { return p.Manifest().Name == "linux-virt" })
	r.Format, r.Output, r.Tools = "oci", filepath.Join(t.TempDir(), "example.oci.tar"), nil
	res := mustBuild(t, r)
	// The reader of another project checks every digest.
	store, err := oci.NewFromTar(t.Context(), res.Path)
	if err != nil {
		t.Fatal(err)
	}
	copied := memory.New()
	top, err := oras.Copy(t.Context(), store, "latest", copied, "", oras.DefaultCopyOptions)
	if err != nil {
		t.Fatal(err)
	}
	fetch := func(d v1.Descriptor, into any) []byte {
		b, err := orascontent.FetchAll(t.Context(), copied, d)
		if err != nil {
			t.Fatal(err)
		}
		if into != nil {
			if err := json.Unmarshal(b, into); err != nil {
				t.Fatal(err)
			}
		}
		return b
	}
	var manifest v1.Manifest
	var config v1.Image
	fetch(top, &manifest)
	fetch(manifest.Config, &config)
	if config.Config.User != "1000" || !slices.Equal(config.Config.Entrypoint, []string{"/bin/sh"}) ||
		!slices.Equal(config.Config.Env, []string{"PATH=/usr/local/bin:/usr/bin", "A=b"}) {
		t.Errorf("%+v", config)
	}
	z, err := gzip.NewReader(bytes.NewReader(fetch(manifest.Layers[0], nil)))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := io.ReadAll(z)
	if err != nil || digest.FromBytes(layer) != config.RootFS.DiffIDs[0] {
		t.Errorf("the layer is not the one that the configuration names (%v)", err)
	}
	list := exec.Command("tar", "-t")
	list.Stdin = bytes.NewReader(layer)
	out, err := list.Output()
	if err != nil || !strings.Contains(string(out), "\netc/motd\n") || strings.Contains(string(out), "vmlinuz") {
		t.Errorf("layer (%v):\n%s", err, out)
	}
	docker, err := exec.Command("tar", "-x", "-O", "-f", res.Path, "manifest.json").Output()
	if err != nil || !bytes.Contains(docker, []byte(`"RepoTags":["localhost/example:latest"]`)) {
		t.Errorf("%s (%v)", docker, err)
	}
}

func TestNetboot(t *testing.T) {
	res, _ := make1(t, "netboot", example)
	dir := t.TempDir()
	treetest.Tool(t, "tar", "-x", "-C", dir, "-f", res.Path)
	f, err := os.Open(dir + "/root.img")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	extract := exec.Command("cpio", "-i", "-d", "--quiet")
	extract.Dir, extract.Stdin = t.TempDir(), f
	if out, err := extract.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v: %s", err, out)
	}
	treetest.Tool(t, "unsquashfs", "-s", filepath.Join(extract.Dir, "live/root.squashfs"))
	script, err := os.ReadFile(dir + "/boot.ipxe")
	if err != nil || !strings.HasPrefix(string(script), "#!ipxe\n") || !strings.Contains(string(script), "initrd=initrd.img initrd=root.img console=tty0") {
		t.Errorf("%s (%v)", script, err)
	}
	for _, name := range []string{"vmlinuz", "initrd.img", "grub.cfg", "pxelinux.cfg/default", "manifest.json", "about/sbom.spdx.json"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFormatsAreSameBytes(t *testing.T) {
	for _, f := range Formats() {
		first, r := make1(t, f.Name, own)
		r.Output, r.Cache, r.Workers = filepath.Join(t.TempDir(), "example"+f.Ending), "", 1
		slices.Reverse(r.Packages)
		if again := mustBuild(t, r); again.SHA256 != first.SHA256 {
			t.Errorf("%s: a second run gives other bytes", f.Name)
		}
		if i, err := Inspect(first.Path); err != nil || i.SHA256 != first.SHA256 || i.Manifest.Name != "example" {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

func TestInspectSeesAnotherFile(t *testing.T) {
	res, _ := make1(t, "tar", example)
	f, err := os.OpenFile(res.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "more")
	f.Close()
	if _, err := Inspect(res.Path); err == nil || !strings.Contains(err.Error(), "not the image that its manifest names") {
		t.Errorf("error %v", err)
	}
}

func TestCompare(t *testing.T) {
	before := &Manifest{Kernel: "6.1", Packages: []ManifestPackage{{"a", "1", "x", "1"}, {"b", "1", "x", "1"}, {"c", "1", "x", "1"}, {"d", "1", "x", "1"}}}
	after := &Manifest{Kernel: "6.2", Packages: []ManifestPackage{{"a", "2", "x", "2"}, {"b", "1", "x", "2"}, {"d", "1", "x", "1"}, {"e", "1", "x", "1"}}}
	d := Compare(before, after)
	want := []PackageChange{{"a", "changed", "1", "2"}, {"b", "rebuilt", "1", "1"}, {"c", "removed", "1", ""}, {"e", "added", "", "1"}}
	if !slices.Equal(d.Packages, want) || !slices.Equal(d.Fields, []FieldChange{{"kernel", "6.1", "6.2"}}) {
		t.Errorf("%+v", d)
	}
}

func TestDraft(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(dir+"/base.yaml", []byte("# Why.\nschema: 1\nname: base\nsummary: Base\npackages: [a] # all\n"), 0o644)
	path, err := Draft(dir, "mine", "base", "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if want := "# Began as a copy of base. Keys: docs/formats/image.md.\n# Why.\nschema: 1\nname: mine\nsummary: Image mine\npackages: [a] # all\n"; string(text) != want {
		t.Errorf("%s (%v)", text, err)
	}
	for _, c := range [][]string{{"mine", "base", "", "there already"}, {"Mine", "base", "", "lower-case"}, {"other", "bass", "", "no image"}, {"third", "base", "it's", "summary must"}} {
		if _, err := Draft(dir, c[0], c[1], c[2]); err == nil || !strings.Contains(err.Error(), c[3]) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if names, _ := Names(dir); !slices.Equal(names, []string{"base", "mine"}) {
		t.Errorf("left behind: %v", names)
	}
}

func TestExpand(t *testing.T) {
	m := definition(t, strings.Replace(example, "packages: [shell]", `packages: ["@base", shell]`+"\noffers: [\"@more\", x]", 1))
	err := m.Expand(func(group string) ([]string, error) {
		return map[string][]string{"base": {"glibc", "shell"}, "more": {"y"}}[group], nil
	})
	if err != nil || !slices.Equal(m.Packages, []string{"glibc", "shell"}) || !slices.Equal(m.Offers, []string{"y", "x"}) {
		t.Errorf("%v %v (%v)", m.Packages, m.Offers, err)
	}
}
