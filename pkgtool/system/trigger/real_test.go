package trigger

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ashlar/pkgtool/pkgfile"
)

// command is a trigger that runs a real program.
func command(name string, argv ...string) Trigger {
	return Trigger{"pkg", pkgfile.Trigger{Name: name, Run: argv}}
}

// content returns what triggers wrote to a path.
func content(t *testing.T, out *Output, path string) []byte {
	t.Helper()
	i := slices.IndexFunc(out.Changes, func(c Change) bool { return c.Path == path && c.Type == pkgfile.TypeFile })
	if i < 0 {
		t.Fatalf("%s was not written: %+v\n%s", path, out.Changes, out.Log)
	}
	data, err := os.ReadFile(out.Changes[i].Source)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestRealLdconfigOfOurs runs ldconfig of our own C library, once it was built.
func TestRealLdconfigOfOurs(t *testing.T) {
	packages, err := filepath.Glob("../../../build/packages/glibc-2*.x86_64.ashlar")
	if err != nil || len(packages) != 1 {
		t.Skip("needs the package glibc: make iso builds it")
	}
	p, err := pkgfile.OpenFile(packages[0])
	if err != nil {
		t.Skip("built by another pkgtool, make iso builds it again: ", err)
	}
	defer p.Close()
	dir := t.TempDir()
	if err := p.Extract(t.Context(), filepath.Join(dir, "spare")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"live", "scratch"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root := Root{Live: filepath.Join(dir, "live"), Usr: filepath.Join(dir, "spare/usr"), Scratch: filepath.Join(dir, "scratch")}
	out, err := Run(t.Context(), root, []Trigger{command("ldconfig", "/usr/bin/ldconfig", "-X")})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cache := content(t, out, "etc/ld.so.cache")
	for _, path := range []string{"/usr/lib/libc.so.6\x00", "/usr/lib/libm.so.6\x00"} {
		if !bytes.HasPrefix(cache, []byte("glibc-ld.so.cache1.1")) || !bytes.Contains(cache, []byte(path)) {
			t.Errorf("%q is not in the cache of %d bytes", path, len(cache))
		}
	}
	for _, c := range out.Changes {
		if strings.HasPrefix(c.Path, "usr/") {
			t.Errorf("ldconfig changed %s", c.Path)
		}
	}
}

// debianRoot unpacks packages of Debian into one tree like ours, where bin, lib
// and lib64 are links.
func debianRoot(t *testing.T, names ...string) Root {
	t.Helper()
	if os.Getenv("ASHLAR_TEST_NETWORK") == "" {
		t.Skip("needs the network: set ASHLAR_TEST_NETWORK=1")
	}
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs Debian's ", tool)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"live/usr/bin", "live/usr/sbin", "live/usr/lib64", "live/usr/lib", "live/etc", "live/var", "scratch", "debs"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+name, filepath.Join(dir, "live", name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("apt-get", append([]string{"download"}, names...)...)
	cmd.Dir = filepath.Join(dir, "debs")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd = exec.Command("sh", "-c", `for deb in debs/*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x -C live --keep-directory-symlink --no-same-owner || exit; done`)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return Root{Live: filepath.Join(dir, "live"), Usr: filepath.Join(dir, "live/usr"), Scratch: filepath.Join(dir, "scratch")}
}

// write puts a file into the live system before the triggers run.
func write(t *testing.T, root Root, path string, data []byte) {
	t.Helper()
	name := filepath.Join(root.Live, path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRealLdconfigOfDebian(t *testing.T) {
	root := debianRoot(t, "libc-bin", "libc6", "zlib1g")
	write(t, root, "etc/ld.so.conf", []byte("/usr/lib/x86_64-linux-gnu\n"))
	out, err := Run(t.Context(), root, []Trigger{command("ldconfig", "/usr/sbin/ldconfig")})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if cache := content(t, out, "etc/ld.so.cache"); !bytes.Contains(cache, []byte("/usr/lib/x86_64-linux-gnu/libz.so.1\x00")) {
		t.Errorf("libz is not in the cache:\n%q", cache)
	}
}

func TestRealDepmod(t *testing.T) {
	root := debianRoot(t, "kmod", "libkmod2", "libc6", "libzstd1", "liblzma5", "libssl3")
	write(t, root, "usr/lib/modules/6.1.0/kernel/a.ko", module("shared_symbol", "", "alias=pci:v00001234d*sv*sd*bc*sc*i*"))
	write(t, root, "usr/lib/modules/6.1.0/kernel/b.ko", module("", "shared_symbol", "description=uses a"))
	out, err := Run(t.Context(), root, []Trigger{command("depmod", "/usr/sbin/depmod", "6.1.0")})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	got := strings.Split(string(content(t, out, "usr/lib/modules/6.1.0/modules.dep")), "\n")
	slices.Sort(got)
	if want := []string{"", "kernel/a.ko:", "kernel/b.ko: kernel/a.ko"}; !slices.Equal(got, want) {
		t.Errorf("modules.dep is %q, want %q", got, want)
	}
	if got := content(t, out, "usr/lib/modules/6.1.0/modules.alias"); !bytes.Contains(got, []byte("v00001234")) {
		t.Errorf("modules.alias is %q", got)
	}
}

func TestRealCertificates(t *testing.T) {
	root := debianRoot(t, "ca-certificates", "openssl", "libssl3", "libc6", "dash", "bash", "libtinfo6", "coreutils", "libacl1", "libattr1", "libgmp10", "libselinux1", "libpcre2-8-0",
		"findutils", "sed", "grep", "debianutils")
	// The trigger runs when a certificate of a package is to be trusted.
	write(t, root, "etc/ca-certificates.conf", []byte("mozilla/ISRG_Root_X1.crt\nmozilla/GTS_Root_R1.crt\n"))
	out, err := Run(t.Context(), root, []Trigger{command("certificates", "/usr/sbin/update-ca-certificates")})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if n := bytes.Count(content(t, out, "etc/ssl/certs/ca-certificates.crt"), []byte("BEGIN CERTIFICATE")); n != 2 {
		t.Errorf("%d certificates, want 2:\n%s", n, out.Log)
	}
	links := 0
	for _, c := range out.Changes {
		if c.Type == pkgfile.TypeSymlink && strings.HasPrefix(c.Path, "etc/ssl/certs/") {
			links++
		}
	}
	if links != 4 { // by name and by hash
		t.Errorf("%d links, want 4: %+v", links, out.Changes)
	}
}

func TestRealTmpfiles(t *testing.T) {
	root := debianRoot(t, "systemd-standalone-tmpfiles", "libc6", "libacl1", "libcap2", "libcrypt1", "libselinux1", "libpcre2-8-0")
	write(t, root, "etc/passwd", []byte("root:x:0:0::/root:/bin/sh\nweb:x:70:71::/:/bin/false\n"))
	write(t, root, "etc/group", []byte("root:x:0:\nweb:x:71:\n"))
	write(t, root, "usr/lib/tmpfiles.d/web.conf", []byte("d /var/lib/web 0750 web web\nf /var/lib/web/state 0640 web web - fresh\nL /etc/web - - - - ../usr/share/web\nd /run/web\n"))
	out, err := Run(t.Context(), root, []Trigger{command("tmpfiles", "/usr/bin/systemd-tmpfiles", "--create", "--prefix=/var", "--prefix=/etc")})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if got := content(t, out, "var/lib/web/state"); string(got) != "fresh" {
		t.Errorf("state is %q", got)
	}
	for _, c := range out.Changes {
		if c.Path == "var/lib/web" && (c.Mode != 0o750 || os.Geteuid() == 0 && (c.UID != 70 || c.GID != 71)) {
			t.Errorf("%+v", c)
		}
	}
}

// module is a kernel module that exports one symbol, or needs one.
func module(exports, needs, info string) []byte {
	names, symbols := "\x00"+needs+"\x00", make([]elf.Sym64, 1)
	if needs != "" {
		symbols = append(symbols, elf.Sym64{Name: 1, Info: uint8(elf.STB_GLOBAL) << 4})
	}
	var table bytes.Buffer
	binary.Write(&table, binary.LittleEndian, symbols)
	sections := []struct {
		name string
		kind elf.SectionType
		data []byte
		link uint32
		size uint64 // of an entry
	}{
		{"", elf.SHT_NULL, nil, 0, 0},
		{".modinfo", elf.SHT_PROGBITS, []byte(info + "\x00license=GPL\x00"), 0, 0},
		{"__ksymtab_strings", elf.SHT_PROGBITS, []byte(exports + "\x00"), 0, 0},
		{".symtab", elf.SHT_SYMTAB, table.Bytes(), 4, 24},
		{".strtab", elf.SHT_STRTAB, []byte(names), 0, 0},
		{".shstrtab", elf.SHT_STRTAB, nil, 0, 0},
	}
	var titles, data, headers bytes.Buffer
	const header = 64
	for i := range sections {
		s := &sections[i]
		at := titles.Len()
		titles.WriteString(s.name + "\x00")
		if s.name == ".shstrtab" {
			s.data = titles.Bytes()
		}
		for data.Len()%8 != 0 {
			data.WriteByte(0)
		}
		binary.Write(&headers, binary.LittleEndian, elf.Section64{Name: uint32(at), Type: uint32(s.kind), Off: uint64(header + data.Len()),
			Size: uint64(len(s.data)), Link: s.link, Info: 1, Addralign: 1, Entsize: s.size})
		data.Write(s.data)
	}
	var file bytes.Buffer
	binary.Write(&file, binary.LittleEndian, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT), Shoff: uint64(header + data.Len()),
		Ehsize: header, Shentsize: 64, Shnum: uint16(len(sections)), Shstrndx: uint16(len(sections) - 1),
	})
	file.Write(data.Bytes())
	file.Write(headers.Bytes())
	return file.Bytes()
}
