// Package isotest makes packages for the tests of images: a tiny system, a
// kernel and a boot loader that have the right form and do nothing.
package isotest

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"
)

// Epoch is the time of all packages.
const Epoch = 1760000000

// File is a regular file of a package.
func File(path, content string, mode uint32) pkgfile.Input {
	return pkgfile.Input{
		File: pkgfile.File{Path: path, Type: pkgfile.TypeFile, Mode: mode, Owner: "root", Group: "root", Size: int64(len(content))},
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte(content))), nil },
	}
}

// Dir is a folder of a package.
func Dir(path string) pkgfile.Input {
	return pkgfile.Input{File: pkgfile.File{Path: path, Type: pkgfile.TypeDir, Mode: 0o755, Owner: "root", Group: "root"}}
}

// Link is a symbolic link of a package.
func Link(path, target string) pkgfile.Input {
	return pkgfile.Input{File: pkgfile.File{Path: path, Type: pkgfile.TypeSymlink, Mode: 0o777, Owner: "root", Group: "root", Target: target}}
}

// Write writes a package into dir and returns its path.
func Write(t testing.TB, dir, name string, requires []string, signer *signing.PrivateKey, inputs ...pkgfile.Input) string {
	t.Helper()
	m := pkgfile.Manifest{Name: name, Version: "1.2.3", Release: 1, Arch: "x86_64", Summary: "test " + name, License: "MIT", Recipe: name,
		Requires: requires, Provenance: pkgfile.Provenance{Origin: "source", Epoch: Epoch}}
	path := filepath.Join(dir, name+"-1.2.3-1.x86_64.ashlar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var opts pkgfile.Options
	if signer != nil {
		opts.Signers = []*signing.PrivateKey{signer}
	}
	if _, err := pkgfile.Write(context.Background(), f, m, inputs, opts); err != nil {
		t.Fatal(err)
	}
	return path
}

// System writes the packages of a small system and its tools: filesystem,
// shell, linux-virt, grub, ashlar-liveinit and, needed by nothing, spare.
func System(t testing.TB, dir string, signer *signing.PrivateKey) []string {
	t.Helper()
	filler := func(n int, seed byte) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i*i>>3) + seed
		}
		return string(b)
	}
	const boot, modules = "usr/lib/ashlar/boot/", "usr/lib/modules/6.1.0-test/"
	return []string{
		Write(t, dir, "filesystem", nil, signer, Dir("etc"), Dir("proc"), Dir("usr/bin"), Dir("usr/lib"), Link("bin", "usr/bin"), Link("sbin", "usr/bin"), Link("lib", "usr/lib"),
			File("etc/passwd", "root:x:0:0::/root:/bin/sh\n", 0o644), File("etc/group", "root:x:0:\n", 0o644), File("etc/hostname", "unnamed\n", 0o644),
			File("etc/shadow", "root:*:::::::\n", 0o600), File("usr/lib/os-release", "NAME=\"Base\"\nID=base\nVERSION_ID=1\nPRETTY_NAME=\"Base 1\"\n", 0o644)),
		Write(t, dir, "shell", []string{"filesystem"}, signer, File("usr/bin/sh", filler(300000, 1), 0o755), Link("usr/bin/init", "sh")),
		Write(t, dir, "linux-virt", nil, signer, File(modules+"vmlinuz", filler(500000, 2), 0o644),
			File(modules+"modules.dep", "kernel/a/loop.ko:\nkernel/b/isofs.ko: kernel/c/cdrom.ko\nkernel/c/cdrom.ko:\n", 0o644),
			File(modules+"modules.builtin", "kernel/fs/squashfs/squashfs.ko\n", 0o644),
			File(modules+"kernel/a/loop.ko", "loop", 0o644), File(modules+"kernel/b/isofs.ko", "isofs", 0o644), File(modules+"kernel/c/cdrom.ko", "cdrom", 0o644)),
		Write(t, dir, "grub", nil, signer, File(boot+"boot_hybrid.img", filler(512, 3), 0o644), File(boot+"boot.img", filler(512, 7), 0o644), File(boot+"core.img", filler(60000, 8), 0o644),
			File(boot+"eltorito.img", filler(200000, 4), 0o644),
			File(boot+"BOOTX64.EFI", filler(800000, 5), 0o644)),
		Write(t, dir, "ashlar-liveinit", nil, signer, File("usr/lib/ashlar/live-init", filler(100000, 6), 0o755)),
		Write(t, dir, "spare", nil, signer, File("usr/bin/spare", "spare", 0o755)),
	}
}
