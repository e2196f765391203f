package iso

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"

	"ashlar/iso/disk"
	"ashlar/iso/ext4"
	"ashlar/iso/tree"
	"ashlar/pkgtool/loader"
)

const (
	gib       = 1 << 30
	diskFree  = gib // on a disk whose size is not given
	rootLabel = "ashlar-root"

	loaderPackage   = "ashlar-loader" // keeps the EFI system partition up to date
	firstGeneration = 1               // what an image is
)

func (a *assembly) writeRaw(o *output) error { return a.makeDisk(o.f) }

func (a *assembly) writeQCOW2(o *output) error {
	return a.throughRaw(func(raw *os.File, size int64) error {
		return disk.WriteQCOW2(a.ctx, o.f, raw, size, a.Workers)
	})
}

func (a *assembly) writeVMDK(o *output) error {
	return a.throughRaw(func(raw *os.File, size int64) error {
		return disk.WriteVMDK(a.ctx, o, raw, size, filepath.Base(a.Output), crc32.ChecksumIEEE(a.record), a.Workers)
	})
}

// throughRaw makes a raw disk for convert to read.
func (a *assembly) throughRaw(convert func(raw *os.File, size int64) error) error {
	raw, err := a.temporary()
	if err != nil {
		return err
	}
	defer raw.Close()
	if err := a.makeDisk(raw); err != nil {
		return err
	}
	info, err := raw.Stat()
	if err != nil {
		return err
	}
	a.Progress("compress the disk")
	return convert(raw, info.Size())
}

// makeDisk writes the whole disk into a new file.
func (a *assembly) makeDisk(f *os.File) error {
	a.Progress("write the disk")
	loader, err := byName(a.Tools, a.Image.Bootloader)
	if err != nil {
		return err
	}
	l := &disk.Layout{Name: string(a.record), Time: a.epoch}
	var efi []byte
	for name, into := range map[string]*[]byte{"boot.img": &l.Boot, "core.img": &l.Core, "BOOTX64.EFI": &efi} {
		if *into, err = read(loader, bootDir+name, maxBootFile); err != nil {
			return err
		}
	}
	entries, err := a.diskEntries(l, efi)
	if err != nil {
		return err
	}
	size, err := a.Image.Disk.bytes()
	if err != nil {
		return err
	}
	needed := ext4.Needed(entries, 0)
	if l.RootSize = size - l.Size(); size == 0 {
		l.RootSize = ext4.Needed(entries, diskFree)
	} else if l.RootSize < needed {
		l.RootSize = needed
		return fmt.Errorf("disk size %s is too small for the content; it needs %d MiB at least", a.Image.Disk.Size, l.Size()>>20)
	}
	root, err := ext4.New(entries, ext4.Options{Size: l.RootSize, Label: rootLabel, UUID: l.ID("file system"), Time: a.epoch})
	if err != nil {
		return err
	}
	if err := f.Truncate(l.Size()); err != nil {
		return err
	}
	if err := root.Write(a.ctx, io.NewOffsetWriter(f, l.RootAt())); err != nil {
		return err
	}
	return l.Write(a.ctx, f)
}

// diskEntries are the files of a system that starts from its own disk. What it
// starts with is on the EFI system partition, an entry for each generation, if the
// image has what keeps that up to date; else it is a kernel that stays as it is.
func (a *assembly) diskEntries(l *disk.Layout, efi []byte) ([]tree.Entry, error) {
	entries, err := a.entries()
	if err != nil {
		return nil, err
	}
	about, err := a.about("var/lib/ashlar/image/")
	if err != nil {
		return nil, err
	}
	if _, err := byName(a.Packages, loaderPackage); err != nil {
		return a.fixedKernel(l, efi, entries, about)
	}
	cmdline := "root=UUID=" + l.UUID("file system") + " " + a.Image.Cmdline
	entries, err = overlay(entries, append(about, a.file("var/lib/ashlar/image/manifest.json", 0o444, a.record),
		a.file(loader.CmdlinePath, 0o644, []byte(cmdline+"\n")),
		a.file(loader.PartitionsPath, 0o644, []byte(loader.VolumeID(l.VolumeID())+"\n"))))
	if err != nil {
		return nil, err
	}
	view, err := tree.FS(entries)
	if err != nil {
		return nil, err
	}
	l.ESP, err = loader.New(a.ctx, view, firstGeneration, cmdline, nil)
	return entries, err
}

// fixedKernel adds to the files of a disk the kernel that it starts, and boot.
func (a *assembly) fixedKernel(l *disk.Layout, efi []byte, entries, boot []tree.Entry) ([]tree.Entry, error) {
	vmlinuz, ram, err := a.bootFiles()
	if err != nil {
		return nil, err
	}
	kernel, initrd := "boot/vmlinuz-"+a.kernel.release(), ""
	root := "PARTUUID=" + l.UUID("root")
	if len(a.Image.Modules) > 0 {
		initrd = "boot/initrd-" + a.kernel.release()
		root = "UUID=" + l.UUID("file system")
		boot = append(boot, a.file(initrd, 0o600, ram))
	}
	l.ESP = []tree.Entry{a.file(loader.LoaderPath, 0o644, efi)}
	boot = append(boot, a.file(kernel, 0o644, vmlinuz), a.file(ManifestName, 0o444, a.record),
		a.file(menuPath, 0o644, a.Image.diskMenu(kernel, initrd, root)))
	return overlay(entries, boot)
}

// diskMenu returns the boot menu of a disk. Without an initial RAM file system
// the kernel finds the root by itself, which it can by the partition only.
func (m *Image) diskMenu(kernel, initrd, root string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "serial --unit=0 --speed=115200\nterminal_input console serial\nterminal_output console serial\n")
	fmt.Fprintf(&b, "set default=0\nset timeout=%d\n", *m.Timeout)
	fmt.Fprintf(&b, "menuentry '%s' {\n\tlinux /%s root=%s rootwait rw %s\n", m.Summary, kernel, root, m.Cmdline)
	if initrd != "" {
		fmt.Fprintf(&b, "\tinitrd /%s\n", initrd)
	}
	b.WriteString("}\n")
	return []byte(b.String())
}
