package build

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"ashlar/pkgtool/abi/abitest"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// relations of a package as one text.
func relationsOf(t *testing.T, b *bench, name string) (requires, provides string) {
	m := b.pkg(name + "-1.0.0-1.x86_64.ashlar").Manifest()
	return strings.Join(m.Requires, ", "), strings.Join(m.Provides, ", ")
}

func TestPythonModules(t *testing.T) {
	b := newBench(t)
	b.write("py/tool", "x")
	b.recipe("py", "build: {strip: false}", "copy, tool, usr/bin/python3.11", "link, python3.11, usr/bin/python3")
	b.write("req/METADATA", `Metadata-Version: 2.1
Name: Fancy_Requests
Version: 2.31.0
Requires-Dist: idna[all] (<4,>=2.5)
Requires-Dist: urllib3 >=1.21.1
Requires-Dist: PySocks!=1.5.7 ; extra == 'socks'
Requires-Dist: pywin32 ; sys_platform == "win32"
Requires-Dist: old.backport ; python_version < "3.8"
Requires-Dist: new-thing ; python_version >= "3.8" and sys_platform != "win32"
Requires-Dist: sibling-dist

Requires-Dist: text
`)
	b.write("req/SIBLING", "Name: sibling-dist\nVersion: not one\n")
	b.write("req/module", "import idna\n")
	const site = "usr/lib/python3.11/site-packages"
	b.recipe("req", "packages: [{name: req, files: ['/usr/lib/python3.11/site-packages/{req,Fancy*}/**']}, {name: req-more, files: ['/**']}]\nbuild: {strip: false}",
		"copy, METADATA, "+site+"/Fancy_Requests-2.31.0.dist-info/METADATA", "copy, module, "+site+"/req/__init__.py",
		"copy, SIBLING, "+site+"/sibling.egg-info/PKG-INFO")
	b.must()
	_, provides := relationsOf(t, b, "py")
	expect(t, "interpreter", provides, "cmd(python3), cmd(python3.11), python-abi(3.11)")
	requires, provides := relationsOf(t, b, "req")
	expect(t, "provides", provides, "python(fancy-requests) = 2.31.0")
	expect(t, "requires", requires, "python(idna) <4 >=2.5, python(new-thing), python(urllib3) >=1.21.1, python-abi(3.11), req-more =1.0.0-1")
	requires, provides = relationsOf(t, b, "req-more")
	expect(t, "without a version", provides+"; "+requires, "python(sibling-dist); python-abi(3.11)")
}

func TestPerlModules(t *testing.T) {
	b := newBench(t)
	b.write("p/pm", `package  Net::Thing 1.02;
use strict;
use warnings qw(all);
use 5.010;
use parent 'Exporter';
require Other::Thing;
use Net::Sibling;
if ($^O eq 'VMS') {
    require VMS::Stdio;
}
=head1 NAME
use Manual::Text;
=cut
package Net::Thing::Inner;
use JSON::PP ();
__END__
use After::End;
`)
	b.write("p/sibling", "package Net::Sibling {\n}\n")
	b.write("p/script", "#!/usr/bin/perl -w\nuse Getopt::Long;\nuse Net::Thing 1;\n")
	b.recipe("p", "packages: [{name: p, files: ['/**/Thing.pm', /usr/bin/*]}, {name: p-s, files: ['/**/Sibling.pm']}]\nbuild: {strip: false}",
		"copy, pm, usr/share/perl5/Net/Thing.pm", "copy, sibling, usr/share/perl5/Net/Sibling.pm", "copy, script, usr/bin/thing")
	b.must()
	requires, provides := relationsOf(t, b, "p")
	expect(t, "provides", provides, "cmd(thing), perl(Net::Thing)")
	expect(t, "requires", requires, "cmd(perl), p-s =1.0.0-1, perl(Getopt::Long), perl(JSON::PP), perl(Other::Thing), perl(parent), perl(strict), perl(warnings)")
	_, provides = relationsOf(t, b, "p-s")
	expect(t, "sibling", provides, "perl(Net::Sibling)")
	b.recipe("p", "packages: [{name: p, files: ['/**'], no-auto: [perl, interpreter]}]\nbuild: {strip: false}", "copy, script, usr/bin/thing")
	b.must()
	requires, _ = relationsOf(t, b, "p")
	expect(t, "no-auto", requires, "")
}

// TestKernelModules packs modules as a kernel's build makes them, plain and
// compressed in each way.
func TestKernelModules(t *testing.T) {
	module := func(name, depends string) string {
		source := `__attribute__((section(".modinfo"), used)) static const char info[] = "name=` + name + `\0depends=` + depends + `";`
		return text(t, abitest.Compile(t, source, "-c"))
	}
	pack := func(ending, data string) string {
		var out bytes.Buffer
		switch ending {
		case ".gz":
			w := gzip.NewWriter(&out)
			w.Write([]byte(data))
			w.Close()
		case ".xz":
			w, err := xz.NewWriter(&out)
			if err != nil {
				t.Fatal(err)
			}
			w.Write([]byte(data))
			w.Close()
		case ".zst":
			w, err := zstd.NewWriter(&out)
			if err != nil {
				t.Fatal(err)
			}
			w.Write([]byte(data))
			w.Close()
		}
		return out.String()
	}
	b := newBench(t)
	b.write("k/virtio", module("virtio", ""))
	b.write("k/net", module("virtio_net", "virtio,failover"))
	b.write("k/builtin", "kernel/fs/ext4.ko\nkernel/lib/crc-ccitt.ko\n")
	const modules = "usr/lib/modules/6.1.0/"
	b.recipe("k", "packages: [{name: k, files: ['/**/virtio.ko', '/**/modules.builtin']}, {name: k-net, files: ['/**']}]\nbuild: {strip: false}",
		"copy, virtio, "+modules+"kernel/drivers/virtio.ko", "copy, net, "+modules+"kernel/net/virtio-net.ko", "copy, builtin, "+modules+"modules.builtin")
	for _, ending := range []string{".gz", ".xz", ".zst"} {
		b.write("x/x", pack(ending, module("x", "ext4,virtio-net")))
		b.recipe("x", "build: {strip: false}", "copy, x, "+modules+"extra/x-y.ko"+ending)
		b.must()
		requires, provides := relationsOf(t, b, "x")
		expect(t, "requires of "+ending, requires, "kmod(ext4), kmod(virtio_net)")
		expect(t, "provides of "+ending, provides, "kmod(x_y)")
	}
	requires, provides := relationsOf(t, b, "k")
	expect(t, "kernel", provides+"; "+requires, "kmod(crc_ccitt), kmod(ext4), kmod(virtio); ")
	requires, _ = relationsOf(t, b, "k-net")
	expect(t, "sibling", requires, "k =1.0.0-1, kmod(failover)")
	b.write("x/x", "no zstd")
	b.recipe("x", "build: {strip: false}", "copy, x, "+modules+"extra/x.ko.zst")
	b.fails("/usr/lib/modules/6.1.0/extra/x.ko.zst: unpack: ")
}

func TestLocaleSplit(t *testing.T) {
	b := newBench(t)
	b.recipe("l", "packages: [{name: l, files: [/usr/bin/*]}, {name: l-locale, split: locale}, {name: l-doc, split: doc}]",
		"put, usr/bin/l, x", "put, usr/share/locale/de/LC_MESSAGES/l.mo, x", "put, usr/share/man/pt_BR/man1/l.1, x", "put, usr/share/man/man1/l.1, x")
	b.must()
	for name, want := range map[string]string{
		"l-locale": "usr/share/locale/de/LC_MESSAGES/l.mo usr/share/man/pt_BR/man1/l.1", "l-doc": "usr/share/man/man1/l.1",
	} {
		var files []string
		for _, f := range b.pkg(name + "-1.0.0-1.x86_64.ashlar").Manifest().Files {
			files = append(files, f.Path)
		}
		expect(t, name, strings.Join(files, " "), want)
	}
}
